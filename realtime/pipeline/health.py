"""Whether the pipeline is well, and if not, why and what to do: the `state` and `reason` of `health`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realtime.types import SourceStatus

HealthState = Literal["starting", "running", "degraded", "stopping"]
SILENT_NS = 1_000_000_000
"""Frames come at 5 Hz and gaze at 30 Hz at the least: a second without is trouble, not a pause."""


@dataclass(frozen=True, slots=True)
class HealthInputs:
    """What the judgement rests on. Ages are ns since the last frame, gaze sample and keyframe; None if there was none.

    engine_error: the last encode's or decode's error, "" when it succeeded.
    """

    ready: bool
    stopping: bool
    frames: SourceStatus
    gaze: SourceStatus
    frame_age_ns: int | None
    gaze_age_ns: int | None
    engine_error: str = ""


def assess_health(signs: HealthInputs) -> tuple[HealthState, str]:
    """State and reason; the reason is empty when all is well."""
    if signs.stopping:
        return "stopping", ""
    troubles = [
        _silence("frames", signs.frames, signs.frame_age_ns),
        _silence("gaze", signs.gaze, signs.gaze_age_ns),
        signs.engine_error,
    ]
    reason = "; ".join(trouble for trouble in troubles if trouble)
    if not signs.ready:
        return "starting", reason
    return ("degraded", reason) if reason else ("running", "")


def _silence(what: str, source: SourceStatus, age_ns: int | None) -> str:
    if source.state == "ended":
        return f"{what}: ended"
    if age_ns is not None and age_ns < SILENT_NS:
        return ""
    since = "none yet" if age_ns is None else f"none for {age_ns / 1e9:.0f} s"
    why = source.reason or ("" if source.state == "running" else source.state)
    return f"{what}: {since}" + (f" ({why})" if why else "")
