"""Injects one fault into a run, and reports what it did."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.fault_stage import FaultStage
from tests.realtime.waiting import eventually

MAX_CLAIM_NS = 250_000_000
"""A mask whose `captured_ns` is later than its frame was sent by more is stale and shown as new."""


@dataclass(slots=True)
class FaultReport:
    """Holds what a fault did.

    states: of `health` while it lasted and after it, each with its reason. degraded_s: from its begin to the first
    `degraded`. recovered_s: from its end to the first mask of a later frame while `health` is `running`. lost: frames
    sent in between that have no mask. stale: masks that claim a later time than their frame has, or are out of order.
    """

    name: str
    cause: str
    states: list[str] = field(default_factory=list)
    degraded_s: float | None = None
    recovered_s: float | None = None
    is_permanent: bool = False
    lost: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """Describes a fault: what begins it and what ends it.

    is_felt: whether `health` must be `degraded` while it lasts. is_lasting: whether it stays so, as of a recording that
    has ended. is_permanent: nothing ends it, and the run recovers by itself; the recovery counts from its begin.
    awaits: what must happen before it ends, by the host time of its begin. least_s: how long it lasts at least in the
    table of the documentation.
    """

    name: str
    cause: str
    begin: Callable[[FaultStage], None]
    end: Callable[[FaultStage], None]
    is_felt: bool = True
    is_lasting: bool = False
    is_permanent: bool = False
    awaits: Callable[[FaultStage, int], bool] = lambda stage, begun_ns: True
    least_s: float = 0.0


def inject_fault(stage: FaultStage, fault: InjectedFault, lasts_s: float) -> FaultReport:
    """Let a fault begin, last for a time and end, and wait until the run is healthy again."""
    healthy_ns = time.monotonic_ns()
    eventually(lambda: stage.is_healthy(healthy_ns), f"a healthy run before {fault.name}")
    begun_ns = time.monotonic_ns()
    fault.begin(stage)
    if fault.is_felt:
        eventually(lambda: _first_degraded(stage, begun_ns) is not None, f"degraded by {fault.name}")
    if fault.is_permanent:
        eventually(lambda: stage.is_healthy(begun_ns), f"recovery from {fault.name}")
        report = _report(stage, fault, begun_ns, begun_ns)
        fault.end(stage)
        return report
    while time.monotonic_ns() < begun_ns + round(lasts_s * 1e9):
        time.sleep(0.01)
    eventually(lambda: fault.awaits(stage, begun_ns), f"the last effect of {fault.name}")
    ended_ns = time.monotonic_ns()
    fault.end(stage)
    eventually(
        lambda: stage.find_fresh_mask(ended_ns) if fault.is_lasting else stage.is_healthy(ended_ns),
        f"recovery from {fault.name}",
    )
    return _report(stage, fault, begun_ns, ended_ns)


def _first_degraded(stage: FaultStage, since_ns: int) -> int | None:
    return next((at for at, health in stage.run.health(since_ns) if health.state == "degraded"), None)


def _report(stage: FaultStage, fault: InjectedFault, begun_ns: int, ended_ns: int) -> FaultReport:
    report = FaultReport(fault.name, fault.cause, is_permanent=fault.is_permanent)
    for _, health in stage.run.health(begun_ns):
        text = health.state + (f" ({health.reason})" if health.reason else "")
        if text not in report.states[-1:]:
            report.states.append(text)
    degraded_ns = _first_degraded(stage, begun_ns)
    report.degraded_s = None if degraded_ns is None else (degraded_ns - begun_ns) / 1e9
    fresh_ns = stage.find_fresh_mask(ended_ns)
    assert fresh_ns is not None
    recovered_ns = fresh_ns if fault.is_lasting else max(fresh_ns, _find_running(stage, ended_ns))
    report.recovered_s = (recovered_ns - ended_ns) / 1e9
    masks = stage.run.masks(begun_ns)
    shown = {mask.frame.timestamp for mask in masks}
    report.lost = sum(
        ended_ns <= sent_ns <= recovered_ns and timestamp not in shown for timestamp, sent_ns in stage.sent_ns().items()
    )
    report.stale = count_stale(stage, begun_ns)
    return report


def _find_running(stage: FaultStage, since_ns: int) -> int:
    """Return when `health` was `running` again after the last `degraded`; `since_ns` where it was not degraded."""
    health = stage.run.health(since_ns)
    troubled_ns = max((at for at, message in health if message.state == "degraded"), default=0)
    return (
        next(at for at, message in health if at > troubled_ns and message.state == "running")
        if troubled_ns
        else since_ns
    )


def count_stale(stage: FaultStage, since_ns: int) -> int:
    """Count masks that claim a later capture than their frame's, or are older than the one before."""
    stale, newest_ns, times = 0, 0, stage.sent_ns()
    for mask in stage.run.masks(since_ns):
        sent_ns = times.get(mask.frame.timestamp)
        if sent_ns is None:
            continue
        stale += mask.captured_ns > sent_ns + MAX_CLAIM_NS or sent_ns < newest_ns
        newest_ns = max(newest_ns, sent_ns)
    return stale
