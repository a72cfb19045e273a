"""Decides the `state` and `reason` that `health` publishes. Pure."""

from __future__ import annotations

from typing import Literal

from realtime.comms.messages import StreamHealth
from realtime.types import SourceStatus

HealthState = Literal["starting", "preparing", "running", "idle", "degraded", "stopping"]
"""idle: nothing is wrong, but no gaze is on the picture. degraded: something does not work as it should."""
SILENT_NS = 1_000_000_000
"""Frames arrive at 5 Hz or more and gaze at 30 Hz or more: a second without either is an error, not a pause."""
MISSED_PERIODS = 10
"""A stream that was faster is silent after so many of its periods, as in openpilot's health contract."""
BLINK_NS = 600_000_000
"""But not sooner than this: an eye tracker may send nothing during a blink, and a network may pause."""

STEADY_SHARE = 0.9
"""Of its usual rate, which a stream has to keep."""


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
    frame_period_ns: int | None = None,
    gaze_period_ns: int | None = None,
    has_word: bool = False,
    error: str = "",
) -> tuple[HealthState, str]:
    """Return the state and its reason; the reason is empty when nothing is wrong.

    Ages are ns since the last frame, gaze sample and gaze sample on the picture; None if there was none. Periods are
    those of the last frames and samples, ns; None while they are unknown.
    has_word: a word selects the object while there is no gaze.
    error: the present errors of stages and observers, "" if there are none.
    """
    if is_stopping:
        return "stopping", ""
    reasons = [
        _explain_silence("frames", frames, frame_age_ns, frame_period_ns),
        _explain_silence("gaze", gaze, gaze_age_ns, gaze_period_ns),
        error,
    ]
    problem = "; ".join(filter(None, reasons))
    awaited = (frames,) if has_word else (frames, gaze)
    hint = next((source.reason for source in awaited if source.state == "idle"), "")
    if not is_ready:
        return "preparing" if is_opening else "starting", problem or hint
    if problem:
        return "degraded", problem
    if not (hint or has_word) and (on_picture_age_ns is None or on_picture_age_ns > SILENT_NS):
        hint = "the eyes are outside the picture, or closed"
    return ("idle", hint) if hint else ("running", "")


def _explain_silence(kind: str, source: SourceStatus, age_ns: int | None, period_ns: int | None) -> str:
    if source.state == "idle":
        return ""
    if source.state == "ended":
        return f"{kind}: ended" + (f" ({source.reason})" if source.reason else "")
    if age_ns is not None and age_ns < limit_silence(period_ns):  # a source that works may have something to say, too
        return f"{kind}: {source.reason}" if source.state == "running" and source.reason else ""
    since = "none yet" if age_ns is None else "stopped"
    cause = source.reason or ("" if source.state == "running" else source.state)
    return f"{kind}: {since}" + (f" ({cause})" if cause else "")


def assess_stream(
    rate: float, usual: float, age_ns: int | None, period_ns: int | None, *, is_on_demand: bool = False
) -> StreamHealth:
    """Return one row of the table of streams.

    rate, usual: Hz; usual is 0 where nothing is expected. is_on_demand: it has pauses that are no silence.
    """
    is_alive = age_ns is not None and (is_on_demand or age_ns < limit_silence(period_ns))
    age_ms = -1.0 if age_ns is None else round(age_ns / 1e6, 1)
    return StreamHealth(rate, usual, age_ms, is_alive, rate >= STEADY_SHARE * usual)


def limit_silence(period_ns: int | None) -> int:
    """Return after which time without a message a stream of this period is silent, ns."""
    return SILENT_NS if period_ns is None else min(max(MISSED_PERIODS * period_ns, BLINK_NS), SILENT_NS)
