"""Tests of the reader of untyped values: strictness and the wording of errors."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from realtime.types import FiniteFloat
from realtime.validation import read_value

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Inner:
    x: FiniteFloat
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner = Inner(0.0)
    pairs: tuple[tuple[float, float], ...] = ()
    named: dict[str, int] | None = None
    on: bool = False
    path: Path | None = None
    data: bytes = b""


def test_a_map_becomes_a_value_and_unknown_fields_are_ignored():
    found = read_value({"count": 1, "inner": {"x": 2}, "pairs": [[1, 2]], "path": "a", "later": 3}, Outer, ValueError)
    assert found == Outer(1, Inner(2.0), ((1.0, 2.0),), path=Path("a"))
    assert isinstance(found.inner.x, float)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"count": "1"}, "count must be a whole number, got '1'"),
        ({"count": 1.0}, "count must be a whole number, got 1.0"),
        ({"count": True}, "count must be a whole number, got True"),
        ({"inner": {}}, "inner.x must be a finite number, got None"),
        ({"inner": 3}, "inner must be a map, got 3"),
        ({"inner": {"x": math.nan}}, "inner.x must be a finite number, got nan"),
        ({"inner": {"x": -math.inf}}, "inner.x must be a finite number, got -inf"),
        ({"inner": {"x": 1, "kind": "c"}}, "inner.kind must be one of a, b, got 'c'"),
        ({"pairs": [[1, 2], [3, "4"]]}, "pairs[1][1] must be a number, got '4'"),
        ({"pairs": [[1]]}, "pairs[0] must be a list of 2 values, got [1]"),
        ({"named": {"a": "b"}}, "named[...] must be of another type, got {'a': 'b'}"),
        ({"on": 1}, "on must be true or false, got 1"),
        ({"path": 3}, "path must be a path, got 3"),
        ({"data": "text"}, "data must be bytes, got 'text'"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_expected_value(changes: dict[str, Any], text: str):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is compared below
        read_value({"count": 1, **changes}, Outer, ValueError)
    assert str(error.value) == text


def test_a_path_to_nobodys_home_states_the_reason():
    with pytest.raises(ValueError, match=r"file\.path must be a path, got '~nobody-here/x': .*home"):
        read_value({"count": 1, "path": "~nobody-here/x"}, Outer, ValueError, "file")


def test_the_origin_of_a_value_is_named_as_it_is():
    with pytest.raises(ValueError, match=r"^\.\./room\.toml: word must be a string, got 3"):
        read_value(3, str, ValueError, "../room.toml: word")


def test_threads_may_be_the_first_to_read_a_type_at_the_same_time():
    code = """
import dataclasses, sys, threading
from realtime.validation import read_value

def read_at_once(number):
    inner = dataclasses.make_dataclass(f"Inner{number}", [(f"x{at}", int, 0) for at in range(30)])
    outer = dataclasses.make_dataclass(f"Outer{number}", [(f"y{at}", inner) for at in range(10)])
    barrier, read = threading.Barrier(4), []
    def run():
        barrier.wait()
        read.append(read_value({f"y{at}": {"x1": at} for at in range(10)}, outer, ValueError))
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.y9.x1 for each in read] == [9] * 4

sys.setswitchinterval(1e-6)
for number in range(60):
    read_at_once(number)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
