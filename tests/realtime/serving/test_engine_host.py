"""Tests hosts, supervisor, directory and subscribers together, in one process and without Ray."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from realtime import MaskSubscriber
from realtime.comms.directory import format_stream_address
from realtime.errors import GazecastError, TransportError
from realtime.pipeline.prometheus import HostsExporter
from realtime.serving.capacity import Admission
from realtime.serving.cluster.directory_server import DirectoryServer
from realtime.serving.cluster.engine_host import EngineHost
from realtime.serving.cluster.hosts import HostLost, SessionOrder
from realtime.serving.cluster.serve_cluster import assess_cluster
from realtime.serving.cluster.stream_directory import StreamDirectory
from realtime.serving.cluster.supervisor import ClusterSupervisor
from realtime.serving.host_config import HostConfig, read_host_config
from tests.realtime import scene
from tests.realtime.waiting import eventually

HEIGHTS = {"anna": 240, "ben": 224}
"""Of the wearers' pictures, by which a mask of another one is noticed."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> HostConfig:
    """Two wearers, whose pictures differ in height."""
    sessions = []
    for stream, height in HEIGHTS.items():
        clip, trace = scene.write_clip(
            tmp_path_factory.mktemp(stream), 96, draw=lambda index, speed, rows=height: scene.picture(index)[:rows]
        )
        sessions.append({"stream": stream, "source": f"file:{clip}?loop=1", "gaze": f"trace:{trace}"})
    return read_host_config({"engine": {"backend": "fake"}, "session": sessions}, {}, "a test")


@dataclass
class LocalHandle:
    """Reaches a host of this process, on threads, as that of another one is reached."""

    config: HostConfig
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))
    was_lost: bool = False
    host: EngineHost | None = None

    def start(self) -> None:
        self.host = EngineHost("127.0.0.1", self.config, self.config.cluster)
        self.host._share.admit = lambda count: Admission(True, 16, "what is measured here depends on the machine")

    def kill(self) -> None:
        host, self.host, self.was_lost = self.host, None, True
        if host is not None:
            host.shut_down()

    def _call(self, name, *arguments) -> Future:
        host = self.host

        def execute():
            if host is None:
                raise HostLost("it has died")
            return getattr(host, name)(*arguments)

        return self.pool.submit(execute)

    def report(self):
        return self._call("report")

    def open(self, order):
        return self._call("open", order)

    def mark(self, stream, epoch):
        self._call("mark", stream, epoch)

    def close(self, stream):
        return self._call("close", stream)

    def answer(self, stream, request):
        return self._call("answer", stream, request)

    def is_lost(self):
        was_lost, self.was_lost = self.was_lost, False
        return was_lost


@dataclass
class LocalCluster:
    handles: dict[str, LocalHandle]
    supervisor: ClusterSupervisor
    server: DirectoryServer


@pytest.fixture
def cluster(config: HostConfig) -> Iterator[LocalCluster]:
    handles = {name: LocalHandle(config) for name in ("one", "two")}
    directory, stopping = StreamDirectory(time.time_ns), threading.Event()
    orders = [SessionOrder.of(each) for each in config.sessions]
    supervisor = ClusterSupervisor(handles, orders, directory)
    server = DirectoryServer("tcp://127.0.0.1:0", directory, supervisor)

    def supervise() -> None:
        while not stopping.wait(0.02):
            supervisor.step(time.monotonic())

    thread = threading.Thread(target=supervise)
    try:
        for handle in handles.values():
            handle.start()
        thread.start()
        yield LocalCluster(handles, supervisor, server)
    finally:
        stopping.set()
        if thread.ident is not None:
            thread.join()
        server.close()
        for handle in handles.values():
            handle.pool.shutdown()
            handle.kill()


def receive(subscriber, stream, count=10):
    """Receive so many masks, each of the wearer's own pictures."""
    found = []

    def has_all():
        message = subscriber.newest(timeout_s=0.5)
        if message is not None:
            assert (message.stream, message.frame.height) == (stream, HEIGHTS[stream])
            found.append(message)
        return len(found) >= count

    eventually(has_all, f"{count} masks of {stream}")
    return found


