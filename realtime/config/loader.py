"""Merges settings from defaults, a TOML file and flags, in this order. Pure.

Settings are frozen dataclasses grouped in sections. A section's own check (`ValueError`) and a value of a wrong type
become a `SettingsError` that names the key, its origin and the allowed values.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from calibration.text import to_utf8
from realtime.errors import SettingsError
from realtime.validation import read_value

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a settings file; raises `SettingsError` where it is missing or not TOML."""
    try:
        return parse_toml(to_utf8(path.read_bytes()).decode())
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path} is no text in UTF-8 (byte {error.object[error.start]:#04x} at {error.start}); save it as UTF-8"
        ) from None
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML of any origin; raises ValueError, also for what is nested too deeply."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def merge_settings(settings: T, values: Mapping[str, Any], origin: str, _prefix: str = "") -> T:
    """Return the dataclass `settings` with nested `values` replaced.

    origin: the origin of `values` for error messages, such as the file's name.
    """
    hints = get_type_hints(type(settings))
    known = [f.name for f in fields(settings)]  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{_prefix}{key}"
        check_known(key, known, origin, _prefix)
        current = getattr(settings, key)
        if is_dataclass(current) and not isinstance(current, type):
            if not isinstance(value, Mapping):
                raise SettingsError(f"{origin}: {name} is a section, got {value!r}")
            changes[key] = merge_settings(current, value, origin, f"{name}.")
        else:
            changes[key] = read_value(value, hints[key], SettingsError, f"{origin}: {name}")
    try:
        return replace(settings, **changes)  # type: ignore[type-var]
    except ValueError as error:
        raise error if isinstance(error, SettingsError) else SettingsError(f"{origin}: {_prefix}{error}") from None


def check_known(key: str, known: Sequence[str], origin: str, prefix: str = "") -> None:
    """Raise `SettingsError` for a key that is not among the known ones; it names one that is like it."""
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {prefix}{near[0]}?" if near else ""
        raise SettingsError(f"{origin}: unknown setting {prefix}{key}{hint} (allowed: {', '.join(known)})")


def flatten_settings(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Return every leaf as "section.key": value, for printing and for recordings."""
    out: dict[str, Any] = {}
    for f in fields(settings):
        value = getattr(settings, f.name)
        if is_dataclass(value):
            out |= flatten_settings(value, f"{prefix}{f.name}.")
        else:
            out[f"{prefix}{f.name}"] = value
    return out
