"""Checks that settings are finite numbers within their range, and whole where their type is. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import fields
from typing import Any


def check_settings(
    settings: Any,
    *,
    error: type[Exception] = ValueError,
    may_be_zero: Collection[str] | None = None,
    shares: Collection[str] = (),
) -> None:
    """Check the numbers and booleans of a dataclass; raises `error`, whose message begins with the setting's name.

    may_be_zero: names of those that need not be above 0; None: all. shares: names of those that may not be above 1.
    """
    for setting in fields(settings):
        name, value = setting.name, getattr(settings, setting.name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        fits, expected = {
            "bool": (isinstance(value, bool), "true or false"),
            "int": (is_number and isinstance(value, int), "a whole number"),
            "float": (is_number, "a finite number"),
        }.get(str(setting.type), (True, ""))
        if not fits:
            raise error(f"{name} must be {expected}, got {value!r}")
        if name in shares and not 0 <= value <= 1:
            raise error(f"{name} must be within 0..1, got {value!r}")
        may_be_0 = may_be_zero is None or name in may_be_zero
        if is_number and (value < 0 or (value == 0 and not may_be_0)):
            raise error(f"{name} must be {'0 or more' if may_be_0 else 'above 0'}, got {value!r}")
