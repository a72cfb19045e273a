"""Settings from defaults, a TOML file and flags, in this order; every mistake is named with what is allowed. Pure.

Settings are frozen dataclasses grouped in sections. What a section's own check raises (`ValueError`) and what does
not fit a field's type becomes a `SettingsError` that names the key and where it came from.
"""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from realtime.errors import SettingsError

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a settings file; raises `SettingsError` where it is missing or not TOML."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def merge_settings(settings: T, values: Mapping[str, Any], origin: str, _prefix: str = "") -> T:
    """Return the dataclass `settings` with nested `values` laid over it.

    origin: where they came from, for the message, such as the file's name.
    """
    hints = get_type_hints(type(settings))
    known = [f.name for f in fields(settings)]  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{_prefix}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {_prefix}{near[0]}?" if near else ""
            raise SettingsError(f"{origin}: unknown setting {name}{hint} (allowed: {', '.join(known)})")
        current = getattr(settings, key)
        if is_dataclass(current) and not isinstance(current, type):
            if not isinstance(value, Mapping):
                raise SettingsError(f"{origin}: {name} is a section, got {value!r}")
            changes[key] = merge_settings(current, value, origin, f"{name}.")
        else:
            changes[key] = _fit(hints[key], value, f"{origin}: {name}")
    try:
        return replace(settings, **changes)  # type: ignore[type-var]
    except ValueError as error:
        raise error if isinstance(error, SettingsError) else SettingsError(f"{origin}: {_prefix}{error}") from None


def flatten_settings(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Every leaf as "section.key": value, for printing and for recordings."""
    out: dict[str, Any] = {}
    for f in fields(settings):
        value = getattr(settings, f.name)
        if is_dataclass(value):
            out |= flatten_settings(value, f"{prefix}{f.name}.")
        else:
            out[f"{prefix}{f.name}"] = value
    return out


def _fit(hint: Any, value: Any, name: str) -> Any:
    """Return `value` as the annotation `hint` has it, or raise with what is allowed."""
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in choices:
            raise SettingsError(f"{name} is {value!r}; allowed: {', '.join(map(str, choices))}")
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in choices:
            return None
        return _fit(next(c for c in choices if c is not type(None)), value, name)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SettingsError(f"{name} must be a list, got {value!r}")
        inner = choices[:1] * len(value) if choices[1:] == (Ellipsis,) else choices
        if len(inner) != len(value):
            raise SettingsError(f"{name} must have {len(inner)} values, got {len(value)}")
        return tuple(_fit(c, v, name) for c, v in zip(inner, value, strict=True))
    if hint is Path and isinstance(value, str):
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            raise SettingsError(f"{name} is {value!r}: {error}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SettingsError(f"{name} must be {_NAMES.get(hint, hint.__name__)}, got {value!r}")
    return value


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", Path: "a path"}
