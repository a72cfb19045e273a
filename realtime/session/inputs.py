"""Opens sources of frames, gaze and depth from a spec such as `pupil://127.0.0.1:50020` or `file:clip.mp4`.

The library of a kind of source (ZeroMQ, OpenCV's capture) is imported when that kind is opened.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from realtime.errors import SourceError
from realtime.sources.names import STREAMS, SourceName, check_device_host, parse_source, parse_stream
from realtime.types import FrameSource, GazeSource

if TYPE_CHECKING:
    from realtime.sources.depth import DepthSource

FRAME_SPECS = (
    "pupil://HOST:PORT, camera:N, file:PATH (a video or a folder of pictures), recording:FILE.mcap, http://HOST/PATH "
    "(also udp, rtmp, srt), rtsp://HOST/PATH, browser: (with --view)"
)
GAZE_SPECS = (
    "pupil://HOST:PORT, trace:FILE.csv (with frames from file:), recording: (with frames from recording:FILE.mcap), "
    "browser: (with --view)"
)
DEPTH_SPECS = (
    "pupil: (the frames' own device), pupil://HOST:PORT, file:PATH (a folder or a video, with frames from file:)"
)
_REMOTE_PORT = 50020
_BROWSER = SourceName("browser", "")


def open_frames(spec: str) -> FrameSource:
    """Open the source of frames named by `spec`; raises `SourceError`.

    pupil://HOST[:PORT] - the device may appear later. camera:N[?width=&height=&fps=] - the camera may appear later; on
    Linux also camera:/dev/PATH. file:PATH[?loop=1&realtime=0&fps=24], or a path alone - must exist; fps is for folders.
    rtsp://, http://, udp://, rtmp://, srt:// - may appear later.
    recording:FILE.mcap[?realtime=0] - a file of `gazecast run --record`; its gaze is `recording:`.
    browser: - the camera or clip of the live page, whose server passes the frames to it.
    """
    name = parse_source(spec)
    kind, rest, spec = name.kind, name.rest, name.shown
    if kind == "pupil":
        from realtime.sources.pupil import PupilFrames

        return PupilFrames(*_parse_host_and_port(name))
    if kind == "camera":
        return _open_camera(spec, rest)
    if kind == "file":
        return _open_file(spec, rest)
    if kind == "recording" and rest:
        return _open_recording(spec, rest)
    if kind in STREAMS:
        return _open_stream(name)
    if name == _BROWSER:
        from realtime.sources.browser import BrowserFrames

        return BrowserFrames()
    raise SourceError(f"{spec!r} is no source of frames; expected one of {FRAME_SPECS}")


def open_gaze(spec: str, frames: FrameSource | None = None, *, min_confidence: float = 0.0) -> GazeSource:
    """Open the source of gaze named by `spec`; raises `SourceError`.

    trace:FILE[?unit=norm&time=ms&start=SECONDS] - a table of gaze; the options say what it does not.
    frames: a trace or a recording plays on their clock. min_confidence: a trace below it everywhere is refused.
    """
    name = parse_source(spec)
    kind, rest, spec = name.kind, name.rest, name.shown
    if kind == "pupil":
        from realtime.sources.pupil import PupilGaze

        return PupilGaze(*_parse_host_and_port(name))
    if kind == "trace" and rest:
        from realtime.sources.gaze_csv import ClipFacts, TraceGaze, TraceOptions
        from realtime.sources.gaze_layouts import TIME_UNITS_S
        from realtime.sources.video_file import VideoFrames

        if not isinstance(frames, VideoFrames):
            raise SourceError(
                f"{spec} runs on a clip's clock and needs frames from file:PATH; for live frames, use pupil://"
            )
        path, options = _split_path(spec, rest, "unit", "time", "start")
        for option, allowed in (("unit", ("px", "norm")), ("time", tuple(TIME_UNITS_S))):
            if (text := options.get(option)) not in (None, *allowed):
                raise SourceError(f"{spec!r}: {option} is {text!r}; expected {', '.join(allowed)}")
        start_s = _parse_number(spec, "start", options["start"], -1e12, 1e12) if "start" in options else None
        return TraceGaze(
            _parse_path(spec, path),
            frames.clock,
            ClipFacts(frames.size, frames.duration_s, min_confidence),
            TraceOptions(options.get("time"), options.get("unit"), start_s),
        )
    if kind == "recording":
        from realtime.recording.playback import RecordedFrames, RecordedGaze

        if not isinstance(frames, RecordedFrames):
            raise SourceError(f"{spec} is the gaze of a recording and needs its frames, from recording:FILE.mcap")
        return RecordedGaze(frames)
    if name == _BROWSER:
        from realtime.sources.browser import BrowserGaze

        return BrowserGaze()
    raise SourceError(f"{spec!r} is no source of gaze; expected one of {GAZE_SPECS}")


def open_depth(spec: str, frames: FrameSource, frames_spec: str, *, scale_m: float = 0.001) -> DepthSource:
    """Open the source of depth named by `spec`, for the `frames` of `frames_spec`; raises `SourceError`.

    pupil: - topic `frame.depth` of the frames' own device. pupil://HOST[:PORT] - of another device.
    file:PATH[?fps=24] - a folder of 16-bit PNGs or float TIFFs (m), or a 16-bit video, beside frames from file:.
    scale_m: metres of one step of 16 bits.
    """
    name, frames_name = parse_source(spec), parse_source(frames_spec)
    kind, rest, spec = name.kind, name.rest, name.shown
    if kind == "pupil":
        from realtime.sources.pupil import PupilDepth

        own, same_kind = not rest.strip("/"), frames_name.kind == "pupil"
        if own and not same_kind:
            raise SourceError(
                f"{spec!r} is the frames' own device, and frames come from {frames_name.shown}; name its host"
            )
        host, port = _parse_host_and_port(frames_name if own else name)
        same = own or (same_kind and _parse_host_and_port(frames_name) == (host, port))
        return PupilDepth(host, port, same_clock=same, scale_m=scale_m)
    if kind == "file" and rest:
        return _open_depth_file(spec, rest, frames, scale_m)
    raise SourceError(f"{spec!r} is no source of depth; expected one of {DEPTH_SPECS}")


def _open_depth_file(spec: str, rest: str, frames: FrameSource, scale_m: float) -> DepthSource:
    from realtime.sources.depth_file import FileDepth, VideoDepth
    from realtime.sources.video_file import VideoFrames

    path, options = _split_path(spec, rest, "fps")
    if not isinstance(frames, VideoFrames):
        raise SourceError(f"{spec} runs on a clip's clock and needs frames from file:PATH; for live ones use pupil:")
    fps = _parse_fps(spec, options) or frames.fps
    file = _parse_path(spec, path)
    if file.is_file():
        return VideoDepth(file, frames.clock, scale_m)
    return FileDepth(file, frames.clock, fps, scale_m)


def _parse_host_and_port(name: SourceName) -> tuple[str, int]:
    try:
        url = urlsplit(name.text)
        host, port = url.hostname, url.port if url.port is not None else _REMOTE_PORT
    except ValueError:
        host, port = None, 0
    extra = "" if host is None else url.path.strip("/") + url.query + (url.username or "")
    if not host or extra or not 0 < port < 65536 or not re.fullmatch(r"[\w.:%-]+", host):
        raise SourceError(
            f"{name.shown!r} is no device; expected pupil://HOST:PORT, for instance pupil://127.0.0.1:50020"
        )
    check_device_host(host)
    return host, port


def _open_camera(spec: str, rest: str) -> FrameSource:
    camera, _, query = rest.partition("?")
    options = _parse_options(spec, query, "width", "height", "fps")
    is_number = camera.isascii() and camera.isdigit() and len(camera) < 4
    if not is_number and not camera.startswith("/dev/"):
        raise SourceError(
            f"{spec!r}: {camera!r} is no camera; expected camera:0, camera:1 ..., on Linux also camera:/dev/video0 or "
            "camera:/dev/v4l/by-id/NAME"
        )
    numbers = {name: int(_parse_number(spec, name, value, 1, 100_000)) for name, value in options.items()}
    from realtime.sources.camera import CaptureFrames
    from realtime.sources.opencv_capture import open_camera

    return CaptureFrames(
        f"camera {camera}",
        lambda: open_camera(int(camera) if is_number else camera, **numbers),
        f"plug it in, close what else uses it, or try another {'number' if is_number else 'path'}",
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


def _open_stream(name: SourceName) -> FrameSource:
    address = parse_stream(name)
    from realtime.sources.camera import CaptureFrames
    from realtime.sources.opencv_capture import open_stream

    advice = "check the address, the password and that it is switched on"
    return CaptureFrames(address.shown, lambda: open_stream(address.url), advice)


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
