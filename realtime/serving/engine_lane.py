"""Runs one part of an engine, encoder or decoder, on a thread of its own for the requests of several streams."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Generic, TypeVar

from engines import EngineClosed, EngineError, EngineUnavailable
from realtime.infra.clock import now_ns
from realtime.infra.threads import lower_priority
from realtime.serving.batch_costs import BatchCosts
from realtime.serving.batch_scheduler import BatchScheduler, EngineRequest
from realtime.serving.lane_statistics import LaneStatistics, StreamTimes

Item = TypeVar("Item")
Result = TypeVar("Result")

COMPILER_NICE = 15
STOP_S = 1.0


class EngineLane(Generic[Item, Result]):
    """Serves one request of each stream at a time, in the order and the batches of a `BatchScheduler`.

    An error in a batch of several has its requests run one by one, so that it reaches only the one that causes it.
    """

    def __init__(
        self,
        name: str,
        run_batch: Callable[[Sequence[Item]], Sequence[Result]],
        prepare_batch: Callable[[Hashable, int], None],
        scheduler: BatchScheduler,
        costs: BatchCosts,
        *,
        nice: int = 0,
        settle_s: float = 0.0,
    ) -> None:
        """prepare_batch: compiles the graph of a shape and a batch size.

        nice: niceness of the thread that serves. settle_s: after the first request no graph is compiled for so long.
        """
        self._run_batch, self._prepare_batch = run_batch, prepare_batch
        self._scheduler, self._costs = scheduler, costs
        self._changed = threading.Condition()
        self._items: dict[int, tuple[Item, Future[Result]]] = {}
        self._served_ns: dict[str, int | None] = {}
        self._locked: set[str] = set()
        self._tickets = itertools.count()
        self._closing = False
        self._compiler: threading.Thread | None = None
        self._times: dict[str, StreamTimes] = {}
        self._sizes: Counter[int] = Counter()
        self._busy_ns = 0
        self._name, self._nice = name, nice
        self._settle_ns, self._first_ns = round(settle_s * 1e9), 0  # time of the first request; 0 before it
        self._served: tuple[Future[Result], ...] = ()  # of the present batch
        with self._changed:
            self._thread = self._start_thread()

    def open_stream(self, stream: str) -> None:
        """Accept requests of a stream."""
        with self._changed:
            self._served_ns[stream], self._times[stream] = None, StreamTimes()

    def close_stream(self, stream: str) -> None:
        """Accept nothing more of a stream; a call that waits raises `EngineClosed`."""
        with self._changed:
            self._served_ns.pop(stream, None)
            self._times.pop(stream, None)
            self._locked.discard(stream)
            self._fail(self._scheduler.remove_stream(stream), EngineClosed(f"the stream {stream!r} was closed"))
            self._changed.notify_all()

    def set_locked(self, stream: str, is_locked: bool) -> None:
        """Set whether a stream's gaze is locked on an object, from its next request on."""
        with self._changed:
            (self._locked.add if is_locked else self._locked.discard)(stream)

    def call(self, stream: str, item: Item, shape: Hashable) -> Result:
        """Run a request and wait for its result; raises the engine's error, and `EngineClosed` after closing."""
        result: Future[Result] = Future()
        with self._changed:
            if self._closing or stream not in self._served_ns:
                raise EngineClosed(f"the stream {stream!r} was closed; open the session again")
            request = EngineRequest(
                stream, now_ns(), self._served_ns[stream], stream in self._locked, shape, next(self._tickets)
            )
            self._items[request.ticket] = item, result
            self._first_ns = self._first_ns or request.arrived_ns
            self._fail(self._scheduler.add(request), EngineError("a newer request of this stream came"))
            self._changed.notify_all()
        return result.result()

    def abandon(self, error: EngineError) -> None:
        """Fail the running batch, whose call hangs, and serve the others on a new thread."""
        with self._changed:
            if self._closing:
                return
            self._thread = self._start_thread()
            for future in self._served:
                if not future.done():
                    future.set_exception(error)

    def close(self) -> None:
        """Let the running batch end, and fail what waits; idempotent."""
        with self._changed:
            self._closing = True
            for stream in list(self._served_ns):
                self._fail(self._scheduler.remove_stream(stream), EngineClosed("the shared engine was closed"))
            self._changed.notify_all()
        self._thread.join(STOP_S)

    @property
    def is_idle(self) -> bool:
        """Whether its thread has ended, so that the engine may be closed."""
        return not self._thread.is_alive() and (self._compiler is None or not self._compiler.is_alive())

    def statistics(self) -> LaneStatistics:
        """Return what was measured so far."""
        with self._changed:
            copies = {stream: times.copy() for stream, times in self._times.items()}
            collected = LaneStatistics(
                streams={},
                batch_sizes=dict(self._sizes),
                busy_ns=self._busy_ns,
                service_ms=self._costs.samples(),
                recent=tuple(self._costs.recent),
                batch_ratios=dict(self._costs.ratios),
            )
        return replace(collected, streams={stream: times.summarize() for stream, times in copies.items()})

    @property
    def ratios(self) -> Mapping[int, float]:
        """What was learned about batch sizes, see `BatchCosts`."""
        with self._changed:
            return dict(self._costs.ratios)

    def _start_thread(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name=f"gazecast-{self._name}", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        lower_priority(self._nice)
        while (batch := self._take_batch()) is not None:
            self._serve(*batch)

    @property
    def _is_abandoned(self) -> bool:
        """Whether the calling thread was left behind."""
        return threading.current_thread() is not self._thread

    def _take_batch(self) -> tuple[tuple[EngineRequest, ...], list[tuple[Item, Future[Result]]]] | None:
        with self._changed:
            while not (self._closing or self._is_abandoned):
                self._compile_missing()
                if batch := self._scheduler.next_batch(at_ns := now_ns()):
                    work = [self._items.pop(request.ticket) for request in batch]
                    self._served = tuple(future for _, future in work)
                    return batch, work
                wake_ns = self._scheduler.wake_ns()
                self._changed.wait(None if wake_ns is None else max(0.0, (wake_ns - at_ns) / 1e9))
            return None

    def _serve(self, batch: tuple[EngineRequest, ...], work: list[tuple[Item, Future[Result]]]) -> None:
        if self._is_abandoned:  # by the request before
            return
        begun_ns = now_ns()
        try:
            results = self._run_batch([item for item, _ in work])
        except Exception as error:  # of one request, which must not end the others
            self._serve_singly(batch, work, error)
            return
        with self._changed:
            if self._record(batch, begun_ns, now_ns()):
                for (_, future), result in zip(work, results, strict=True):
                    future.set_result(result)

    def _serve_singly(
        self, batch: tuple[EngineRequest, ...], work: list[tuple[Item, Future[Result]]], error: Exception
    ) -> None:
        with self._changed:
            if len(work) == 1 and self._record(batch, None, now_ns()):
                work[0][1].set_exception(error)
            if len(work) == 1 or self._is_abandoned:
                return
            if not isinstance(error, EngineUnavailable):
                self._costs.refuse(len(work))
        for request, part in zip(batch, work, strict=True):
            self._serve((request,), [part])

    def _record(self, batch: tuple[EngineRequest, ...], begun_ns: int | None, done_ns: int) -> bool:
        """Record a batch, under the lock; False for one that was abandoned, whose callers have an error already.

        One that failed, without `begun_ns`, counts as served only, so that it is not preferred.
        """
        if self._is_abandoned:
            return False
        for request in batch:
            if request.stream not in self._served_ns:
                continue  # closed meanwhile
            self._served_ns[request.stream] = request.arrived_ns
            if begun_ns is not None:
                self._times[request.stream].observe(begun_ns - request.arrived_ns, done_ns - begun_ns)
        if begun_ns is not None:
            self._sizes[len(batch)] += 1
            self._busy_ns += done_ns - begun_ns
            self._costs.observe(batch[0].shape, len(batch), (done_ns - begun_ns) / 1e6)
        return True

    def _fail(self, request: EngineRequest | None, error: EngineError) -> None:
        if request is not None:
            self._items.pop(request.ticket)[1].set_exception(error)

    # Graphs of batches

    def _compile_missing(self) -> None:
        """Compile a graph that would be used now, on a thread of its own; holding the lock."""
        if self._compiler is not None and self._compiler.is_alive():
            return
        if now_ns() - self._first_ns < self._settle_ns:
            return
        if (missing := self._scheduler.find_missing()) is not None:
            self._compiler = threading.Thread(
                target=self._compile, args=missing, name="gazecast-batch-graph", daemon=True
            )
            self._compiler.start()

    def _compile(self, shape: Hashable, size: int) -> None:
        lower_priority(COMPILER_NICE)
        try:
            self._prepare_batch(shape, size)
        except Exception:  # single requests still work; one that is at fault itself reports it
            with self._changed:
                self._costs.refuse(size)
            return
        with self._changed:
            self._costs.set_ready(shape, size)
