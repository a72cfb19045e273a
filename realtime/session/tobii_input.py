"""Opens frames and gaze of Tobii Pro Glasses 3 from a name such as `tobii://HOST`."""

from __future__ import annotations

from realtime.errors import SourceError
from realtime.session.source_options import parse_host_and_port
from realtime.sources.names import SourceName
from realtime.sources.tobii.connection import DEFAULT_PORT, GlassesAddress
from realtime.sources.tobii.discovery import has_discovery
from realtime.types import FrameSource, GazeSource


def open_tobii_frames(name: SourceName) -> FrameSource:
    """Open the scene camera."""
    address = _parse_address(name)
    from realtime.sources.tobii.device_sources import TobiiFrames

    return TobiiFrames(address)


def open_tobii_gaze(name: SourceName, frames: FrameSource | None, min_confidence: float) -> GazeSource:
    """Open the gaze."""
    address = _parse_address(name)
    from realtime.sources.tobii.device_sources import TobiiGaze

    return TobiiGaze(address)


def _parse_address(name: SourceName) -> GlassesAddress | None:
    """Parse the address; None for the only glasses in the network. Raises `SourceError`."""
    if name.rest.strip("/"):
        return GlassesAddress(*parse_host_and_port(name, DEFAULT_PORT))
    if not has_discovery():
        raise SourceError("tobii: needs zeroconf to find the glasses: pip install -e '.[tobii]', or name tobii://HOST")
    return None
