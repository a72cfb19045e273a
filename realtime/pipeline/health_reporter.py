"""Publishes `health` once a second on the health thread."""

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
from realtime.pipeline.health import assess_health
from realtime.types import FrameSource, GazeSource, SourceStatus

HEALTH_S = 1.0
STUCK_NS = 5_000_000_000  # slower than any encoder on any machine this is for


class HealthReporter:
    """A worker that publishes state, rates, latencies and drops."""

    def __init__(
        self, context: PipelineContext, frames: FrameSource, gaze: GazeSource, encode_worker: EncodeWorker
    ) -> None:
        self._context, self._frames, self._gaze, self._encode_worker = context, frames, gaze, encode_worker
        self.decoder: Decoder | None = None
        """Its engine is published; None until the engine is open."""

    def run(self) -> None:
        """Publish once a second until the pipeline stops; the body of the health thread."""
        while True:
            self.report()
            if self._context.stopping.wait(HEALTH_S):
                return

    def report(self) -> None:
        """Publish `health` once and call the observers' `on_health`. From any thread."""
        with self._context.guard("health"):
            health = self._collect()
            self._context.publisher.publish("health", health.to_fields())
            self._context.notify(lambda observer: observer.on_health(health))

    def _collect(self) -> HealthMessage:
        context, at_ns = self._context, now_ns()
        errors = self._errors(at_ns)
        frames, gaze = self._frames.status(), self._gaze.status()
        state, reason = assess_health(
            is_ready=context.ready.is_set(), is_opening=context.is_opening, is_stopping=context.stopping.is_set(),
            frames=frames, gaze=gaze,
            frame_age_ns=context.metrics.age_ns("frames", at_ns), gaze_age_ns=context.metrics.age_ns("gaze", at_ns),
            on_picture_age_ns=None if context.on_picture_ns is None else at_ns - context.on_picture_ns,
            error="; ".join(errors),
        )  # fmt: skip
        snapshot = context.metrics.snapshot(at_ns)
        dropped = self._count_drops(snapshot.dropped, frames, gaze)
        engine = asdict(self.decoder.info) if self.decoder is not None else {}
        if (side := self._encode_worker.picture_side) is not None:
            engine["picture_side"] = side
        step = asdict(context.options.preparation()) if state == "preparing" else {}
        return HealthMessage(
            state, escape_controls(redact_passwords(reason)), snapshot.rates, snapshot.latency_ms, dropped,
            measure_memory_mib(), engine, wall_ns(), **step,
        )  # fmt: skip

    def _errors(self, at_ns: int) -> list[str]:
        observers = self._context.options.observers
        errors = [*self._context.guard.errors(), *filter(None, (observer.problem() for observer in observers))]
        busy_ns = self._encode_worker.busy_ns(at_ns)
        if busy_ns > STUCK_NS:
            errors.append(f"encode: busy with one frame for {busy_ns / 1e9:.0f} s")
        return errors

    def _count_drops(self, counted: dict[str, int], frames: SourceStatus, gaze: SourceStatus) -> dict[str, int]:
        dropped = Counter(counted)
        dropped["frames.superseded"] = self._context.frames.dropped
        dropped["gaze.overflow"] = self._context.gaze.dropped
        for name, source in (("frames", frames), ("gaze", gaze)):
            dropped.update({f"{name}.{why}": count for why, count in source.dropped.items()})
        for observer in self._context.options.observers:
            dropped.update(observer.drop_counts())
        return {name: count for name, count in dropped.items() if count}
