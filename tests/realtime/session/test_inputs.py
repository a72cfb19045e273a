"""Sources by name: what opens, and what is said about what does not."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from realtime.errors import SourceError
from realtime.session.inputs import open_frames, open_gaze
from realtime.types import Frame, FrameSource, GazeSource
from tests.realtime.sources.video.clips import make_folder, make_video, picture
from tests.realtime.waiting import eventually


@pytest.mark.parametrize(
    "spec",
    [
        "pupil://127.0.0.1:50020",
        "pupil://headset.local",
        "pupil://[::1]:50020",
        "camera:0",
        "camera:1?width=1280&fps=60",
    ],
)
def test_live_sources_open_without_their_device(spec: str) -> None:
    source = open_frames(spec)
    assert isinstance(source, FrameSource)
    assert source.status().state == "connecting"
    source.stop()


@pytest.mark.parametrize("spec", ["pupil://no-such-host", "pupil://256.1.1.1:50020", "rtsp://no-such-host:554/live"])
def test_a_host_that_cannot_be_resolved_is_named(spec: str) -> None:
    with pytest.raises(SourceError, match=r"cannot resolve [\w.-]+: check the name or give its IP address"):
        open_frames(spec)


def test_gaze_of_another_device_than_the_frames() -> None:
    gaze = open_gaze("pupil://127.0.0.1:1", open_frames("camera:0"))
    assert isinstance(gaze, GazeSource)


def test_clip_with_trace(tmp_path: Path) -> None:
    make_video(tmp_path / "a clip?.mp4", 3)
    trace = tmp_path / "t.csv"
    trace.write_text("timestamp,x,y\n0,1,2\n")
    for options in ("", "?loop=0&realtime=0", "?realtime=0"):
        frames = open_frames(f"file:{tmp_path}/a clip?.mp4{options}")
        gaze = open_gaze(f"trace:{trace}", frames)
        samples, pictures = [], []
        gaze.start(samples.append)
        frames.start(pictures.append)
        eventually(lambda g=gaze, f=frames: (g.status().state, f.status().state) == ("ended", "ended"))  # type: ignore[misc]
        assert (len(samples), len(pictures)) == (1, 3)
        gaze.stop()
        frames.stop()


BAD_FRAMES = [
    ("", "is no source of frames; expected one of pupil://HOST:PORT, camera:N"),
    ("clip.mp4", "there is no clip.mp4"),
    ("clip", "'clip' is no source of frames, and there is no such file; expected"),
    ("nein:", "'nein:' is no source of frames (is neon: meant?); expected"),
    ("lsl:", "'lsl:' is no source of frames, but of gaze: use --gaze for it"),
    ("ftp://me:secret@x/y", "'ftp://x/y' is no source of frames"),
    ("http://", "is no stream; expected http://HOST/PATH"),
    ("http://no-such-host.invalid/video", "cannot resolve no-such-host.invalid"),
    ("rtsp://cam:hun/t#r2@no-such-host.invalid/s", "cannot resolve no-such-host.invalid"),
    ("trace:t.csv", "is no source of frames"),
    ("pupil://", "expected pupil://HOST:PORT"),
    ("pupil:50020", "expected pupil://HOST:PORT"),
    ("pupil://h:0", "expected pupil://HOST:PORT"),
    ("pupil://h:70000", "expected pupil://HOST:PORT"),
    ("pupil://h:port", "expected pupil://HOST:PORT"),
    ("pupil://h:50020/x", "expected pupil://HOST:PORT"),
    ("pupil://two words:50020", "expected pupil://HOST:PORT"),
    ("pupil://*:50020", "expected pupil://HOST:PORT"),
    ("pupil://a$b:50020", "expected pupil://HOST:PORT"),
    ("pupil://user:secret@h:50020", "'pupil://h:50020' is no device; a device has no user and password"),
    ("camera:", "expected camera:0, camera:1"),
    ("camera:front", "expected camera:0"),
    ("camera:-1", "expected camera:0"),
    ("camera:clip.mp4", "on Linux also camera:/dev/video0"),
    ("camera:0?zoom=2", "unknown option 'zoom'; expected width, height, fps"),
    ("camera:0?width=wide", "width is 'wide'; expected a number of 1 to 100000"),
    ("camera:0?fps=nan", "fps is 'nan'"),
    ("file:", "names no file"),
    ("file:nowhere.mp4", "there is no nowhere.mp4"),
    ("file:nowhere.mp4?speed=2", "unknown option 'speed'; expected loop, realtime, fps"),
    ("file:nowhere.mp4?loop=yes", "loop is 'yes'; expected 0 or 1"),
    ("rtsp://", "is no stream; expected rtsp://HOST/PATH"),
]


@pytest.mark.parametrize(("spec", "message"), BAD_FRAMES)
def test_bad_frame_source_is_named(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        open_frames(spec)


@pytest.mark.parametrize("spec", ["", "camera:0", "mouse", "trace", "pupil://"])
def test_bad_gaze_source_is_named(spec: str) -> None:
    with pytest.raises(SourceError, match="expected"):
        open_gaze(spec)


def test_trace_needs_a_clip(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("timestamp,x,y\n0,1,2\n")
    for frames in (None, open_frames("camera:0")):
        with pytest.raises(SourceError, match="needs frames from file:PATH"):
            open_gaze(f"trace:{tmp_path}/t.csv", frames)
    clip = open_frames(f"file:{make_folder(tmp_path / 'clip', 1)}")
    (tmp_path / "film.csv").write_bytes(b"\xff\xfe\x00\xd8A\x00")
    for name, reason in (("nowhere.csv", "No such file or directory;"), (f"{tmp_path}/film.csv", "it is not text;")):
        with pytest.raises(SourceError, match=re.escape(f"cannot read the gaze trace {name}: {reason}")):
            open_gaze(f"trace:{name}", clip)


@pytest.mark.parametrize("login", ["me:secret", "me:se/cr#et", "me:s?cr@t", "me:12/secret", "me:p%2Fsecret", "secret"])
def test_streams_password_is_not_shown(login: str) -> None:
    source = open_frames(f"RTSP://{login}@127.0.0.1:9/live?token=secret")
    source.start(lambda frame: None)
    eventually(lambda: source.status().state == "waiting")
    assert source.status().reason.startswith("rtsp://127.0.0.1:9/live cannot be opened; check the address")
    source.stop()


def test_sources_are_imported_only_when_they_are_opened() -> None:
    code = (
        "import sys, realtime.session.inputs as s\n"
        "assert 'zmq' not in sys.modules and 'realtime.sources.video.opencv_capture' not in sys.modules\n"
        "s.open_frames('camera:0')\n"
        "assert 'zmq' not in sys.modules and 'realtime.sources.video.opencv_capture' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


class MotionJpeg(BaseHTTPRequestHandler):
    """Sends numbered pictures as a phone's or a microcontroller's camera does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=next")
        self.end_headers()
        with suppress(OSError):
            for number in itertools.count():
                data = cv2.imencode(".jpg", picture(number % 20))[1].tobytes()
                head = b"\r\n--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                self.wfile.write(head + data)
                time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        pass


def test_motion_jpeg_over_http_is_a_source() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        frames: list[Frame] = []
        source = open_frames(f"http://me:secret@127.0.0.1:{server.server_port}/video")
        source.start(frames.append)
        eventually(lambda: len(frames) > 3)
        assert frames[0].size == (64, 48)
        source.stop()
        server.shutdown()


def test_a_camera_by_path_may_appear_later() -> None:
    source = open_frames("camera:/dev/v4l/by-id/no-such-camera")
    source.start(lambda frame: None)
    eventually(lambda: source.status().state == "waiting")
    assert source.status().reason.startswith("camera /dev/v4l/by-id/no-such-camera cannot be opened; plug it in")
    source.stop()
