"""Handles the newest frame with its mask on a thread of its own, for outputs that may be slow."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from realtime.infra.channels import Latest
from realtime.infra.error_guard import ErrorGuard
from realtime.infra.heartbeat import Heartbeat
from realtime.infra.threads import run_to_end
from realtime.pipeline.observers import FrameResult, PipelineObserver


class ResultWorker(PipelineObserver):
    """An observer with a thread, between `start` and `close`, that handles the newest frame with its mask.

    A frame that fails is counted and ends nothing; the error is the observer's `problem` until one succeeds.
    """

    join_timeout_s = 0.8
    dropped_name = "frames"
    """The name in `drop_counts` of frames that a newer one replaced."""
    deadline_s = 20.0
    """The time that one frame may take before `health` reports that the thread hangs; the first one loads libraries."""

    def __init__(self) -> None:
        self._results: Latest[FrameResult] = Latest()
        self._failed: Counter[str] = Counter()
        self._guard = ErrorGuard(lambda name: self._failed.update([name]))
        self._heartbeat = Heartbeat(self.name, self.deadline_s)
        self._thread = threading.Thread(target=self._run, name=f"gazecast-{self.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, within a second; may be called twice."""
        self._results.close()
        if self._thread.is_alive():
            self._thread.join(self.join_timeout_s)

    def on_mask(self, result: FrameResult) -> None:
        """Replace the newest frame with its mask."""
        self._results.put(result)

    def drop_counts(self) -> Mapping[str, int]:
        """Count frames that a newer one replaced, and frames that failed."""
        return +Counter({f"{self.name}.{self.dropped_name}": self._results.dropped, **self._failed})

    def heartbeats(self) -> Sequence[Heartbeat]:
        """Return that of the thread."""
        return (self._heartbeat,)

    def problem(self) -> str:
        """Return the last error until a frame succeeds."""
        return "; ".join(self._guard.errors())

    def handle(self, result: FrameResult | None) -> None:
        """Handle a frame on the thread; None after the slot was woken without one."""
        raise NotImplementedError

    def _run(self) -> None:
        run_to_end(self._handle_all, lambda: self._results.is_closed, lambda error: self._failed.update([self.name]))

    def _handle_all(self) -> None:
        while not self._results.is_closed:
            result = self._results.get()
            with self._guard(self.name), self._heartbeat.working():
                self.handle(result)
