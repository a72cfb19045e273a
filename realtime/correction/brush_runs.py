"""Packs masks as Label Studio's brush strokes: the run lengths of a picture of red, green, blue and alpha.

The format is that of thi.ng's rle-pack (https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack), as
`label_studio_sdk.converter.brush` reads and writes it: a stream of bits, the highest first, with the number of values,
the width of a value, four widths of lengths, and then runs of equal values and lists of different ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import Mask
from realtime.correction.coco_file import check_size
from realtime.errors import AnnotationError

CHANNELS = 4
"""Of the picture; the last one is the mask."""
WIDTHS = (3, 4, 8, 16)
"""Bits of a length, one of which each run names; as Label Studio itself writes them."""
VALUE_BITS = 8


def pack_runs(mask: Mask) -> list[int]:
    """Pack an (H, W) bool mask as bytes: 255 in all channels of the pixels inside."""
    flat, total = mask.ravel(), mask.size * CHANNELS
    begins = [0, *(CHANNELS * (np.flatnonzero(np.diff(flat)) + 1)).tolist()]
    bits = [f"{total:032b}{VALUE_BITS - 1:05b}", *(f"{width - 1:04b}" for width in WIDTHS)]
    for begin, end in zip(begins, [*begins[1:], total], strict=True):
        value = f"{255 * int(flat[begin // CHANNELS]):08b}"
        for at in range(begin, end, 1 << WIDTHS[-1]):
            count = min(end - at, 1 << WIDTHS[-1]) - 1
            index = next(index for index, width in enumerate(WIDTHS) if count < 1 << width)
            bits.append(f"1{index:02b}{count:0{WIDTHS[index]}b}{value}")
    stream = "".join(bits)
    packed = np.packbits(np.frombuffer(stream.encode(), np.uint8) == ord("1"))
    return [int(value) for value in packed]


def unpack_runs(packed: Sequence[int], size: tuple[int, int]) -> Mask:
    """Unpack an (H, W) bool mask of (width, height), true where alpha is at least half; raises `AnnotationError`."""
    check_size(size)
    try:
        stream = _BitStream(bytes(packed))
        count = stream.read(32)
        if count != size[0] * size[1] * CHANNELS:
            raise AnnotationError(
                f"brush strokes of {count} values, expected {CHANNELS} for each of {size[0]} x {size[1]}"
            )
        value_bits = stream.read(5) + 1
        widths = [stream.read(4) + 1 for _ in range(4)]
        flat: NDArray[Any] = np.zeros(count, np.uint8 if value_bits <= 8 else np.uint32)
        at = 0
        while at < count:
            is_run = stream.read(1)
            end = at + 1 + stream.read(widths[stream.read(2)])
            if end > count:
                raise AnnotationError(f"brush strokes that end after {end} values, expected {count}")
            flat[at:end] = stream.read(value_bits) if is_run else [stream.read(value_bits) for _ in range(at, end)]
            at = end
    except (ValueError, TypeError) as error:
        raise AnnotationError(f"brush strokes that cannot be read: {error}; expected a list of bytes") from None
    alpha = flat.reshape(size[1], size[0], CHANNELS)[:, :, -1]
    return np.asarray(alpha >= 1 << (value_bits - 1))


class _BitStream:
    """A stream of bits, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{value:08b}" for value in data)
        self._at = 0

    def read(self, count: int) -> int:
        """Read a number of so many bits; raises `ValueError` at the end."""
        found = self._bits[self._at : self._at + count]
        if len(found) < count:
            raise ValueError(f"the list ends after {len(self._bits) // 8} bytes")
        self._at += count
        return int(found, 2)
