"""Many wearers in one process: real sockets, the fake engine, clips whose objects differ."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.fake import open_fake
from realtime import MaskSubscriber, Requester
from realtime.comms.keys import AllowedClient, KeyFolder
from realtime.comms.messages import HealthMessage, MaskMessage
from realtime.comms.session_requests import HostedStream
from realtime.comms.sockets.curve import ServerAccess, make_key_pair
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.config.schema import RunConfig
from realtime.errors import RecordingError, SessionRefused, SettingsError, SourceError, WireError
from realtime.infra.progress import ProgressReporter
from realtime.learning.adapter import AdapterInfo, save_adapter
from realtime.serving import host_requests, hosted_session
from realtime.serving.capacity import Admission
from realtime.serving.host_config import HostSettings, read_session
from realtime.serving.host_engine import HostEngine
from realtime.serving.host_requests import HostRequests
from realtime.serving.session_host import SessionHost, assess_host
from realtime.serving.shared_engine import SharedEngine
from realtime.session.run_inputs import RunInputs
from realtime.sources.no_gaze import NoGaze
from realtime.types import FrameSource, OnEvent, OnFrame, SourceStatus
from tests.realtime import scene
from tests.realtime.disc_recognizer import DiscRecognizer
from tests.realtime.waiting import PATIENCE_S, eventually

SHIFTS = {"anna": -70, "ben": 70}
"""Rows by which each wearer's disc is above or below the middle: they have no row in common."""
FRAMES = 96
DEFAULTS = RunConfig(source="")


