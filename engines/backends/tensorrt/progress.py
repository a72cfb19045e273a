"""How far a build has come, as TensorRT's builder tells it in nested phases, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Steps = Callable[[int, int, str], None]
"""Is told that so many steps of so many are done, of what; may raise to stop the build."""


def make_monitor(trt: Any, steps: Steps | None) -> Any:
    """The builder's progress monitor: tells the share that is done of the outermost phases.

    An exception of `steps` cannot pass through the builder: it stops the build and is kept as `raised`. Whoever sets
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
            return self._tell(phase_name)

        def phase_finish(self, phase_name: str) -> None:
            self._progress.finish(phase_name)
            self._tell(phase_name)

        def _tell(self, phase_name: str) -> bool:
            if steps is not None and self.raised is None and not self.stopped:
                try:
                    steps(round(1000 * self._progress.share), 1000, phase_name)
                except BaseException as error:  # it goes on its way when the builder has returned
                    self.raised = error
            return self.raised is None and not self.stopped

    return Monitor()


class BuildProgress:
    """The share that is done of nested phases: a phase's steps count equally, and a phase inside a step fills it.

    share: 0 to 1, never falling.
    """

    def __init__(self) -> None:
        self.share = 0.0
        self._phases: dict[str, tuple[str | None, int, int]] = {}

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins inside a step of its parent."""
        self._phases[name] = (parent if parent in self._phases else None, max(1, steps), 0)

    def step(self, name: str, index: int) -> None:
        """The step of that index is done."""
        if name in self._phases:
            parent, steps, _ = self._phases[name]
            self._phases[name] = (parent, steps, min(steps, index + 1))
            self._update(name)

    def finish(self, name: str) -> None:
        """A phase has ended, perhaps early."""
        if name in self._phases:
            parent, steps, _ = self._phases[name]
            self._phases[name] = (parent, steps, steps)
            self._update(name)
            del self._phases[name]

    def _update(self, name: str) -> None:
        parent, steps, done = self._phases[name]
        share = done / steps
        while parent is not None and parent in self._phases:
            grand, steps, done = self._phases[parent]
            share = min(1.0, (done + share) / steps)
            parent = grand
        self.share = max(self.share, min(1.0, share))
