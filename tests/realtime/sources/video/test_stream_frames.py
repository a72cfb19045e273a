"""Network streams over real sockets: a camera that comes late, restarts, is silent, refuses, or is too fast."""

from __future__ import annotations

import functools
import itertools
import socket
import statistics
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest

from realtime.errors import SourceError
from realtime.infra.frame_pacing import PacedSource
from realtime.session.inputs import open_frames
from realtime.sources.video import hardware, stream_frames, stream_options
from realtime.sources.video.stream_frames import StreamFrames
from realtime.sources.video.stream_options import StreamSettings
from realtime.types import Frame, FrameSource, SourceStatus
from tests.realtime.sources.video.clips import number_in, picture, write_clip
from tests.realtime.sources.video.rtsp_server import FPS, GOP, read_number, serve_rtsp
from tests.realtime.waiting import eventually, find_threads, promptly


class Run:
    """A started source with what it published."""

    def __init__(self, spec: str, *, is_reading: bool) -> None:
        self.frames: list[Frame] = []
        self.events: list[SourceStatus] = []
        self.gate = threading.Event()
        if is_reading:
            self.gate.set()
        self.source: FrameSource = open_frames(spec)
        before = find_threads()
        self.source.start(self._on_frame, self.events.append)
        self.threads = {thread for thread in find_threads() - before if "127.0.0.1" in thread.name}

    def _on_frame(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.gate.wait()

    @property
    def reasons(self) -> list[str]:
        """Reasons of the times without frames, each once when it changes."""
        return [event.reason for event in self.events if event.state == "waiting"]


@contextmanager
def run(spec: str, *, is_reading: bool = True) -> Iterator[Run]:
    """is_reading: not if each frame is held until the gate is opened."""
    begun = Run(spec, is_reading=is_reading)
    try:
        yield begun
    finally:
        begun.gate.set()
        begun.source.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections follow each other quickly, and none is given up because the machine is slow."""
    monkeypatch.setattr(stream_frames, "RETRY_S", 0.05)
    monkeypatch.setattr(stream_frames, "SILENCE_NS", 600_000_000_000)
    for limit in ("OPEN_S", "READ_S", "HLS_READ_S"):
        monkeypatch.setattr(stream_options, limit, 600.0)


def test_capture_times_are_those_of_the_sender() -> None:
    with serve_rtsp() as server, run(server.url) as played:
        eventually(lambda: len(played.frames) > 2 * FPS)
        errors_ms = [
            (frame.captured_ns - server.captured_ns[read_number(frame.image)]) / 1e6 for frame in list(played.frames)
        ]
        numbers = [read_number(frame.image) for frame in list(played.frames)]
    assert abs(statistics.median(errors_ms)) < 10
    assert numbers == sorted(set(numbers))
    assert all(frame.captured_ns <= frame.received_ns for frame in played.frames)
    assert [frame.timestamp for frame in played.frames] == [frame.captured_ns / 1e9 for frame in played.frames]


@pytest.mark.parametrize("error_s", [-3600.0, 3600.0])
def test_a_camera_with_a_wrong_clock_gives_no_negative_or_wild_ages(
    error_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    with serve_rtsp(clock_error_s=error_s) as server, run(server.url) as played:
        eventually(lambda: len(played.frames) > FPS)
        status = played.source.status()
    assert all(0 <= frame.received_ns - frame.captured_ns < 600e9 for frame in played.frames)
    assert status.clock is not None
    assert status.clock.offset_s == pytest.approx(error_s, abs=600)
    assert [
        record.getMessage().partition(" by ")[0] for record in caplog.records if "clock" in record.getMessage()
    ] == [f"{server.url}: the sender's clock is off"]


def test_without_reports_times_of_presentation_are_used() -> None:
    with serve_rtsp(sends_reports=False) as server, run(server.url) as played:
        eventually(lambda: len(played.frames) > FPS)
        assert played.source.status().clock is None
    assert all(frame.captured_ns <= frame.received_ns for frame in played.frames)


def test_a_camera_that_restarts_is_waited_for_with_one_reason() -> None:
    with serve_rtsp() as server:
        server.mode = "refuse"
        with run(server.url) as played:
            eventually(lambda: played.source.status().state == "waiting")
            server.mode = "serve"
            eventually(lambda: len(played.frames) > 5)
            server.mode = "refuse"
            server.drop_clients()
            eventually(lambda: played.source.status().state == "waiting")
            refused = server.refused
            eventually(lambda: server.refused > refused + 5)
            server.mode = "serve"
            count = len(played.frames)
            eventually(lambda: len(played.frames) > count + 5)
    assert set(played.reasons) == {
        f"{server.url} cannot be opened; check the address, the password and that it is switched on"
    }
    captured = [frame.captured_ns for frame in played.frames]
    assert captured == sorted(captured)
    assert [frame.index for frame in played.frames] == list(range(len(captured)))


def test_a_camera_that_sends_nothing_more_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_options, "READ_S", 0.3)
    monkeypatch.setattr(stream_frames, "SILENCE_NS", 200_000_000)
    with serve_rtsp() as server, run(server.url) as played:
        eventually(lambda: len(played.frames) > 5)
        server.mode = "stall"
        eventually(lambda: server.requests.count("PLAY") > 1)
        eventually(lambda: played.source.status().state == "waiting")
        assert "live sends no pictures; check the address" in played.source.status().reason
        server.mode = "serve"
        eventually(lambda: played.source.status().state == "running")


def test_nonsense_from_a_camera_is_survived() -> None:
    with serve_rtsp() as server:
        server.mode = "nonsense"
        with run(server.url) as played:
            eventually(lambda: server.refused > 2)
            server.mode = "serve"
            eventually(lambda: len(played.frames) > 5)
            server.mode = "nonsense"
            eventually(lambda: server.refused > 5)
            server.mode, count = "serve", len(played.frames)
            eventually(lambda: len(played.frames) > count + 5)
    assert {event.state for event in played.events} <= {"waiting", "running"}


@pytest.mark.parametrize("mode", ["silent", "stall"])
def test_stop_ends_every_wait(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limits of the network would end it much later."""
    monkeypatch.setattr(stream_options, "OPEN_S", 3600.0)
    monkeypatch.setattr(stream_options, "READ_S", 3600.0)
    with serve_rtsp() as server:
        server.mode = mode
        with run(server.url) as played:
            eventually(lambda: server.accepted)
            with promptly():
                played.source.stop()
                eventually(lambda: find_threads() & played.threads == set())
    assert not played.frames


def test_a_wrong_password_is_named_and_not_shown() -> None:
    with serve_rtsp() as server:
        server.mode = "login"
        with run(server.url.replace("//", "//me:secret@")) as played:
            eventually(lambda: played.reasons)
    assert played.reasons == [f"{server.url} refuses the user or the password; check both in the address"]


def test_a_slow_reader_gets_the_newest_frame() -> None:
    with serve_rtsp() as server:
        server.interval_s = 0.01
        with run(server.url, is_reading=False) as played:
            eventually(lambda: played.frames and len(played.source._queue) > 10 * GOP)  # type: ignore[attr-defined]
            played.gate.set()
            eventually(lambda: len(played.frames) > 3)
            status = played.source.status()
    first, second = (read_number(frame.image) for frame in played.frames[:2])
    assert second - first > 8 * GOP
    assert status.dropped["late"] > 8 * GOP


def test_frames_that_are_too_many_are_not_converted() -> None:
    with serve_rtsp() as server, run(server.url) as played:
        assert isinstance(played.source, PacedSource)
        turns = itertools.count()
        played.source.pacing.admit = lambda: next(turns) % 5 == 0
        before = len(played.frames)
        eventually(lambda: len(played.frames) >= before + 6)
        assert next(turns) > 20  # some are not, for each that is
        assert played.source.status().state == "running"


def free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_transport_stream_over_udp_is_a_source() -> None:
    stop, port = threading.Event(), free_port()

    def send() -> None:
        with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as out:
            stream = out.add_stream("libx264", rate=25, options={"tune": "zerolatency", "g": "10"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(100_000):
                if stop.wait(0.02):
                    return
                frame = av.VideoFrame.from_ndarray(picture(number % 20), format="bgr24")
                frame.pts = number
                out.mux(stream.encode(frame))

    with run(f"udp://127.0.0.1:{port}") as played:
        sender = threading.Thread(target=send)
        sender.start()
        try:
            eventually(lambda: len(played.frames) > 10)
        finally:
            stop.set()
            sender.join()
    assert played.frames[0].size == (64, 48)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize("name", ["clip.m3u8", "clip.mp4", "clip.ts"])
def test_a_recording_of_a_web_server_is_played_to_its_end(name: str, tmp_path: Path) -> None:
    options = {"hls_time": "0.4", "hls_playlist_type": "vod"} if name.endswith("m3u8") else {"movflags": "+faststart"}
    pictures = [picture(number) for number in range(20)]
    write_clip(tmp_path / name, pictures, options={"g": "10"}, container_options=options)
    with serve_folder(tmp_path) as url, run(f"{url}/{name}") as played:
        eventually(lambda: played.source.status().state == "ended")
        assert played.source.status().reason == f"{url}/{name} was played to its end, 20 frames"
    assert [number_in(frame.image) for frame in played.frames] == list(range(20))
    assert played.frames[-1].captured_ns - played.frames[0].captured_ns >= 0.7e9


def test_a_path_that_is_missing_on_a_web_server_is_named(tmp_path: Path) -> None:
    with serve_folder(tmp_path) as url, run(f"{url}/none.mp4") as played:
        eventually(lambda: played.reasons)
    assert played.reasons == [f"{url}/none.mp4 has nothing at this path; check the address"]


def test_a_kind_that_ffmpeg_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_protocol", lambda kind: False)
    with pytest.raises(SourceError, match="srt is not in the FFmpeg of the package av; send rtsp"):
        open_frames("srt://127.0.0.1:9")
    with pytest.raises(SourceError, match="the FFmpeg of the package av has no pigeon"):
        raise_problem(StreamFrames(StreamSettings("pigeon://127.0.0.1", "pigeon://127.0.0.1")))


def raise_problem(source: StreamFrames) -> None:
    source.start(lambda frame: None)
    eventually(lambda: source.status().state == "failed")
    source.stop()
    raise SourceError(source.status().reason)


def test_without_a_device_software_decodes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["drm"])
    monkeypatch.setattr(hardware, "_is_usable", lambda kind: False)
    hardware._choose_device.cache_clear()
    path = write_clip(tmp_path / "clip.mp4", [picture(number) for number in range(3)])
    with run(f"file:{path}?hwaccel=drm&realtime=0") as played:
        eventually(lambda: played.source.status().state == "ended")
    assert [number_in(frame.image) for frame in played.frames] == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records if "hwaccel" in record.getMessage()] == [
        "no device for decoding answers to hwaccel=drm; decoding in software"
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rtsp://127.0.0.1/live?transport=pigeon", "transport is 'pigeon'; expected tcp, udp"),
        ("http://127.0.0.1/video?hwaccel=magic", "hwaccel is 'magic'; expected none, auto"),
    ],
)
def test_options_of_a_stream_are_checked(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_frames(spec)


def test_the_cameras_own_options_stay_in_its_address() -> None:
    with serve_rtsp() as server:
        server.mode = "login"
        with run(f"{server.url}?channel=1&transport=tcp&subtype=0") as played:
            eventually(lambda: played.reasons)
        assert server.paths == {f"{server.url}?channel=1&subtype=0"}


def test_a_playlist_reads_no_file_of_this_machine(tmp_path: Path) -> None:
    clip = tmp_path / "clip.ts"
    write_clip(clip, [picture(number) for number in range(10)])
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nfile://{clip}\n#EXT-X-ENDLIST\n".encode()
    listener = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(playlist)

    with closing(listener):
        sender = threading.Thread(target=send)
        sender.start()
        settings = StreamSettings(f"tcp://127.0.0.1:{listener.getsockname()[1]}/list.m3u8", "a test")
        with pytest.raises(av.FFmpegError):
            hardware.open_accelerated(settings.url, "none", options=settings.build_options(), timeout=(5.0, 5.0))
        sender.join()