def write_clip(folder: Path, shift: int) -> dict[str, str]:
    """Write a clip whose disc is shifted down, with its trace; returns source and gaze."""
    clip, trace = scene.write_clip(folder, FRAMES, draw=lambda *at: np.roll(scene.picture(*at), shift, axis=0))
    head, *rows = trace.read_text().splitlines()
    moved = [
        f"{time},{x},{float(y) + shift},{confidence}" for time, x, y, confidence in (row.split(",") for row in rows)
    ]
    trace.write_text("\n".join([head, *moved]) + "\n")
    return {"source": f"file:{clip}?loop=1", "gaze": f"trace:{trace}"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Settings of two wearers, whose discs are in different places."""
    return {
        stream: {"stream": stream, **write_clip(tmp_path_factory.mktemp(stream), shift)}
        for stream, shift in SHIFTS.items()
    }


@dataclass
class OpenHost:
    host: SessionHost
    requests: HostRequests
    endpoint: str
    fitting: list[int]

    def open(self, **settings: object) -> None:
        self.host.open_session(read_session(DEFAULTS, settings, "a test"))


@pytest.fixture
def opened() -> Iterator[OpenHost]:
    engine = HostEngine(SharedEngine(*open_fake()), lambda encoder: None, DiscRecognizer)
    socket = PublisherSocket("tcp://127.0.0.1:0")
    fitting = [16]  # what is measured here depends on the machine

    def admit(open_count: int) -> Admission:
        return Admission(open_count < fitting[0], fitting[0], f"a picture takes 400 ms: {fitting[0]} fit")

    engine.share.admit = admit  # type: ignore[method-assign]
    engine.share.find_overload = lambda: ""  # type: ignore[method-assign]
    host = SessionHost(HostSettings(), socket, engine, ProgressReporter())
    requests = HostRequests("tcp://127.0.0.1:0", host, DEFAULTS, client_files=True)
    host.start()
    try:
        yield OpenHost(host, requests, socket.endpoint, fitting)
    finally:
        requests.close()
        host.close()
        engine.close()
        socket.close()


def receive(subscriber: MaskSubscriber, count: int) -> list[MaskMessage]:
    """Receive so many masks of the model."""
    found: list[MaskMessage] = []

    def has_all() -> bool:
        message = subscriber.newest(timeout_s=1)
        if message is not None and message.mask is not None and message.object:
            found.append(message)
        return len(found) >= count

    eventually(has_all, f"{count} masks")
    return found


def check_masks(messages: list[MaskMessage], stream: str) -> None:
    """Check that masks are of this wearer's disc, or of the ground where the clip begins anew, never of the other's."""
    overlaps: dict[str, list[float]] = {name: [] for name in SHIFTS}
    for message in messages:
        assert message.mask is not None
        truth = scene.truth(message.frame.index % FRAMES)
        for name, shift in SHIFTS.items():
            overlaps[name].append(scene.iou(message.mask, np.roll(truth, shift, axis=0)))
    other = next(name for name in SHIFTS if name != stream)
    assert max(overlaps[other]) < 0.3
    assert np.median(overlaps[stream]) > 0.5


def test_every_mask_fits_the_clip_of_its_stream_also_after_its_session_was_opened_anew(opened, clips):
    for settings in clips.values():
        opened.open(**settings)
    with MaskSubscriber(opened.endpoint) as everything, MaskSubscriber(opened.endpoint, stream="ben") as ben:
        eventually(lambda: {message.stream for message in receive(everything, 4)} == {"anna", "ben"}, "both")
        both = receive(everything, 40)
        for stream in SHIFTS:
            check_masks([message for message in both if message.stream == stream], stream)
        assert {message.stream for message in receive(ben, 10)} == {"ben"}
        opened.host.close_session("ben")
        receive(everything, 10)  # what was on its way
        drain(ben)
        assert {message.stream for message in receive(everything, 10)} == {"anna"}
        assert ben.newest(timeout_s=0) is None
        # the other wearer's clip under the same name: nothing of the old session may be left
        opened.open(**{**clips["anna"], "stream": "ben"})
        first = receive(ben, 10)
        assert first[0].object == 1
        assert [message.seq for message in first] == sorted({message.seq for message in first})
        check_masks(first, "anna")


def drain(subscriber: MaskSubscriber) -> None:
    while subscriber.newest(timeout_s=0) is not None:
        pass


def test_sessions_are_opened_listed_and_closed_by_requests(opened, clips):
    with Requester(opened.requests.endpoint, timeout_s=PATIENCE_S) as requester:
        assert requester.sessions() == []
        with pytest.raises(WireError, match="no session is called 'anna'; there are none"):
            requester.close_session("anna")
        requester.open_session(**clips["anna"])
        with pytest.raises(WireError, match="two sessions are called anna"):
            requester.open_session(**clips["anna"])
        with pytest.raises(WireError, match="unknown setting sorce; did you mean source"):
            requester.open_session("ben", sorce="x")
        with pytest.raises(WireError, match="all sessions of a host share one"):
            requester.open_session("ben", source="camera:0", engine={"backend": "torch"})
        with pytest.raises(WireError, match=r"no/such\.mp4"):
            requester.open_session("ben", source="file:no/such.mp4", gaze="none", word="cup")
        eventually(lambda: [each.state for each in requester.sessions()] == ["running"], "the session")
        requester.close_session("anna")
        assert requester.sessions() == []


def test_sessions_that_come_and_go_leave_no_thread_and_no_file_open(opened, clips):
    descriptors = Path("/proc/self/fd")

    def count_open() -> tuple[int, int]:
        return threading.active_count(), len(list(descriptors.iterdir())) if descriptors.exists() else 0

    opened.open(**clips["ben"])
    with Requester(opened.requests.endpoint) as client, MaskSubscriber(opened.endpoint, stream="anna") as subscriber:
        for number in range(20):
            client.open_session(**clips["anna"])
            if not number:
                receive(subscriber, 1)
            client.close_session("anna")
            if not number:
                threads, files = count_open()
    eventually(lambda: count_open()[0] <= threads, "the end of all threads")
    assert count_open()[1] <= files
    assert [each.stream for each in opened.host.list_streams()] == ["ben"]


def test_a_request_is_answered_by_the_session_of_its_stream(opened, clips):
    for settings in clips.values():
        opened.open(**settings)
    endpoint = opened.requests.endpoint
    refused = pytest.raises(WireError, match="name a stream; there are anna, ben")
    with Requester(endpoint, timeout_s=PATIENCE_S) as nobody, refused:
        nobody.status()
    for stream, shift in SHIFTS.items():
        with Requester(endpoint, stream=stream, timeout_s=PATIENCE_S) as wearer:
            eventually(lambda wearer=wearer: wearer.status()["keyframe"], "a keyframe")
            assert wearer.status()["stream"] == stream
            blue, _, red = np.moveaxis(wearer.snapshot().image.astype(int), -1, 0)
            assert (np.nonzero(red - blue > 80)[0].mean() - scene.SIZE[1] / 2) * shift > 0


def test_a_session_beyond_capacity_is_refused_with_the_number_that_fits(opened, clips):
    opened.fitting[0] = 1
    opened.open(**clips["anna"])
    with pytest.raises(SessionRefused, match="no room for one more: a picture takes 400 ms: 1 fit"):
        opened.open(**clips["ben"])
    opened.host.close_session("anna")
    opened.open(**clips["ben"])


class HangingFrames(FrameSource):
    """Frames that never come, and whose stop hangs, or whose start fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error, self.released = error, threading.Event()

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self.released.wait(PATIENCE_S)

    def status(self) -> SourceStatus:
        return SourceStatus("connecting", "nothing there", 0, {})


def test_a_session_that_hangs_or_fails_touches_no_other(opened, clips, monkeypatch):
    opened.open(**clips["anna"])
    hanging, failing = HangingFrames(), HangingFrames(OSError("no driver"))
    for stream, frames in (("ben", hanging), ("carl", failing)):
        inputs = RunInputs(frames, NoGaze(), None, None, None, None)
        with monkeypatch.context() as patch:
            patch.setattr(hosted_session, "open_run_inputs", lambda *_, inputs=inputs, **__: inputs)
            opened.open(stream=stream, source="camera:0" if stream == "ben" else "camera:1", gaze="none")
    listed = {each.stream: each for each in opened.host.list_streams()}
    eventually(lambda: {each.stream: each for each in opened.host.list_streams()}["carl"].state == "failed", listed)
    failed = next(each for each in opened.host.list_streams() if each.stream == "carl")
    assert failed.reason == "no driver"
    closing = threading.Thread(target=opened.host.close_session, args=("ben",))
    closing.start()
    with MaskSubscriber(opened.endpoint, ("mask", "health"), stream="anna") as subscriber:
        assert len(receive(subscriber, 5)) == 5
    closing.join(PATIENCE_S)
    hanging.released.set()
    failing.released.set()
    assert [each.stream for each in opened.host.sessions()] == ["anna"]


def test_a_session_whose_clip_ends_is_listed_and_its_name_is_free(opened, clips):
    once = {**clips["anna"], "source": clips["anna"]["source"].removesuffix("?loop=1")}
    opened.open(**once)
    eventually(lambda: not opened.host.sessions(), "the end")
    (ended,) = opened.host.list_streams()
    assert (ended.state, "was played to its end" in ended.reason) == ("ended", True)

    def is_reopened() -> bool:
        try:
            opened.open(**once)
        except (SessionRefused, SettingsError):  # still being closed
            return False
        return True

    eventually(is_reopened, "the name")


def test_the_host_publishes_its_own_health_with_the_state_of_each_session(opened, clips):
    opened.open(**clips["anna"])
    with MaskSubscriber(opened.endpoint, ("health",), stream="host") as subscriber:
        seen: list[HealthMessage] = []

        def is_running() -> bool:
            if (message := subscriber.newest("health")) is not None:
                seen.append(message)
            return bool(seen) and seen[-1].sessions == {"anna": "running"}

        eventually(is_running, "the session in health")
    assert (seen[-1].stream, seen[-1].state) == ("host", "running")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"source": "file:clip.mp4", "gaze": "pupil://10.0.0.8"}, "may not open files of the host, such as 'file:clip"),
        ({"source": "look.mcap"}, "may not open files of the host"),
        ({"source": "recording:look.mcap?identity=KEY"}, "may not open files of the host"),
        ({"source": "aria:look.vrs"}, "may not open files of the host"),
        ({"source": "camera:/dev/../etc/passwd", "gaze": "pupil://10.0.0.8"}, "may not open files of the host"),
        ({"source": "pupil://10.0.0.5", "gaze": "x.csv"}, "may not open files of the host"),
        ({"source": "pupil://10.0.0.5", "record": {"file": "x"}}, "may not choose 'record', only stream"),
        ({"source": "pupil://10.0.0.5", "calibration": "x"}, "may not choose 'calibration', only stream"),
    ],
)
def test_clients_name_files_of_the_host_only_without_a_key_and_where_the_host_lets_them(opened, settings, expected):
    request = host_requests.OpenSessionRequest({"stream": "a", **settings})
    assert opened.requests._read_session(request, None).publish.stream == "a"
    with pytest.raises(SessionRefused, match=expected):
        opened.requests._read_session(request, "a" * 64)
    refusing = HostRequests("tcp://127.0.0.1:0", opened.host, DEFAULTS)
    try:
        with pytest.raises(SessionRefused, match=f"{expected}.*--set host.client_files=true"):
            refusing._read_session(request, None)
        for source in ("pupil://10.0.0.5", "camera:0", "aria:", "rtsp://10.0.0.7/live"):
            fine = host_requests.OpenSessionRequest({"stream": "a", "source": source, "word": "cup"})
            assert refusing._read_session(fine, None).word == opened.requests._read_session(fine, "a" * 64).word
    finally:
        refusing.close()


