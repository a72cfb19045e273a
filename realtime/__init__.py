"""Runs gazecast in time: sources, tracking, pipeline, messages, viewer, recordings, commands.

`realtime.MaskSubscriber` is what a consumer of the published masks needs, `realtime.Requester` one that asks back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.comms.mask_subscriber import MaskSubscriber
    from realtime.comms.request_client import Requester

if next(Path(__file__).parent.parent.glob("realtime-*.dist-info"), None) is not None:
    raise ImportError(
        f"another distribution with a package `realtime` is installed in {Path(__file__).parent.parent}: files of one "
        "have overwritten those of the other. Install gazecast into an environment of its own."
    )

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
