"""Publishes `health` once a second, and at once when the state changes, on the health thread."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict

from realtime.comms.messages import HealthMessage, StreamHealth
from realtime.infra.clock import now_ns, wall_ns
from realtime.infra.heartbeat import Heartbeat
from realtime.infra.machine import measure_memory_mib
from realtime.infra.output import escape_controls, redact_passwords
from realtime.pipeline.context import PipelineContext
from realtime.pipeline.encode_worker import EncodeWorker
from realtime.pipeline.engine_watch import EngineWatch
from realtime.pipeline.health import HealthState, assess_health, assess_stream
from realtime.types import FrameSource, GazeSource, SourceStatus

HEALTH_S, CHECK_S = 1.0, 0.1
"""Periods of publishing, and of checking whether the state has changed, which is published at once."""
USUAL_RATES, MIN_RATES = 300, 10
"""Readings of a stream's rate whose median is its usual one, about one a second; with fewer nothing is expected."""


class HealthReporter:
    """A worker that publishes state, rates, latencies and drops."""

    def __init__(
        self, context: PipelineContext, frames: FrameSource, gaze: GazeSource, encode_worker: EncodeWorker
    ) -> None:
        self._context, self._frames, self._gaze, self._encode_worker = context, frames, gaze, encode_worker
        self.engine: EngineWatch | None = None
        """None until it is open."""
        self._state: HealthState | None = None  # the last published
        self._rates = {name: deque[float](maxlen=USUAL_RATES) for name in ("frames", "gaze")}

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
        engine = self.engine.describe() if self.engine is not None else {}
        if (side := self._encode_worker.picture_side) is not None:
            engine["picture_side"] = side
        step = asdict(context.options.preparation()) if state == "preparing" else {}
        return HealthMessage(
            state, escape_controls(redact_passwords(reason)), snapshot.rates, snapshot.latency_ms, dropped,
            measure_memory_mib(), engine, wall_ns(), access=dict(context.options.access),
            streams=self._assess_streams(snapshot.rates, at_ns),
            hung=tuple(beat.name for beat in self._heartbeats() if beat.problem(at_ns)), **step,
        )  # fmt: skip

    def _assess_streams(self, rates: dict[str, float], at_ns: int) -> dict[str, StreamHealth]:
        """Return the table of streams. A mask is expected for every frame while the eyes are on the picture."""
        metrics, usual = self._context.metrics, {"masks": rates.get("frames", 0.0)}
        for name, readings in self._rates.items():
            if rate := rates.get(name, 0.0):
                readings.append(rate)
            usual[name] = statistics.median(readings) if len(readings) >= MIN_RATES else 0.0
        if self._state != "running":
            usual["masks"] = 0.0
        return {
            name: assess_stream(
                rates[name], round(usual.get(name, 0.0), 1), metrics.age_ns(name, at_ns),
                metrics.measure_period_ns(name), is_on_demand=name not in self._rates,
            )
            for name in ("frames", "gaze", "masks", "keyframes") if name in rates
        }  # fmt: skip

    def _heartbeats(self) -> Iterator[Heartbeat]:
        """Yield those of the pipeline's threads and of the observers'."""
        yield from self._context.heartbeats
        for observer in self._context.options.observers:
            yield from observer.heartbeats()

    def _assess(self, at_ns: int) -> tuple[HealthState, str]:
        context, metrics = self._context, self._context.metrics
        return assess_health(
            is_ready=context.ready.is_set(), is_opening=context.is_opening, is_stopping=context.stopping.is_set(),
            frames=self._frames.status(), gaze=self._gaze.status(),
            frame_age_ns=metrics.age_ns("frames", at_ns), gaze_age_ns=metrics.age_ns("gaze", at_ns),
            frame_period_ns=metrics.measure_period_ns("frames"), gaze_period_ns=metrics.measure_period_ns("gaze"),
            on_picture_age_ns=None if context.on_picture_ns is None else at_ns - context.on_picture_ns,
            has_word=context.has_word, error="; ".join(self._errors(at_ns)),
        )  # fmt: skip

    def _errors(self, at_ns: int) -> list[str]:
        observers = self._context.options.observers
        problems = [observer.problem() for observer in observers] + [beat.problem(at_ns) for beat in self._heartbeats()]
        engine = self.engine.problem() if self.engine is not None else ""
        return list(filter(None, (engine, *self._context.guard.errors(), *problems)))

    def _count_drops(self, counted: dict[str, int], frames: SourceStatus, gaze: SourceStatus) -> dict[str, int]:
        dropped = Counter(counted)
        dropped["frames.superseded"] = self._context.frames.dropped
        dropped["gaze.overflow"] = self._context.gaze.dropped
        for name, source in (("frames", frames), ("gaze", gaze)):
            dropped.update({f"{name}.{why}": count for why, count in source.dropped.items()})
        for observer in self._context.options.observers:
            dropped.update(observer.drop_counts())
        return {name: count for name, count in dropped.items() if count}