def test_a_key_for_one_stream_opens_and_lists_no_other(opened, clips, tmp_path):
    machine, guest = KeyFolder(tmp_path / "machine"), KeyFolder(tmp_path / "guest")
    for folder in (machine, guest):
        folder.write_own(make_key_pair())
    machine.allow_client(AllowedClient(guest.read_own().public, "guest", ("control",), ("anna",)))
    opened.open(**clips["ben"])
    requests = HostRequests("tcp://127.0.0.1:0", opened.host, DEFAULTS, ServerAccess(machine, output="requests"))
    options = {"keys": guest.path, "server_key": machine.read_own().public, "timeout_s": PATIENCE_S}
    try:
        with Requester(requests.endpoint, stream="anna", **options) as requester:
            assert requester.sessions() == []
            with pytest.raises(WireError, match="this key is for requests about anna only"):
                requester.open_session("carl", source="pupil://127.0.0.1:9")
            requester.open_session("anna", source="pupil://127.0.0.1:9")
            assert [each.stream for each in requester.sessions()] == ["anna"]
    finally:
        requests.close()


@pytest.mark.parametrize(
    ("states", "overload", "expected"),
    [
        ((), "", ("idle", "no session")),
        (("running", "starting"), "", ("running", "")),
        (("starting", "idle"), "", ("starting", "")),
        (("idle", "ended"), "", ("idle", "")),
        (("running", "failed"), "", ("degraded", "s1: failed")),
        (("running",), "keyframes are 900 ms old", ("degraded", "keyframes are 900 ms old")),
    ],
)
def test_the_state_of_a_host_follows_from_its_sessions(states, overload, expected):
    streams = [HostedStream(f"s{number}", "camera:0", state, "") for number, state in enumerate(states)]
    assert assess_host(streams, overload) == expected


