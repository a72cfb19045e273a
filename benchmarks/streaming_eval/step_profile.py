"""Measures which part of the tracker's step takes the CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

Method = tuple[type, str]
"""A class and the name of one of its methods."""


class StepProfile:
    """Adds up the CPU time that this thread spends in named methods, without that of the others that they call.

    spent_s: by part.
    """

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}
        self._inner_s: list[float] = []  # of each call in progress, the time in other measured methods

    @contextmanager
    def measure(self, parts: Mapping[str, tuple[Method, ...]]) -> Iterator[None]:
        """Measure the methods of each part inside the block; not from two threads."""
        plain = [(owner, name, getattr(owner, name)) for methods in parts.values() for owner, name in methods]
        for part, methods in parts.items():
            self.spent_s.setdefault(part, 0.0)
            for owner, name in methods:
                setattr(owner, name, self._timed(part, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, method in plain:
                setattr(owner, name, method)

    def _timed(self, part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inner_s.append(0.0)
            begun = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                taken = time.thread_time() - begun
                self.spent_s[part] += taken - self._inner_s.pop()
                if self._inner_s:
                    self._inner_s[-1] += taken

        return timed
