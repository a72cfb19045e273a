"""Checks that settings are finite positive numbers, and whole where their type is. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import fields
from typing import Any


def check_settings(settings: Any, group: str, error: type[Exception], may_be_zero: Collection[str]) -> None:
    """Check the numbers and booleans of a dataclass; raises `error`, which names the setting of `group`."""
    for setting in fields(settings):
        name, value = setting.name, getattr(settings, setting.name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        fits, expected = {
            "bool": (isinstance(value, bool), "true or false"),
            "int": (is_number and isinstance(value, int), "a whole number"),
        }.get(str(setting.type), (is_number, "a finite number"))
        if not fits:
            raise error(f"{group} setting {name} must be {expected}, got {value!r}")
        if value < 0 or (value == 0 and name not in may_be_zero):
            raise error(f"{group} setting {name} must be above 0, got {value!r}")