def test_every_mask_is_of_its_wearer_while_hosts_are_drained_and_die(cluster):
    addresses = {stream: format_stream_address(cluster.server.endpoint, stream) for stream in HEIGHTS}
    with MaskSubscriber(addresses["anna"]) as anna, MaskSubscriber(addresses["ben"]) as ben:
        readers = {"anna": anna, "ben": ben}
        for stream, subscriber in readers.items():
            receive(subscriber, stream)
        described = cluster.supervisor.describe_hosts()
        assert sorted(host["streams"][0] for host in described["hosts"]) == ["anna", "ben"]
        cluster.supervisor.set_draining("one", True)
        eventually(lambda: cluster.supervisor.moves == 1, "the move")
        for stream, subscriber in readers.items():
            receive(subscriber, stream)
        cluster.supervisor.set_draining("one", False)
        cluster.handles["two"].kill()
        eventually(lambda: cluster.supervisor.lost_hosts == 1, "the loss")
        for stream, subscriber in readers.items():
            receive(subscriber, stream)
        assert anna.moves + ben.moves == 3
        texts = cluster.handles["one"].host.render_metrics().decode()
        assert 'session="anna"' in texts
        assert assess_cluster(cluster.supervisor.describe_hosts())[0] in ("degraded", "running")


def test_a_session_that_cannot_be_opened_is_refused_and_leaves_nothing(config):
    handle = LocalHandle(config)
    handle.start()
    try:
        with pytest.raises(GazecastError, match="there is no /nowhere"):
            handle.host.open(SessionOrder("eve", read_host_config(
                {"session": [{"stream": "eve", "source": "file:/nowhere.mp4", "gaze": "none"}]}, {}, "a test"
            ).sessions[0]))  # fmt: skip
        assert handle.host.report().sessions == {}
        handle.host.close("eve")
    finally:
        handle.kill()


def test_ports_in_use_are_skipped_and_none_is_reported(config):
    first = LocalHandle(config)
    first.start()
    try:
        port = int(first.host._socket.endpoint.rpartition(":")[2])
        taken = read_host_config({"cluster": {"first_port": port, "last_port": port}, "requests": "tcp://127.0.0.1:0",
                                  "engine": {"backend": "fake"}}, {}, "a test")  # fmt: skip
        with pytest.raises(TransportError, match="the port is in use"):
            EngineHost("127.0.0.1", taken, taken.cluster)
    finally:
        first.kill()


def test_figures_of_all_hosts_are_in_one_text():
    def text(value):
        return (
            "# HELP gazecast_events_total Events.\n# TYPE gazecast_events_total counter\n"
            f'gazecast_events_total{{session="s{value}",stream="masks"}} {value}.0\n'
            "# HELP gazecast_state State.\n# TYPE gazecast_state gauge\n"
            f'gazecast_state{{state="running"}} {value}.0\n'
        ).encode()

    import prometheus_client

    exporter = HostsExporter(lambda: {"one": text(1), "two": text(2)})
    found = prometheus_client.generate_latest(exporter.registry).decode()
    assert 'gazecast_events_total{host="two",session="s2",stream="masks"} 2.0' in found
    assert 'gazecast_state{host="one",state="running"} 1.0' in found
    assert found.count("# TYPE gazecast_events_total counter") == 1


def test_the_state_of_a_cluster_is_told():
    up = {"name": "host-1", "state": "up", "reason": "", "streams": ["anna"]}
    lost = {"name": "host-2", "state": "lost", "reason": "it has died", "streams": []}
    new = {"name": "host-3", "state": "starting", "reason": "", "streams": []}
    assert assess_cluster({"hosts": [up], "waiting": {}}) == ("running", "")
    assert assess_cluster({"hosts": [up, new], "waiting": {}}) == ("starting", "")
    state, reason = assess_cluster({"hosts": [up, lost], "waiting": {"ben": "no room"}})
    assert (state, reason) == ("degraded", "host-2 is lost: it has died; ben: no room")


@pytest.mark.parametrize(("source", "exclusive"), [("camera:0", True), ("pupil://10.0.0.5", False)])
def test_sources_that_one_host_can_read_at_a_time_are_known(source, exclusive):
    config = read_host_config({"session": [{"stream": "a", "source": source, "gaze": "none"}]}, {}, "a test")
    assert SessionOrder.of(config.sessions[0]).is_exclusive == exclusive


@pytest.mark.parametrize(
    "settings",
    [
        {"hosts": -1},
        {"gpus": 1.5},
        {"gpus": -0.5},
        {"gpus": math.nan},
        {"gpus": math.inf},
        {"cpus": -1},
        {"first_port": 7, "last_port": 6},
        {"directory": "tcp://127.0.0.1:0"},
        {"connect_s": 0},
    ],
)
def test_settings_of_a_cluster_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match="must be"):
        read_host_config({"cluster": settings, "requests": "tcp://127.0.0.1:0"}, {}, "a test")
