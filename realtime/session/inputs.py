"""Opens sources of frames, gaze and depth from a spec such as `pupil://127.0.0.1:50020` or `file:clip.mp4`.

The library of a kind of source (ZeroMQ, OpenCV's capture) is imported when that kind is opened.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from realtime.comms.hosts import check_host
from realtime.errors import SourceError, TransportError
from realtime.types import FrameSource, GazeSource

if TYPE_CHECKING:
    from realtime.sources.depth import DepthSource

FRAME_SPECS = (
    "pupil://HOST:PORT, camera:N, file:PATH (a video or a folder of pictures), recording:FILE.mcap, rtsp://HOST/PATH, "
    "browser: (with --view)"
)
GAZE_SPECS = (
    "pupil://HOST:PORT, trace:FILE.csv (with frames from file:), recording: (with frames from recording:FILE.mcap), "
    "browser: (with --view)"
)
DEPTH_SPECS = (
    "pupil: (the frames' own device), pupil://HOST:PORT, file:PATH (a folder or a video, with frames from file:)"
)
_REMOTE_PORT = 50020


def open_frames(spec: str) -> FrameSource:
    """Open the source of frames named by `spec`; raises `SourceError`.

    pupil://HOST[:PORT] - the device may appear later. camera:N[?width=&height=&fps=] - the camera may appear later.
    file:PATH[?loop=1&realtime=0&fps=24] - must exist; fps is for folders. rtsp://... - may appear later.
    recording:FILE.mcap[?realtime=0] - a file of `gazecast run --record`; its gaze is `recording:`.
    browser: - the camera or clip of the live page, whose server passes the frames to it.
    """
    kind, rest = _split_kind(spec)
    if kind == "pupil":
        from realtime.sources.pupil import PupilFrames

        return PupilFrames(*_parse_host_and_port(spec))
    if kind == "camera":
        return _open_camera(spec, rest)
    if kind == "file":
        return _open_file(spec, rest)
    if kind == "recording" and rest:
        return _open_recording(spec, rest)
    if kind in ("rtsp", "rtsps"):
        return _open_stream(spec)
    if spec.strip().lower() == "browser:":
        from realtime.sources.browser import BrowserFrames

        return BrowserFrames()
    raise SourceError(f"{spec!r} is no source of frames; expected one of {FRAME_SPECS}")


def open_gaze(spec: str, frames: FrameSource | None = None) -> GazeSource:
    """Open the source of gaze named by `spec`; raises `SourceError`.

    frames: a trace or a recording plays on their clock.
    """
    kind, rest = _split_kind(spec)
    if kind == "pupil":
        from realtime.sources.pupil import PupilGaze

        return PupilGaze(*_parse_host_and_port(spec))
    if kind == "trace" and rest:
        from realtime.sources.gaze_csv import TraceGaze
        from realtime.sources.video_file import VideoFrames

        if not isinstance(frames, VideoFrames):
            raise SourceError(
                f"{spec} runs on a clip's clock and needs frames from file:PATH; for live frames, use pupil://"
            )
        return TraceGaze(_parse_path(spec, rest), frames.clock)
    if kind == "recording":
        from realtime.recording.playback import RecordedFrames, RecordedGaze

        if not isinstance(frames, RecordedFrames):
            raise SourceError(f"{spec} is the gaze of a recording and needs its frames, from recording:FILE.mcap")
        return RecordedGaze(frames)
    if spec.strip().lower() == "browser:":
        from realtime.sources.browser import BrowserGaze

        return BrowserGaze()
    raise SourceError(f"{spec!r} is no source of gaze; expected one of {GAZE_SPECS}")


def redact_password(spec: str) -> str:
    """Return the spec without a stream's user and password, as it may be shown and recorded."""
    kind, slashes, rest = spec.partition("://")
    return f"{kind}://{rest.rpartition('@')[2]}" if slashes else spec


def open_depth(spec: str, frames: FrameSource, frames_spec: str) -> DepthSource:
    """Open the source of depth named by `spec`, for the `frames` of `frames_spec`; raises `SourceError`.

    pupil: - topic `frame.depth` of the frames' own device. pupil://HOST[:PORT] - of another device.
    file:PATH[?fps=24] - a folder of 16-bit PNGs (mm) or float TIFFs (m), or a 16-bit video, beside frames from file:.
    """
    kind, rest = _split_kind(spec)
    if kind == "pupil":
        from realtime.sources.pupil import PupilDepth

        own = not rest.strip("/")
        if own and not frames_spec.startswith("pupil:"):
            raise SourceError(f"{spec!r} is the frames' own device, and frames come from {frames_spec}; name its host")
        host, port = _parse_host_and_port(frames_spec if own else spec)
        same = own or (frames_spec.startswith("pupil:") and _parse_host_and_port(frames_spec) == (host, port))
        return PupilDepth(host, port, same_clock=same)
    if kind == "file" and rest:
        return _open_depth_file(spec, rest, frames)
    raise SourceError(f"{spec!r} is no source of depth; expected one of {DEPTH_SPECS}")


