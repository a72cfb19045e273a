"""Time and streams: sources, clocks, gaze, keyframes, motion, tracking, pipeline, wire, command.

`realtime.MaskSubscriber` is what a consumer of the published masks needs, `realtime.Requester` one that asks back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.comms.mask_subscriber import MaskSubscriber
    from realtime.comms.request_client import Requester

__all__ = ["MaskSubscriber", "Requester"]


def __getattr__(name: str) -> Any:
    """Import on first use: every module of this package runs this file, and most need no sockets."""
    if name == "MaskSubscriber":
        from realtime.comms.mask_subscriber import MaskSubscriber

        return MaskSubscriber
    if name == "Requester":
        from realtime.comms.request_client import Requester

        return Requester
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
