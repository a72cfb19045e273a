"""Catches an error in one pipeline stage, counts it, and reports it in `health` until that stage succeeds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Guard one item of a stage: count every `Exception` as a drop, and log it when it is a new one."""
        try:
            yield
        except Exception as error:
            text = f"{stage}: {describe_error(error)}"
            if self._errors.get(stage) != text:  # once per error, not once per frame
                log.warning("%s", text, exc_info=error if log.isEnabledFor(logging.DEBUG) else None)
            self._errors[stage] = text
            self._count_drop(f"{stage}.failed")
        else:
            self._errors.pop(stage, None)

    def errors(self) -> list[str]:
        """Return the stages' present errors, one line each."""
        return list(self._errors.values())
