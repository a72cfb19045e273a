"""Decides the `state` and `reason` that `health` publishes. Pure."""

from __future__ import annotations

from typing import Literal

from realtime.types import SourceStatus

HealthState = Literal["starting", "preparing", "running", "idle", "degraded", "stopping"]
"""idle: nothing is wrong, but no gaze is on the picture. degraded: something does not work as it should."""
SILENT_NS = 1_000_000_000
"""Frames arrive at 5 Hz or more and gaze at 30 Hz or more: a second without either is an error, not a pause."""


def assess_health(
    *,
    is_ready: bool,
    is_opening: bool = False,
    is_stopping: bool,
    frames: SourceStatus,
    gaze: SourceStatus,
    frame_age_ns: int | None,
    gaze_age_ns: int | None,
    on_picture_age_ns: int | None,
    error: str = "",
) -> tuple[HealthState, str]:
    """Return the state and its reason; the reason is empty when nothing is wrong.

    Ages are ns since the last frame, gaze sample and gaze sample on the picture; None if there was none.
    error: the present errors of stages and observers, "" if there are none.
    """
    if is_stopping:
        return "stopping", ""
    reasons = [_explain_silence("frames", frames, frame_age_ns), _explain_silence("gaze", gaze, gaze_age_ns), error]
    problem = "; ".join(filter(None, reasons))
    hint = next((source.reason for source in (frames, gaze) if source.state == "idle"), "")
    if not is_ready:
        return "preparing" if is_opening else "starting", problem or hint
    if problem:
        return "degraded", problem
    if not hint and (on_picture_age_ns is None or on_picture_age_ns > SILENT_NS):
        hint = "the eyes are outside the picture, or closed"
    return ("idle", hint) if hint else ("running", "")


def _explain_silence(kind: str, source: SourceStatus, age_ns: int | None) -> str:
    if source.state == "idle":
        return ""
    if source.state == "ended":
        return f"{kind}: ended" + (f" ({source.reason})" if source.reason else "")
    if age_ns is not None and age_ns < SILENT_NS:  # a source that works may have something to say, too
        return f"{kind}: {source.reason}" if source.state == "running" and source.reason else ""
    since = "none yet" if age_ns is None else f"none for {age_ns / 1e9:.0f} s"
    cause = source.reason or ("" if source.state == "running" else source.state)
    return f"{kind}: {since}" + (f" ({cause})" if cause else "")
