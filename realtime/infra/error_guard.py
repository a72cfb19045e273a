"""Catches an error in one pipeline stage, counts it, and reports it in `health` until that stage succeeds."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


def describe_error(error: Exception) -> str:
    """Return an error's message, or its class name where the message is empty."""
    return str(error) or type(error).__name__


class ErrorGuard:
    """A factory of `with` blocks, one for each stage, that catch exceptions of one item. From any thread."""

    def __init__(self, count_drop: Callable[[str], None]) -> None:
        """count_drop: counts a lost item under the name of its reason, `STAGE.failed`."""
        self._count_drop = count_drop
        self._errors: dict[str, str] = {}

    def __call__(self, stage: str) -> _StageGuard:
        """Return a context manager for one item of a stage; it swallows every `Exception`."""
        return _StageGuard(self, stage)

    def errors(self) -> list[str]:
        """Return the stages' present errors, one line each."""
        return list(self._errors.values())

    def report_success(self, stage: str) -> None:
        """Clear the error of a stage."""
        self._errors.pop(stage, None)

    def report_failure(self, stage: str, error: Exception) -> None:
        """Store the error of a stage, count a drop, and log the error when it is a new one."""
        text = f"{stage}: {describe_error(error)}"
        if self._errors.get(stage) != text:  # once per error, not once per frame
            log.warning("%s", text, exc_info=error if log.isEnabledFor(logging.DEBUG) else None)
        self._errors[stage] = text
        self._count_drop(f"{stage}.failed")


class _StageGuard:
    def __init__(self, guard: ErrorGuard, stage: str) -> None:
        self._guard, self._stage = guard, stage

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> bool:
        if error is None:
            self._guard.report_success(self._stage)
            return False
        if not isinstance(error, Exception):
            return False
        self._guard.report_failure(self._stage, error)
        return True
