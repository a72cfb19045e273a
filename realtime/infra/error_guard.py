"""What goes wrong with one frame, sample or message ends nothing: it is counted, and said until one goes well."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


def in_words(error: Exception) -> str:
    """What an error says, or what kind it is where it says nothing."""
    return str(error) or type(error).__name__


class ErrorGuard:
    """Gives a guard for each stage of the loop; from any thread."""

    def __init__(self, drop: Callable[[str], None]) -> None:
        """drop: counts something that was thrown away, by its reason."""
        self._drop = drop
        self._troubles: dict[str, str] = {}

    def __call__(self, stage: str) -> _Guard:
        """For a `with` block that deals with one item; what it raises becomes a trouble."""
        return _Guard(self, stage)

    def troubles(self) -> list[str]:
        """What is wrong now, a line for each stage."""
        return list(self._troubles.values())

    def went_well(self, stage: str) -> None:
        """The last item of that stage did."""
        self._troubles.pop(stage, None)

    def failed(self, stage: str, error: Exception) -> None:
        """The last item of that stage is lost."""
        said = f"{stage}: {in_words(error)}"
        if self._troubles.get(stage) != said:  # once per trouble, not once per frame
            log.warning("%s", said, exc_info=error if log.isEnabledFor(logging.DEBUG) else None)
        self._troubles[stage] = said
        self._drop(f"{stage}.failed")


class _Guard:
    def __init__(self, guards: ErrorGuard, stage: str) -> None:
        self._guards, self._stage = guards, stage

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> bool:
        if error is None:
            self._guards.went_well(self._stage)
            return False
        if not isinstance(error, Exception):
            return False
        self._guards.failed(self._stage, error)
        return True
