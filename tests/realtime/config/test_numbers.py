from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest

from realtime.config.schema import RunConfig


def list_numbers(settings: Any, group: str = "") -> Iterator[tuple[str, Any, str, float]]:
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from list_numbers(value, f"{group}{field.name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield group + field.name, type(settings), field.name, value


NUMBERS = [pytest.param(*row[1:], id=row[0]) for row in list_numbers(RunConfig())]


@pytest.mark.parametrize(("group", "name", "default"), NUMBERS)
def test_every_number_of_the_settings_has_a_range(group, name, default):
    wrong = [-1] if isinstance(default, int) else [-1.0, math.nan, math.inf]
    for value in wrong:
        with pytest.raises(ValueError, match=name):
            group(**{name: value})