def _open_depth_file(spec: str, rest: str, frames: FrameSource) -> DepthSource:
    from realtime.sources.depth_file import FileDepth, VideoDepth
    from realtime.sources.video_file import VideoFrames

    path, options = _split_path(spec, rest, "fps")
    if not isinstance(frames, VideoFrames):
        raise SourceError(f"{spec} runs on a clip's clock and needs frames from file:PATH; for live ones use pupil:")
    fps = _parse_fps(spec, options) or frames.fps
    file = _parse_path(spec, path)
    return VideoDepth(file, frames.clock) if file.is_file() else FileDepth(file, frames.clock, fps)


def _split_kind(spec: str) -> tuple[str, str]:
    kind, _, rest = spec.partition(":")
    return kind.strip().lower(), rest


def _parse_host_and_port(spec: str) -> tuple[str, int]:
    try:
        url = urlsplit(spec.strip())
        host, port = url.hostname, url.port if url.port is not None else _REMOTE_PORT
    except ValueError:
        host, port = None, 0
    extra = "" if host is None else url.path.strip("/") + url.query + (url.username or "")
    if not host or extra or not 0 < port < 65536 or not re.fullmatch(r"[\w.:%-]+", host):
        raise SourceError(f"{spec!r} is no device; expected pupil://HOST:PORT, for instance pupil://127.0.0.1:50020")
    _check_device_host(host)
    return host, port


def _check_device_host(host: str) -> None:
    """Raise `SourceError` for a host that cannot be resolved, unless its name appears with the device (mDNS)."""
    if host.endswith(".local"):
        return
    try:
        check_host(host)
    except TransportError as error:
        raise SourceError(str(error)) from None


def _open_camera(spec: str, rest: str) -> FrameSource:
    number, _, query = rest.partition("?")
    options = _parse_options(spec, query, "width", "height", "fps")
    if not (number.isascii() and number.isdigit() and len(number) < 4):
        raise SourceError(f"{spec!r}: {number!r} is no camera; expected camera:0, camera:1 ...")
    numbers = {name: int(_parse_number(spec, name, value, 1, 100_000)) for name, value in options.items()}
    from realtime.sources.camera import CaptureFrames
    from realtime.sources.opencv_capture import open_camera

    return CaptureFrames(
        f"camera {number}",
        lambda: open_camera(int(number), **numbers),
        "plug it in, close what else uses it, or try another number",
    )


def _open_file(spec: str, rest: str) -> FrameSource:
    path, options = _split_path(spec, rest, "loop", "realtime", "fps")
    loop = _parse_flag(spec, options, "loop", default="0")
    real_time = _parse_flag(spec, options, "realtime", default="1")
    if not path:
        raise SourceError(f"{spec!r} names no file; expected file:PATH")
    from realtime.sources.video_file import VideoFrames

    return VideoFrames(_parse_path(spec, path), loop=loop, real_time=real_time, fps=_parse_fps(spec, options))


def _open_recording(spec: str, rest: str) -> FrameSource:
    path, options = _split_path(spec, rest, "realtime")
    real_time = _parse_flag(spec, options, "realtime", default="1")
    from realtime.recording.playback import RecordedFrames

    return RecordedFrames(_parse_path(spec, path), real_time=real_time)


def _split_path(spec: str, rest: str, *allowed: str) -> tuple[str, dict[str, str]]:
    """Split into path and options; a `?` in the path of an existing file begins no options."""
    path, _, query = rest.rpartition("?") if "?" in rest and not Path(rest).exists() else (rest, "", "")
    return path, _parse_options(spec, query, *allowed)


def _parse_path(spec: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise SourceError(f"{spec!r}: {error}") from None


def _open_stream(spec: str) -> FrameSource:
    try:
        url = urlsplit(spec)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if not host:
        raise SourceError(f"{spec!r} is no stream; expected rtsp://HOST/PATH or rtsp://USER:PASSWORD@HOST:PORT/PATH")
    _check_device_host(host)
    from realtime.sources.camera import CaptureFrames
    from realtime.sources.opencv_capture import open_stream

    redacted = f"rtsp://{host}{f':{port}' if port else ''}{url.path}"
    advice = "check the address, the password and that it is switched on"
    return CaptureFrames(redacted, lambda: open_stream(spec), advice)


def _parse_options(spec: str, query: str, *allowed: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in allowed:
            raise SourceError(f"{spec!r}: unknown option {name!r}; expected {', '.join(allowed)}")
    return options


def _parse_flag(spec: str, options: dict[str, str], name: str, *, default: str) -> bool:
    text = options.get(name, default)
    if text not in ("0", "1"):
        raise SourceError(f"{spec!r}: {name} is {text!r}; expected 0 or 1")
    return text == "1"


def _parse_fps(spec: str, options: dict[str, str]) -> float | None:
    return _parse_number(spec, "fps", options["fps"], 0.1, 1000) if "fps" in options else None


def _parse_number(spec: str, name: str, text: str, minimum: float, maximum: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not minimum <= value <= maximum:
        raise SourceError(f"{spec!r}: {name} is {text!r}; expected a number of {minimum:g} to {maximum:g}")
    return value
