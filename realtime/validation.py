"""Reads untyped values into typed ones: the one validator of messages, requests and settings. Pure.

Conversion is strict: a whole number is no text, a truth value is no number; a whole number may stand for a float.
Fields that the type does not know are ignored, so that newer peers can add some.
"""

from __future__ import annotations

import re
import threading
import types
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")
_NAMES: dict[Any, str] = {
    int: "a whole number", float: "a number", str: "a string", bool: "true or false", bytes: "bytes", Path: "a path",
}  # fmt: skip
_FIRST_USE = threading.RLock()
_used: set[Any] = set()
"""Classes whose description msgspec has built: two threads that need it first at the same time crash the process."""
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")


def read_value(value: object, kind: type[T], error: type[Exception], where: str = "") -> T:
    """Convert `value` to `kind`; raises `error`, which names the field, the expected type and the value.

    kind: a type, dataclass or msgspec structure. where: the name of `value` in the message.
    """
    try:
        return _convert(value, kind)
    except msgspec.ValidationError as failure:
        raise error(_explain(str(failure), value, kind, where)) from None
    except UnicodeEncodeError:  # of half a surrogate pair, which JSON can write
        raise error(f"{where or 'it'} holds a text that is not Unicode") from None


def _convert(value: object, kind: type[T]) -> T:
    if kind in _used:
        return msgspec.convert(value, kind, builtin_types=(bytes,), dec_hook=_read_path)
    with _FIRST_USE:
        try:
            return msgspec.convert(value, kind, builtin_types=(bytes,), dec_hook=_read_path)
        finally:
            if isinstance(kind, type):
                _used.add(kind)


def _read_path(kind: Any, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            raise ValueError(str(error)) from None
    raise ValueError


def _explain(failure: str, value: Any, kind: Any, where: str) -> str:
    """Name the field that a failure of msgspec is about, the expected type there, and the value."""
    reason, _, path = failure.partition(" - at `$")
    is_inside = bool(where)
    missing = re.fullmatch(r"Object missing required field `(\w+)`", reason)
    steps = list(_STEP.finditer(path + (f".{missing[1]}" if missing else "")))
    for name, index, any_key in (step.groups() for step in steps):
        if any_key:
            where, value, kind = f"{where}{any_key}", value, None
            break
        where += f".{name}" if name else f"[{index}]"
        value = (value.get(name) if isinstance(value, dict) else None) if name else value[int(index)]
        kind = _member(kind, name, index)
    what = f"{(where if is_inside else where.removeprefix('.')) or 'it'} must be {_describe(kind)}, got {value!r:.60}"
    return what if re.match("Expected|Invalid|Object|Number", reason) or not reason else f"{what}: {reason}"


def _plain(kind: Any) -> Any:
    """Return the type without the alternative None."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(choice for choice in get_args(kind) if choice is not type(None))
    return kind


def _member(kind: Any, name: str | None, index: str | None) -> Any:
    """Return the type of a field or an item of `kind`; None where it cannot be known."""
    kind = _plain(kind)
    if get_origin(kind) is Annotated:
        kind = _plain(get_args(kind)[0])
    if isinstance(kind, type) and not get_args(kind):
        fields = get_type_hints(kind, include_extras=True)
        return fields.get(name) if name else list(fields.values())[int(index or 0)]
    inner = get_args(kind)
    return inner[int(index or 0)] if inner[-1] is not Ellipsis and get_origin(kind) is tuple else inner[0]


def _describe(kind: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in get_args(kind) if choice is not type(None))
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        described = [meta.description for meta in inner[1:] if isinstance(meta, msgspec.Meta) and meta.description]
        return described[0] if described else _describe(inner[0])
    if origin is Literal:
        return f"{'one of ' if len(inner) > 1 else ''}{', '.join(map(str, inner))}"
    if origin in (tuple, list):
        return "a list" if inner[-1] is Ellipsis or origin is list else f"a list of {len(inner)} values"
    return _NAMES.get(kind, "of another type" if kind is None else "a map")
