"""Catches an error in one pipeline stage, counts it, and reports it in `health` until that stage works again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from realtime.infra.clock import now_ns

log = logging.getLogger(__name__)


def describe_error(error: Exception) -> str:
    """Return an error's message, or its class name where the message is empty."""
    return str(error) or type(error).__name__


HOLD_NS = 500_000_000
"""An error is reported for so long after it, though the stage succeeds: not every item of a stage meets the fault."""


@dataclass(slots=True)
class _StageError:
    """Holds a stage's last error, its time and whether the stage has succeeded since."""

    text: str
    failed_ns: int
    is_over: bool = False


class ErrorGuard:
    """A factory of `with` blocks, one for each stage, that catch exceptions of one item. From any thread."""

    def __init__(self, count_drop: Callable[[str], None], clock_ns: Callable[[], int] = now_ns) -> None:
        """count_drop: counts a lost item under the name of its reason, `STAGE.failed`."""
        self._count_drop, self._clock_ns = count_drop, clock_ns
        self._errors: dict[str, _StageError] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Guard one item of a stage: count every `Exception` as a drop, and log it when it is a new one."""
        try:
            yield
        except Exception as error:
            text = f"{stage}: {describe_error(error)}"
            before = self._errors.get(stage)
            if before is None or before.text != text:  # once per error, not once per frame
                log.warning("%s", text, exc_info=error if log.isEnabledFor(logging.DEBUG) else None)
            self._errors[stage] = _StageError(text, self._clock_ns())
            self._count_drop(f"{stage}.failed")
        else:
            if (last := self._errors.get(stage)) is not None:
                last.is_over = True
                if self._clock_ns() - last.failed_ns > HOLD_NS:
                    self._errors.pop(stage, None)

    def errors(self) -> list[str]:
        """Return the stages' present errors, one line each."""
        since_ns = self._clock_ns() - HOLD_NS
        return [each.text for each in list(self._errors.values()) if not each.is_over or each.failed_ns > since_ns]
