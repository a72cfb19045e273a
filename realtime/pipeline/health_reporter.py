"""Publishes `health` once a second, and at once when the state changes, on the health thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from engines import Decoder
from realtime.comms.messages import HealthMessage
from realtime.infra.clock import now_ns, wall_ns
from realtime.infra.machine import measure_memory_mib
from realtime.infra.output import escape_controls, redact_passwords
from realtime.pipeline.context import PipelineContext
from realtime.pipeline.encode_worker import EncodeWorker
from realtime.pipeline.health import HealthState, assess_health
from realtime.types import FrameSource, GazeSource, SourceStatus

HEALTH_S, CHECK_S = 1.0, 0.1
"""Periods of publishing, and of checking whether the state has changed, which is published at once."""


class HealthReporter:
    """A worker that publishes state, rates, latencies and drops."""

    def __init__(
        self, context: PipelineContext, frames: FrameSource, gaze: GazeSource, encode_worker: EncodeWorker
    ) -> None:
        self._context, self._frames, self._gaze, self._encode_worker = context, frames, gaze, encode_worker
        self.decoder: Decoder | None = None
        """Its engine is published; None until the engine is open."""
        self._state: HealthState | None = None  # the last published

    def run(self) -> None:
        """Publish once a second and whenever the state changes, until the pipeline stops; the health thread's body."""
        while not self._context.stopping.is_set():
            self.report()
            reported_ns = now_ns()
            while not self._context.stopping.wait(CHECK_S) and now_ns() - reported_ns < HEALTH_S * 1e9:
                if self._assess(now_ns())[0] != self._state:
                    break

    def report(self) -> None:
        """Publish `health` once and call the observers' `on_health`. From any thread."""
        with self._context.guard("health"):
            health = self._collect()
            self._context.publisher.publish("health", health.to_fields())
            self._context.notify(lambda observer: observer.on_health(health))

    def _collect(self) -> HealthMessage:
        context, at_ns = self._context, now_ns()
        state, reason = self._assess(at_ns)
        self._state = state
        frames, gaze = self._frames.status(), self._gaze.status()
        snapshot = context.metrics.snapshot(at_ns)
        dropped = self._count_drops(snapshot.dropped, frames, gaze)
        engine = asdict(self.decoder.info) if self.decoder is not None else {}
        if (side := self._encode_worker.picture_side) is not None:
            engine["picture_side"] = side
        step = asdict(context.options.preparation()) if state == "preparing" else {}
        return HealthMessage(
            state, escape_controls(redact_passwords(reason)), snapshot.rates, snapshot.latency_ms, dropped,
            measure_memory_mib(), engine, wall_ns(),
            access=dict(context.options.access), **step,
        )  # fmt: skip

    def _assess(self, at_ns: int) -> tuple[HealthState, str]:
        context, metrics = self._context, self._context.metrics
        return assess_health(
            is_ready=context.ready.is_set(), is_opening=context.is_opening, is_stopping=context.stopping.is_set(),
            frames=self._frames.status(), gaze=self._gaze.status(),
            frame_age_ns=metrics.age_ns("frames", at_ns), gaze_age_ns=metrics.age_ns("gaze", at_ns),
            frame_period_ns=metrics.measure_period_ns("frames"), gaze_period_ns=metrics.measure_period_ns("gaze"),
            on_picture_age_ns=None if context.on_picture_ns is None else at_ns - context.on_picture_ns,
            error="; ".join(self._errors(at_ns)),
        )  # fmt: skip

    def _errors(self, at_ns: int) -> list[str]:
        observers = self._context.options.observers
        problems = [*(observer.problem() for observer in observers), self._encode_worker.find_problem(at_ns)]
        return [*self._context.guard.errors(), *filter(None, problems)]

    def _count_drops(self, counted: dict[str, int], frames: SourceStatus, gaze: SourceStatus) -> dict[str, int]:
        dropped = Counter(counted)
        dropped["frames.superseded"] = self._context.frames.dropped
        dropped["gaze.overflow"] = self._context.gaze.dropped
        for name, source in (("frames", frames), ("gaze", gaze)):
            dropped.update({f"{name}.{why}": count for why, count in source.dropped.items()})
        for observer in self._context.options.observers:
            dropped.update(observer.drop_counts())
        return {name: count for name, count in dropped.items() if count}
