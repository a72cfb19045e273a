"""Opens sources of depth from a spec such as `pupil:` or `file:FOLDER`, beside the frames of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from realtime.errors import SourceError
from realtime.session.inputs import PUPIL_PORT
from realtime.session.realsense_input import open_realsense_depth
from realtime.session.source_options import parse_fps, parse_host_and_port, parse_path, split_path
from realtime.sources.names import SourceName, parse_source
from realtime.types import FrameSource

if TYPE_CHECKING:
    from realtime.sources.depth import DepthScale, DepthSource

DEPTH_SPECS = (
    "pupil: (the frames' own device), pupil://HOST:PORT, realsense:[SERIAL], file:PATH (a folder or a video, with "
    "frames from file:)"
)


def open_depth(spec: str, frames: FrameSource, frames_spec: str, *, scale_m: DepthScale = "auto") -> DepthSource:
    """Open the source of depth named by `spec`, for the `frames` of `frames_spec`; raises `SourceError`.

    pupil: - topic `frame.depth` of the frames' own device. pupil://HOST[:PORT] - of another device.
    realsense:[SERIAL][?width=&height=&fps=] - aligned with the frames where these come from the same camera.
    file:PATH[?fps=24] - a folder of 16-bit PNGs or float TIFFs (m), or a 16-bit video, beside frames from file:.
    scale_m: metres of one step of 16 bits; "auto" uses those that the device reports, else a millimetre.
    """
    name = parse_source(spec)
    if name.kind not in _DEPTH:
        raise SourceError(f"{name.shown!r} is no source of depth; expected one of {DEPTH_SPECS}")
    return _DEPTH[name.kind](name, frames, parse_source(frames_spec), scale_m)


def _open_pupil_depth(
    name: SourceName, frames: FrameSource, frames_name: SourceName, scale_m: DepthScale
) -> DepthSource:
    from realtime.sources.pupil.device_sources import PupilDepth

    is_own, is_same_kind = not name.rest.strip("/"), frames_name.kind == "pupil"
    if is_own and not is_same_kind:
        raise SourceError(
            f"{name.shown!r} is the frames' own device, and frames come from {frames_name.shown}; name its host"
        )
    host, port = parse_host_and_port(frames_name if is_own else name, PUPIL_PORT)
    is_same = is_own or (is_same_kind and parse_host_and_port(frames_name, PUPIL_PORT) == (host, port))
    return PupilDepth(host, port, same_clock=is_same, scale_m=scale_m)


def _open_depth_file(
    name: SourceName, frames: FrameSource, frames_name: SourceName, scale_m: DepthScale
) -> DepthSource:
    from realtime.sources.video.depth_file import FileDepth, VideoDepth
    from realtime.sources.video.video_file import VideoFrames

    spec = name.shown
    path, options = split_path(spec, name.rest, "fps")
    if not path:
        raise SourceError(f"{spec!r} names no file; expected file:PATH")
    if not isinstance(frames, VideoFrames):
        raise SourceError(f"{spec} runs on a clip's clock and needs frames from file:PATH; for live ones use pupil:")
    fps = parse_fps(spec, options) or frames.fps
    file = parse_path(spec, path)
    if file.is_file():
        return VideoDepth(file, frames.clock, scale_m)
    return FileDepth(file, frames.clock, fps, scale_m)


_DEPTH: dict[str, Callable[[SourceName, FrameSource, SourceName, DepthScale], DepthSource]] = {
    "pupil": _open_pupil_depth,
    "realsense": open_realsense_depth,
    "file": _open_depth_file,
}
