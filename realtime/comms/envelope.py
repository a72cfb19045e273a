"""Packs and unpacks the envelope of a message: ASCII topic, NUL, msgpack map. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import msgpack
import msgspec

from realtime.errors import WireError
from realtime.validation import read_value

VERSION = 1
MAX_MESSAGE_BYTES = 1 << 26
MAX_ITEMS = 1 << 14
"""Longest list and map: room for one is made before its items are read, at each of 1024 levels. The longest that is
sent is a minute of masks."""


class Envelope(msgspec.Struct, kw_only=True):
    """The fields that every message carries."""

    stream: str
    seq: int
    published_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMessage:
    """A message with its envelope: stream, number under its topic, time of publication."""

    stream: str = ""
    seq: int = 0
    published_ns: int = 0

    def to_fields(self) -> dict[str, Any]:
        """Return the map as published, without the envelope's fields."""
        fields = asdict(self)
        return {name: value for name, value in fields.items() if name not in Envelope.__struct_fields__}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Read a map; raises `WireError`."""
        return read_value(fields, cls, WireError)


def pack(fields: Mapping[str, Any]) -> bytes:
    """Pack the payload of one message, without topic and NUL."""
    return bytes(msgpack.packb(fields, use_bin_type=True))


def unpack_msgpack(data: bytes) -> Any:
    """Unpack msgpack of an untrusted peer; a `WireError` states that it is "not msgpack" and why."""
    try:
        return msgpack.unpackb(
            data, raw=False, strict_map_key=True, max_ext_len=0, max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS
        )
    except (ValueError, TypeError, RecursionError, MemoryError, msgpack.UnpackException) as error:
        raise WireError(f"not msgpack ({str(error) or type(error).__name__})") from None


def unpack(payload: bytes) -> dict[str, Any]:
    """Unpack the map of one payload; raises `WireError` for anything that is not one of `VERSION`."""
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
