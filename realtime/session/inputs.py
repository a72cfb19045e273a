"""Opens sources of frames and gaze from a spec such as `pupil://127.0.0.1:50020` or `file:clip.mp4`.

A table says what opens each kind; the library of a kind (ZeroMQ, OpenCV's capture) is imported when it is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from realtime.errors import SourceError
from realtime.session.aria_input import open_aria_frames, open_aria_gaze
from realtime.session.lsl_input import open_lsl_gaze
from realtime.session.realsense_input import open_realsense_frames
from realtime.session.source_options import (
    explain_kind,
    parse_choice,
    parse_flag,
    parse_fps,
    parse_host_and_port,
    parse_number,
    parse_options,
    parse_path,
    parse_pixels,
    split_path,
    take_options,
)
from realtime.session.tobii_input import open_tobii_frames, open_tobii_gaze
from realtime.sources.headset_recordings.detection import detect_recording, list_recordings
from realtime.sources.names import LISTENING, STREAMS, SourceName, parse_source, parse_stream
from realtime.sources.no_gaze import NoGaze
from realtime.types import FrameSource, GazeSource

if TYPE_CHECKING:
    from realtime.sources.neon.companion_api import CompanionAddress

FRAME_SPECS = (
    "pupil://HOST:PORT, camera:N, neon:, tobii://HOST, aria:, file:PATH (a video, pictures or a headset's recording), "
    "recording:FILE.mcap, http://HOST/PATH (also udp, rtmp), rtsp://HOST/PATH, realsense:, browser: and whip: "
    "(with --view)"
)
GAZE_SPECS = (
    "pupil://HOST:PORT, neon:, tobii://HOST, aria:, trace:FILE.csv (with frames from file:), recording: (with frames "
    "from recording:FILE.mcap), lsl:NAME, browser:, webcam or whip: (these three with --view), none (with a word)"
)
PUPIL_PORT = 50020


def open_frames(spec: str) -> FrameSource:
    """Open the source of frames named by `spec`; raises `SourceError`.

    pupil://HOST[:PORT] - the device may appear later. neon://HOST[:PORT], or neon: for the only Neon or Invisible in
    the network - may appear later; likewise tobii: for Tobii Pro Glasses 3, aria: for Project Aria, or
    aria:FILE.vrs. camera:N[?width=&height=&fps=] - the
    camera may appear later; on Linux also camera:/dev/PATH.
    file:PATH[?loop=1&realtime=0&fps=24], or a path alone - must exist; fps is for folders of pictures. A folder may
    also be a recording of Pupil Core, Neon or Invisible; its gaze is the same name.
    rtsp://[?transport=udp], http://, udp://, rtmp:// - may appear later. ?hwaccel=auto decodes a video on a device.
    recording:FILE.mcap[?realtime=0&identity=FILE] - a file of `gazecast run --record`; its gaze is `recording:`.
    browser: - the camera or clip of the live page, whose server passes the frames to it.
    realsense:[SERIAL][?width=&height=&fps=] - an Intel RealSense, which may appear later; it reports its camera model.
    whip: - the video of a wearer who connects over WebRTC, to the live page's server; its gaze is `whip:` too.
    """
    name = parse_source(spec)
    if name.kind not in _FRAMES:
        raise explain_kind(name, "frames", FRAME_SPECS, _FRAMES, _GAZE)
    try:
        return _FRAMES[name.kind](name)
    except OSError as error:  # such as of a name that is too long for a file
        raise SourceError(f"cannot open {name.shown[:80]!r}: {error.strerror or error}") from None


def open_gaze(spec: str, frames: FrameSource | None = None, *, min_confidence: float = 0.0) -> GazeSource:
    """Open the source of gaze named by `spec`; raises `SourceError`.

    trace:FILE[?unit=norm&time=ms&start=SECONDS&size=1920x1080] - a table of gaze; the options say what it does not.
    none - no gaze: a word alone selects the object.
    lsl:[NAME][?unit=px&size=WIDTHxHEIGHT] - a stream of the Lab Streaming Layer, which may appear later.
    frames: a trace or a recording plays on their clock. min_confidence: a trace below it everywhere is refused.
    """
    name = parse_source(spec)
    if name.kind not in _GAZE:
        raise explain_kind(name, "gaze", GAZE_SPECS, _GAZE, _FRAMES)
    return _GAZE[name.kind](name, frames, min_confidence)


def _open_pupil_frames(name: SourceName) -> FrameSource:
    from realtime.sources.pupil.device_sources import PupilFrames

    return PupilFrames(*parse_host_and_port(name, PUPIL_PORT))


def _open_neon_frames(name: SourceName) -> FrameSource:
    from realtime.sources.neon.device_sources import NeonFrames

    return NeonFrames(parse_neon_address(name))


def _open_camera(name: SourceName) -> FrameSource:
    camera, _, query = name.rest.partition("?")
    options = parse_options(name.shown, query, "width", "height", "fps")
    is_number = camera.isascii() and camera.isdigit() and len(camera) < 4
    if not is_number and not camera.startswith("/dev/"):
        raise SourceError(
            f"{name.shown!r}: {camera!r} is no camera; expected camera:0, camera:1 ..., on Linux also "
            "camera:/dev/video0 or camera:/dev/v4l/by-id/NAME"
        )
    numbers = {option: int(parse_number(name.shown, option, text, 1, 100_000)) for option, text in options.items()}
    from realtime.sources.video.capture_frames import CaptureFrames
    from realtime.sources.video.opencv_capture import open_camera

    return CaptureFrames(
        f"camera {camera}",
        lambda: open_camera(int(camera) if is_number else camera, **numbers),
        f"plug it in, close what else uses it, or try another {'number' if is_number else 'path'}",
    )


def _open_video(name: SourceName) -> FrameSource:
    spec = name.shown
    path, options = split_path(spec, name.rest, "loop", "realtime", "fps", "hwaccel")
    loop = parse_flag(spec, options, "loop", default="0")
    real_time = parse_flag(spec, options, "realtime", default="1")
    if not path:
        raise SourceError(f"{spec!r} names no file; expected file:PATH")
    from realtime.sources.video.hardware import list_accelerations

    file, fps = parse_path(spec, path), parse_fps(spec, options)
    hwaccel = parse_choice(spec, options, "hwaccel", list_accelerations())
    if detect_recording(file) is not None:
        if fps is not None:
            raise SourceError(f"{spec!r}: fps is for folders of pictures; {path} is a recording, with its own times")
        from realtime.sources.headset_recordings.recording_sources import open_recording

        return open_recording(file, loop=loop, real_time=real_time, hwaccel=hwaccel)
    from realtime.sources.video.video_file import VideoFrames

    try:
        return VideoFrames(file, loop=loop, real_time=real_time, fps=fps, hwaccel=hwaccel)
    except SourceError:
        recordings = list_recordings(file) if file.is_dir() else []
        if not recordings:
            raise
        names = ", ".join(recordings[:5])
        raise SourceError(
            f"{path} holds {len(recordings)} recordings of a headset ({names}); name one of them"
        ) from None


def _open_recording(name: SourceName) -> FrameSource:
    spec = name.shown
    path, options = split_path(spec, name.rest, "realtime", "identity")
    if not path:
        raise SourceError(f"{spec!r} names no file; expected recording:FILE.mcap")
    real_time = parse_flag(spec, options, "realtime", default="1")
    from realtime.recording.playback import RecordedFrames

    identity = parse_path(spec, options["identity"]) if "identity" in options else None
    return RecordedFrames(parse_path(spec, path), real_time=real_time, identity=identity)


def _open_stream(name: SourceName) -> FrameSource:
    rest, options = take_options(name.rest, "transport", "hwaccel")
    address = parse_stream(SourceName(name.kind, rest))
    from realtime.sources.video.hardware import has_protocol, list_accelerations
    from realtime.sources.video.stream_frames import StreamFrames
    from realtime.sources.video.stream_options import TRANSPORTS, StreamSettings

    transport = parse_choice(name.shown, options, "transport", TRANSPORTS)
    hwaccel = parse_choice(name.shown, options, "hwaccel", list_accelerations())
    if name.kind == "srt" and not has_protocol(name.kind):
        raise SourceError("srt is not in the FFmpeg of the package av; send rtsp, rtmp or a transport stream over udp")
    is_awaited = name.kind in LISTENING
    return StreamFrames(StreamSettings(address.url, address.shown, is_awaited, transport, hwaccel))


def _open_browser_frames(name: SourceName) -> FrameSource:
    _check_bare(name, "frames", FRAME_SPECS)
    from realtime.sources.browser import BrowserFrames

    return BrowserFrames()


def _open_pupil_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    from realtime.sources.pupil.device_sources import PupilGaze

    return PupilGaze(*parse_host_and_port(name, PUPIL_PORT))


def _open_neon_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    from realtime.sources.neon.device_sources import NeonGaze

    return NeonGaze(parse_neon_address(name))


def _open_trace(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    from realtime.sources.gaze_files.layouts import TIME_UNITS_S
    from realtime.sources.gaze_files.trace import read_trace
    from realtime.sources.gaze_files.trace_gaze import TraceGaze
    from realtime.sources.gaze_files.trace_values import ClipFacts, TraceOptions
    from realtime.sources.video.video_file import VideoFrames

    spec = name.shown
    path, options = split_path(spec, name.rest, "unit", "time", "start", "size")
    if not path:
        raise SourceError(f"{spec!r} names no file; expected trace:FILE.csv")
    if not isinstance(frames, VideoFrames):
        raise SourceError(
            f"{spec} runs on a clip's clock and needs frames from file:PATH; for live frames, use pupil://"
        )
    for option, allowed in (("unit", ("px", "norm")), ("time", tuple(TIME_UNITS_S))):
        if (text := options.get(option)) not in (None, *allowed):
            raise SourceError(f"{spec!r}: {option} is {text!r}; expected {', '.join(allowed)}")
    start_s = parse_number(spec, "start", options["start"], -1e12, 1e12) if "start" in options else None
    start_on_clock_s = getattr(frames, "start_s", None)  # of a headset's recording
    facts = ClipFacts(frames.size, frames.duration_s, min_confidence, frames.path, start_on_clock_s)
    chosen = TraceOptions(options.get("time"), options.get("unit"), start_s, parse_pixels(spec, options, "size"))
    return TraceGaze(read_trace(parse_path(spec, path), facts, chosen), frames.clock)


def _open_headset_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    from realtime.sources.headset_recordings.recording_sources import RecordingFrames, open_recorded_gaze

    if not isinstance(frames, RecordingFrames) or name.path != frames.path:
        raise SourceError(
            f"{name.shown} is no gaze of the frames' own recording; for gaze of a file use trace:FILE, for the mouse "
            "--view"
        )
    return open_recorded_gaze(frames, min_confidence)


def _open_recorded_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    from realtime.recording.playback import RecordedFrames, RecordedGaze

    if not isinstance(frames, RecordedFrames):
        raise SourceError(f"{name.shown} is the gaze of a recording and needs its frames, from recording:FILE.mcap")
    return RecordedGaze(frames)


def _open_browser_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    _check_bare(name, "gaze", GAZE_SPECS)
    from realtime.sources.browser import BrowserGaze

    return BrowserGaze()


def _refuse_webcam(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    raise SourceError(f"{name.shown!r} is gaze on the page of a run; use it with gazecast run --view")


def _open_whip_frames(name: SourceName) -> FrameSource:
    _check_bare(name, "frames", FRAME_SPECS)
    from realtime.sources.webrtc.receiver import WebRtcReceiver
    from realtime.sources.webrtc.wearer_sources import WebRtcFrames

    return WebRtcFrames(WebRtcReceiver())


def _open_whip_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    _check_bare(name, "gaze", GAZE_SPECS)
    from realtime.sources.webrtc.receiver import WebRtcReceiver
    from realtime.sources.webrtc.wearer_sources import WebRtcFrames, WebRtcGaze

    return WebRtcGaze(frames.receiver if isinstance(frames, WebRtcFrames) else WebRtcReceiver())


def _check_bare(name: SourceName, what: str, specs: str) -> None:
    if name.rest:
        raise SourceError(f"{name.shown!r} is no source of {what}; expected one of {specs}")


def parse_neon_address(name: SourceName) -> CompanionAddress | None:
    """Parse the address of a Neon or Invisible; None for the only one in the network. Raises `SourceError`."""
    from realtime.sources.neon.companion_api import DEFAULT_PORT, CompanionAddress

    if not name.rest.strip("/"):
        return None
    return CompanionAddress(*parse_host_and_port(name, DEFAULT_PORT))


_FRAMES: dict[str, Callable[[SourceName], FrameSource]] = {
    "pupil": _open_pupil_frames,
    "neon": _open_neon_frames,
    "tobii": open_tobii_frames,
    "aria": open_aria_frames,
    "camera": _open_camera,
    "file": _open_video,
    "recording": _open_recording,
    "browser": _open_browser_frames,
    "realsense": open_realsense_frames,
    "whip": _open_whip_frames,
    **dict.fromkeys(STREAMS, _open_stream),
}
_GAZE: dict[str, Callable[[SourceName, FrameSource | None, float], GazeSource]] = {
    "pupil": _open_pupil_gaze,
    "neon": _open_neon_gaze,
    "tobii": open_tobii_gaze,
    "aria": open_aria_gaze,
    "trace": _open_trace,
    "file": _open_headset_gaze,
    "recording": _open_recorded_gaze,
    "browser": _open_browser_gaze,
    "whip": _open_whip_gaze,
    "lsl": open_lsl_gaze,
    "webcam": _refuse_webcam,
    "none": lambda name, frames, min_confidence: NoGaze(),
}
