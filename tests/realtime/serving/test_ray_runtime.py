"""Tests what Ray is needed for, in processes of its own; skipped where Ray is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from realtime import MaskSubscriber, Requester
from realtime.comms.directory_client import DirectoryClient
from realtime.errors import ClusterError, GazecastError, WireError
from realtime.serving.cluster.ray_runtime import import_ray, join_cluster
from tests.realtime import scene
from tests.realtime.waiting import PATIENCE_S, eventually

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'gazecast[cluster]'"
)


def test_without_ray_the_line_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    with pytest.raises(ClusterError, match=r"not installed; pip install 'gazecast\[cluster\]'"):
        import_ray()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"  # whoever it was switched on for


@pytest.mark.parametrize("address", ["", "6379", "head", "ray://10.0.0.5:10001", "10.0.0.5:0", "10.0.0.5:x"])
def test_what_is_no_address_of_a_cluster_is_refused(address):
    with (
        pytest.raises(ClusterError, match="--ray takes local, or HOST:PORT"),
        join_cluster(address, cpus=1, timeout_s=1.0),
    ):
        pass


def test_an_address_where_nothing_listens_is_refused_with_what_starts_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        pytest.raises(ClusterError, match=f"ray start --head --port {port}"),
        join_cluster(f"127.0.0.1:{port}", cpus=1, timeout_s=5.0),
    ):
        pass


class ServedCluster:
    """`gazecast serve --ray local` in a process of its own; reads its lines on a thread."""

    def __init__(self, file):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "realtime", "serve", str(file), "--ray", "local", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def close(self):
        self.process.kill()
        self.process.wait()
        self._thread.join(PATIENCE_S)
        self.process.stdout.close()

    def has_line(self, prefix):
        assert self.process.poll() is None, self.lines
        return any(line.startswith(prefix) for line in self.lines)


def is_held(wearer):
    try:
        return wearer.hold() > 0
    except WireError:  # no object is shown, as where the clip begins anew
        return False


@needs_ray
def test_a_host_that_is_killed_is_replaced_and_all_ends_on_an_interrupt(tmp_path):
    clip, trace = scene.write_clip(tmp_path, 96)
    with socket.create_server(("127.0.0.1", 0)) as server:
        directory = f"127.0.0.1:{server.getsockname()[1]}"
    file = tmp_path / "cluster.toml"
    sessions = "".join(
        f'[[session]]\nstream = "{stream}"\nsource = {json.dumps(f"file:{clip}?loop=1")}\n'
        f"gaze = {json.dumps(f'trace:{trace}')}\n"
        for stream in ("anna", "ben")
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        requests = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    file.write_text(
        f'engine.backend = "fake"\nrequests = "{requests}"\nhost.client_files = true\n[cluster]\nhosts = 2\n'
        f'directory = "tcp://{directory}"\n{sessions}'
    )
    served = ServedCluster(file)
    try:
        eventually(lambda: served.has_line("ben: gazecast://"), "the directory", 3 * PATIENCE_S)
        with (
            MaskSubscriber(f"gazecast://{directory}/anna") as anna,
            DirectoryClient(f"tcp://{directory}", timeout_s=PATIENCE_S) as client,
        ):
            eventually(lambda: anna.newest("mask", 0.5), "a mask of anna", 3 * PATIENCE_S)
            hosts = client.list_hosts()["hosts"]
            holder = next(host for host in hosts if "anna" in host["streams"])
            os.kill(holder["pid"], signal.SIGKILL)

            def has_moved():
                message = anna.newest("mask", 0.5)
                return message is not None and anna.moves == 1

            eventually(has_moved, "a mask of anna from another host", 3 * PATIENCE_S)
            eventually(lambda: _is_replaced(client, holder), "the host's restart", 3 * PATIENCE_S)
        with Requester(requests, timeout_s=PATIENCE_S) as requester:
            requester.open_session("carl", source=f"file:{clip}?loop=1", gaze=f"trace:{trace}")
            assert {each.stream for each in requester.sessions()} == {"anna", "ben", "carl"}
            with MaskSubscriber(f"gazecast://{directory}/carl") as carl:
                eventually(lambda: carl.newest("mask", 0.5), "a mask of carl", 3 * PATIENCE_S)
            with Requester(requests, timeout_s=PATIENCE_S, stream="anna") as wearer:
                eventually(lambda: is_held(wearer), "an object of anna that is held")
            requester.close_session("carl")
            with pytest.raises(WireError, match="no session of stream"):
                requester.close_session("carl")
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(3 * PATIENCE_S) == 0, served.lines
    finally:
        served.close()


def _is_replaced(client, holder):
    try:
        hosts = client.list_hosts()["hosts"]
    except GazecastError:
        return False
    return any(host["name"] == holder["name"] and host["pid"] not in (0, holder["pid"]) for host in hosts)
