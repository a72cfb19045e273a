"""Computes a property once for each object, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class LazyValue(Generic[T]):
    """A decorator like `functools.cached_property`, without its lock: use it for objects of one thread.

    Until Python 3.12 that lock is one for all objects of a class, so that the trackers of several wearers would wait
    for each other: 16 of them took 70 % of their time for it.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        """Compute the value and store it where the next look-up finds it without this descriptor."""
        value: T = self._compute(instance)
        instance.__dict__[self._name] = value
        return value
