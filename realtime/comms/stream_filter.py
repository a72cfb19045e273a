"""Selects the messages of one stream by the first bytes of a message, which is all that a subscription can name. Pure.

A map begins with the number of its fields, then `v` and `stream`: one prefix for each number that a message may have.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from realtime.comms.envelope import VERSION, pack

MIN_FIELDS, MAX_FIELDS = 4, 63
"""Of a message's map; the envelope alone has four, `mask` at most 24."""
STREAM_TOPICS = ("mask", "keyframe", "health", "overlay", "object3d")
_MAX_SHORT_MAP = 15
"""Fields of a map whose number is in its first byte; more have two bytes for it."""


@lru_cache(256)
def stream_prefixes(topic: str, stream: str) -> tuple[bytes, ...]:
    """Return the prefixes with which the messages of a topic and stream begin."""
    head = pack({"v": VERSION, "stream": stream})[1:]
    start = topic.encode("ascii") + b"\0"
    return tuple(
        start + (bytes((0x80 | count,)) if count <= _MAX_SHORT_MAP else b"\xde" + count.to_bytes(2, "big")) + head
        for count in range(MIN_FIELDS, MAX_FIELDS + 1)
    )


def narrow_prefix(prefix: bytes, streams: Sequence[str]) -> list[bytes]:
    """Return the prefixes of what begins with one and is of these streams; none where nothing can be."""
    owned = [own for topic in STREAM_TOPICS for name in streams for own in stream_prefixes(topic, name)]
    if prefix.startswith(tuple(owned)):
        return [prefix]
    return [own for own in owned if own.startswith(prefix)]
