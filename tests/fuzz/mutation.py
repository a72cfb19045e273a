"""Makes invalid inputs of valid ones, from a source of random numbers: bytes, or values of JSON and msgpack."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import msgpack

MAX_BYTES = 8192
TOKENS = (
    b"\0", b"\xff", b"\x80", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\x80", b"NaN", b"-Infinity",
    b"1e999", b"null", b"true", b"[]", b"{}", b"[[", b'{"a":', b'""', b"-1", b"18446744073709551616", b"9" * 400,
    b"9" * 5000, b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\\ud800", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\n", b",", b"=",
    b"/../", b"\xc0", b"\xc1", b"\xca\x7f\xc0\0\0", b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + bytes(7), b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xc7\x08\xff" + bytes(8), b"\x91" * 2000, b"[" * 2000, b'{"a":' * 1000,
    b"&a [*a, *a]", b"!!python/name:os ",
)  # fmt: skip
"""Numbers at their limits, texts that are none, lengths that promise too much, and what is nested deeply."""
VALUES = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, 2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63), 0.0, -0.5, 1e-320, 1e308,
    math.nan, math.inf, -math.inf, "", "a", "locked", "\0", "\u2028", "x" * 300, [], {}, [[]], [0, 0], [1.5] * 9,
    {"a": 1},
)  # fmt: skip
"""What may stand in place of any value."""
Codec = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]
CODECS: tuple[Codec, ...] = (
    (json.loads, lambda value: json.dumps(value).encode()),
    (lambda data: msgpack.unpackb(data, strict_map_key=False), msgpack.packb),
)


def mutate(seeds: Sequence[bytes], random: Random) -> bytes:
    """Return one of the seeds, changed at some places; the same random numbers give the same bytes."""
    data = random.choice(seeds)
    found = _find_codec(data) if random.random() < 0.5 else None
    if found is not None:
        with contextlib.suppress(ValueError, OverflowError, RecursionError):  # what its format cannot hold
            return _change_values(data, *found, random)[:MAX_BYTES]
    return _change_bytes(data, seeds, random)[:MAX_BYTES]


@functools.lru_cache(4096)
def _find_codec(data: bytes) -> tuple[int, Codec] | None:
    """Find where a map or list begins, as the first byte may choose among readers, and how to read it."""
    for start in (0, 1):
        for codec in CODECS:
            try:
                tree = codec[0](data[start:])
                codec[1](tree)
            except Exception:  # of either library, for data of the other
                continue
            if isinstance(tree, list | dict) and tree:
                return start, codec
    return None


def _change_values(data: bytes, start: int, codec: Codec, random: Random) -> bytes:
    """Replace, remove or double some values."""
    decode, encode = codec
    tree = decode(data[start:])
    for _ in range(1 + int(random.expovariate(1.0))):
        places = list(_find_places(tree))
        if not places:
            break
        holder, key = random.choice(places)
        match random.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder[key:key] = holder[key : key + 1] * random.choice((1, 2, 100))
            case 2:
                holder[key] = decode(encode(random.choice(places)[0]))
            case _:
                holder[key] = copy.deepcopy(random.choice(VALUES))
    return data[:start] + encode(tree)


def _find_places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, list | dict):
            yield from _find_places(item)


def _change_bytes(seed: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    data = bytearray(seed)
    for _ in range(1 + int(random.expovariate(0.5))):
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + 1 + int(random.expovariate(0.1)))
        match random.randrange(8):
            case 0 | 1 if at < len(data):
                data[at] = random.randrange(256)
            case 2 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 3:
                del data[at:end]
            case 4:
                data[at:at] = data[at:end]
            case 5:
                token = random.choice(TOKENS)
                data[at : at + random.choice((0, len(token)))] = token
            case 6:
                other = random.choice(seeds)
                data[at:] = other[random.randrange(len(other) + 1) :]
            case _:
                del data[random.choice((at, len(data))) :]
    return bytes(data)
