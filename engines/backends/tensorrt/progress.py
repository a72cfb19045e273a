"""Reports the progress of TensorRT's builder from its nested phases, and stops a build."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Steps = Callable[[int, int, str], None]
"""Receives the completed steps, their total and the name of the work; may raise to stop the build."""


def make_monitor(trt: Any, steps: Steps | None) -> Any:
    """Create the builder's progress monitor, which reports the completed share of the outermost phases.

    An exception of `steps` cannot pass through the builder: it stops the build and is kept as `raised`. Setting
    `stopped` stops it as well, from any thread.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.raised: BaseException | None = None
            self.stopped = False
            self._progress = BuildProgress()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._progress.step(phase_name, step)
            return self._report(phase_name)

        def phase_finish(self, phase_name: str) -> None:
            self._progress.finish(phase_name)
            self._report(phase_name)

        def _report(self, phase_name: str) -> bool:
            if steps is not None and self.raised is None and not self.stopped:
                try:
                    steps(round(1000 * self._progress.share), 1000, phase_name)
                except BaseException as error:  # re-raised after the builder has returned
                    self.raised = error
            return self.raised is None and not self.stopped

    return Monitor()


class BuildProgress:
    """Computes the completed share of nested phases: steps count equally, and a nested phase fills its step.

    share: 0 to 1, never falling.
    """

    def __init__(self) -> None:
        self.share = 0.0
        self._phases: dict[str, tuple[str | None, int, int]] = {}

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Start a phase inside a step of its parent."""
        self._phases[name] = (parent if parent in self._phases else None, max(1, steps), 0)

    def step(self, name: str, index: int) -> None:
        """Record a completed step by its index."""
        if name in self._phases:
            parent, steps, _ = self._phases[name]
            self._phases[name] = (parent, steps, min(steps, index + 1))
            self._update(name)

    def finish(self, name: str) -> None:
        """Finish a phase, perhaps early."""
        if name in self._phases:
            self.step(name, self._phases[name][1] - 1)
            del self._phases[name]

    def _update(self, name: str) -> None:
        parent, steps, done = self._phases[name]
        share = done / steps
        while parent is not None and parent in self._phases:
            grand, steps, done = self._phases[parent]
            share = min(1.0, (done + share) / steps)
            parent = grand
        self.share = max(self.share, min(1.0, share))
