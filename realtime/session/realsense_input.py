"""Opens an Intel RealSense as a source of frames and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime.errors import SourceError
from realtime.session.source_options import parse_number, parse_options
from realtime.sources.names import SourceName
from realtime.types import FrameSource

if TYPE_CHECKING:
    from realtime.sources.depth import DepthScale, DepthSource
    from realtime.sources.realsense.camera import StreamMode


def open_realsense_frames(name: SourceName) -> FrameSource:
    """Open realsense:[SERIAL][?width=&height=&fps=]; raises `SourceError`."""
    from realtime.sources.realsense.camera import RealSenseFrames

    return RealSenseFrames(*_parse_realsense(name))


def open_realsense_depth(
    name: SourceName, frames: FrameSource, frames_name: SourceName, scale_m: DepthScale
) -> DepthSource:
    """Open depth of the frames' own camera, or of another one; raises `SourceError`."""
    from realtime.sources.realsense.camera import RealSenseFrames, open_depth_alone

    serial, mode = _parse_realsense(name)
    if isinstance(frames, RealSenseFrames):
        if serial in ("", frames.serial):
            return frames.open_depth(mode, scale_m)
        if not frames.serial:
            raise SourceError(
                f"{name.shown!r} may be the camera of the frames; name that one too: --source realsense:SERIAL"
            )
    return open_depth_alone(serial, mode, scale_m)


def _parse_realsense(name: SourceName) -> tuple[str, StreamMode]:
    from realtime.sources.realsense.camera import StreamMode

    serial, _, query = name.rest.removeprefix("//").partition("?")
    if serial and not serial.isalnum():
        raise SourceError(f"{name.shown!r}: {serial!r} is no serial number; expected realsense: or realsense:SERIAL")
    options = parse_options(name.shown, query, "width", "height", "fps")
    numbers = {option: int(parse_number(name.shown, option, text, 1, 100_000)) for option, text in options.items()}
    return serial, StreamMode(**numbers)
