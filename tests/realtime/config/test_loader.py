from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from realtime.config.loader import flatten_settings, merge_settings, read_toml
from realtime.errors import SettingsError


@dataclass(frozen=True)
class Inner:
    rate_hz: float = 30.0
    kind: Literal["a", "b"] = "a"
    size: tuple[int, int] = (1, 2)

    def __post_init__(self):
        if self.rate_hz <= 0:
            raise ValueError(f"rate_hz must be above 0, got {self.rate_hz}")


@dataclass(frozen=True)
class Outer:
    name: str = "x"
    count: int = 3
    on: bool = False
    where: Path | None = None
    inner: Inner = field(default_factory=Inner)


def test_values_are_laid_over_defaults_and_the_rest_stays():
    out = merge_settings(Outer(), {"count": 4, "inner": {"rate_hz": 60}}, "f.toml")
    assert out == Outer(count=4, inner=Inner(rate_hz=60.0))
    assert isinstance(out.inner.rate_hz, float)


def test_later_layers_win_over_earlier():
    assert merge_settings(merge_settings(Outer(), {"count": 4, "on": True}, "file"), {"count": 5}, "flags") == Outer(
        count=5, on=True
    )


def test_paths_and_none():
    assert merge_settings(Outer(), {"where": "a/b"}, "f").where == Path("a/b")
    assert merge_settings(Outer(where=Path("c")), {"where": None}, "f").where is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"cuont": 4}, r"f\.toml: unknown setting cuont; did you mean count\? \(allowed: name, count"),
        ({"inner": {"rate": 4}}, r"unknown setting inner\.rate; did you mean inner\.rate_hz\?"),
        ({"count": "4"}, "count must be a whole number, got '4'"),
        ({"count": True}, "count must be a whole number, got True"),
        ({"count": 4.5}, "count must be a whole number"),
        ({"on": 1}, "on must be true or false"),
        ({"inner": 3}, "inner is a section"),
        ({"inner": {"kind": "c"}}, r"inner\.kind must be one of a, b, got 'c'"),
        ({"inner": {"rate_hz": -1}}, r"f\.toml: inner\.rate_hz must be above 0, got -1"),
        ({"inner": {"size": [1]}}, r"inner\.size must be a list of 2 values, got \[1\]"),
        ({"inner": {"size": 7}}, r"inner\.size must be a list"),
    ],
)
def test_mistakes_are_named_with_the_allowed_values(values, expected):
    with pytest.raises(SettingsError, match=expected):
        merge_settings(Outer(), values, "f.toml")


def test_files(tmp_path):
    good = tmp_path / "good.toml"
    good.write_text('name = "y"\n[inner]\nkind = "b"\n')
    assert merge_settings(Outer(), read_toml(good), "good.toml") == Outer(name="y", inner=Inner(kind="b"))
    bad = tmp_path / "bad.toml"
    bad.write_text("name = \n")
    with pytest.raises(SettingsError, match=r"bad\.toml is not TOML"):
        read_toml(bad)
    bad.write_bytes('name = "é"\n'.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"bad\.toml is no text in UTF-8 \(byte 0xe9 at 8\); save it as UTF-8"):
        read_toml(bad)
    with pytest.raises(SettingsError, match=r"cannot read .*No such file"):
        read_toml(tmp_path / "none.toml")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_with_a_byte_order_mark_is_read(tmp_path, encoding):
    path = tmp_path / "settings.toml"
    path.write_bytes('name = "süß"\n'.encode(encoding))
    assert read_toml(path) == {"name": "süß"}


def test_flattened_names_every_leaf():
    assert flatten_settings(Outer())["inner.rate_hz"] == 30.0