def test_a_session_that_is_being_opened_is_not_closed(opened, clips, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    open_inputs = hosted_session.open_run_inputs

    def open_slowly(*args: Any, **options: Any) -> RunInputs:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return open_inputs(*args, **options)

    monkeypatch.setattr(hosted_session, "open_run_inputs", open_slowly)
    opening = threading.Thread(target=lambda: opened.open(**clips["anna"]))
    opening.start()
    assert begun.wait(PATIENCE_S)
    with pytest.raises(SessionRefused, match="session anna is being opened or closed; ask again later"):
        opened.host.close_session("anna")
    go_on.set()
    opening.join(PATIENCE_S)
    opened.host.close_session("anna")
    assert opened.host.list_streams() == []


def test_a_session_that_was_stopped_does_not_start(opened, clips):
    session = hosted_session.HostedSession(
        read_session(DEFAULTS, clips["anna"], "a test"), ProgressReporter(), opened.host._socket, opened.host._engine
    )
    session.stop()
    session.start()
    assert not [thread for thread in threading.enumerate() if "anna" in thread.name]


def test_wrong_settings_are_refused_with_what_to_do(tmp_path: Path, opened, clips):
    with Requester(opened.requests.endpoint, timeout_s=PATIENCE_S) as requester:
        for settings, expected in (
            ({"source": clips["anna"]["source"]}, 'no gaze of its own; add gaze = "pupil://HOST:PORT"'),
            ({**clips["anna"], "calibration": str(tmp_path / "no.json")}, "^cannot read .*no.json: No such file"),
            ({"source": "x" * 5000 + ".mp4", "gaze": "none", "word": "cup"}, "cannot open .*: File name too long"),
            ({"source": "camera:0", "word": "x" * 70_000}, "takes 70[0-9]* bytes; a request has at most 65536"),
        ):
            with pytest.raises(WireError, match=expected):
                requester.open_session(**{**settings, "stream": "carl"})
        assert requester.sessions() == []


def test_learned_weights_of_the_engine_are_no_session_s(tmp_path: Path, opened, clips):
    weights = tmp_path / "weights.adapter"
    save_adapter(weights, AdapterInfo("decoder", DEFAULTS.engine.model), {"x": np.zeros(2, np.float32)})
    with pytest.raises(SettingsError, match=r"session anna: .*weights\.adapter holds weights of the engine, which all"):
        opened.open(**clips["anna"], adapter=str(weights))
    assert opened.host.list_streams() == []
    opened.host._engine._adapter = weights  # of a host that was opened with them
    opened.open(**clips["anna"], adapter=str(weights))


def test_a_wearer_whose_device_is_not_there_is_not_measured(opened, clips):
    share = opened.host._engine.share
    opened.open(**clips["anna"])
    opened.open(stream="ben", source="pupil://127.0.0.1:1")
    eventually(lambda: share._sending == {"anna"}, "frames of anna")
    eventually(lambda: len(share.statistics().streams) == 2, "ben's engine")
    opened.host.close_session("anna")
    assert share._sending == set()


def test_a_recording_that_cannot_be_written_is_refused_at_once(tmp_path: Path, opened, clips):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError):
        opened.open(**clips["anna"], record={"file": str(tmp_path / "file" / "anna.mcap")})
    assert opened.host.list_streams() == []
    opened.open(**clips["anna"], record={"file": str(tmp_path / "anna.mcap")})
    assert (tmp_path / "anna.mcap").exists()


def test_an_invalid_source_leaves_nothing_open(opened):
    with pytest.raises(SourceError):
        opened.open(stream="anna", source="file:no/such.mp4", gaze="none", word="cup")
    assert opened.host.list_streams() == []
    assert not [thread for thread in threading.enumerate() if "anna" in thread.name]


def test_missing_path_is_no_session(tmp_path: Path, opened):
    with pytest.raises(SettingsError, match="has no source"):
        opened.open(stream="anna")


def test_health_of_a_host_counts_refused_subscribers(tmp_path):
    keys = KeyFolder(tmp_path)
    keys.write_own(make_key_pair())
    socket = PublisherSocket("tcp://127.0.0.1:0", access=ServerAccess(keys))
    engine = HostEngine(SharedEngine(*open_fake()), lambda encoder: None, DiscRecognizer)
    seen: list[HealthMessage] = []
    host = SessionHost(HostSettings(), socket, engine, ProgressReporter(), observe_health=seen.append)
    host.start()
    try:
        with MaskSubscriber(socket.endpoint):
            eventually(lambda: seen and seen[-1].dropped.get("publish.refused_peers"), "the refused subscriber")
        assert seen[-1].access == {"publish": "keys"}
    finally:
        host.close()
        engine.close()
        socket.close()
