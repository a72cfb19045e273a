"""The outside of a message, ASCII topic, NUL, msgpack map, and readers of fields that trust nobody. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgpack

from realtime.errors import WireError

VERSION = 1
MAX_MESSAGE_BYTES = 1 << 26


def pack(fields: Mapping[str, Any]) -> bytes:
    """The payload of one message, without topic and NUL."""
    return bytes(msgpack.packb(fields, use_bin_type=True))


def split_topic(raw: bytes) -> tuple[str, bytes]:
    """Topic and payload of one message as it travels; raises `WireError`."""
    head, nul, payload = raw.partition(b"\0")
    if not nul or not head.isascii() or not 1 <= len(head) <= 64:
        raise WireError(f"a message must start with an ASCII topic and NUL, got {raw[:16]!r}")
    return head.decode(), payload


def unpack_msgpack(data: bytes) -> Any:
    """What msgpack holds, whoever packed it; a `WireError` says that it is "not msgpack" and why."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True, max_ext_len=0)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"not msgpack ({str(error) or type(error).__name__})") from None


def unpack(payload: bytes) -> dict[str, Any]:
    """The map of one payload; raises `WireError` for anything that is not one of our version."""
    if len(payload) > MAX_MESSAGE_BYTES:
        raise WireError(f"message of {len(payload)} bytes, at most {MAX_MESSAGE_BYTES} are read")
    try:
        fields = unpack_msgpack(payload)
    except WireError as error:
        raise WireError(f"the payload is {error}") from None
    if not isinstance(fields, dict):
        raise WireError(f"expected a msgpack map, got {type(fields).__name__}")
    if fields.get("v") != VERSION:
        raise WireError(f"wire version {fields.get('v')!r}, this reader knows {VERSION}")
    return fields


def map_of(fields: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Read a field that must be a map."""
    value = fields.get(key)
    if not isinstance(value, dict):
        raise WireError(f"{key} must be a map, got {type(value).__name__}")
    return value


def number(fields: Mapping[str, Any], key: str, where: str) -> float:
    """Read a field that must be a finite number; `where` names its map in the error."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WireError(f"{where}.{key} must be a finite number, got {value!r:.60}")
    return float(value)


def whole(fields: Mapping[str, Any], key: str, where: str) -> int:
    """Read a field that must be a whole number; `where` names its map in the error."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WireError(f"{where}.{key} must be a whole number, got {value!r:.60}")
    return value
