"""Detects video files that were cut off, by the sizes that their containers declare."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_FIRST_BOXES = (b"ftyp", b"wide", b"mdat", b"moov")
_TS_SYNC = 0x47
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
"""Lengths of a transport stream's packets, and where their sync byte stands (MPEG-TS, M2TS, with error correction)."""


def is_incomplete(path: Path) -> bool:
    """Check whether a file ends before its container says: MP4 and MOV, Matroska and WebM, AVI, MPEG-TS."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        head = _read_at(file, 0, 1024)
        if head[:4] == b"RIFF":
            return _ends_beyond(_walk_riff(file, size), size)
        if int.from_bytes(head[:4], "big") == _EBML:
            return _ends_beyond(_walk_matroska(file, size), size)
        for length, at in _TS_PACKETS:
            if len(head) > at + 2 * length and all(head[at + length * i] == _TS_SYNC for i in range(3)):
                return size % length != 0
    return is_cut_mp4(path)


def is_cut_mp4(path: Path) -> bool:
    """Check whether a file is an MP4 or MOV that ends within a box, or before its index (ISO/IEC 14496-12)."""
    boxes = list(_walk_mp4(path))
    return bool(boxes) and (b"moov" not in dict(boxes) or boxes[-1][1] > path.stat().st_size)


def find_whole_part(path: Path) -> int | None:
    """Return the length of the whole boxes of a cut MP4 that has its index; None for other files."""
    boxes, size = list(_walk_mp4(path)), path.stat().st_size
    ends = [end for _, end in boxes if end <= size]
    has_index = any(kind == b"moov" and end <= size for kind, end in boxes)
    return ends[-1] if has_index and len(ends) < len(boxes) else None


def _walk_mp4(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield kind and end of each box of an MP4 or MOV; nothing for other files."""
    at = 0
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        while at + 8 <= size:
            head = _read_at(file, at, 16)
            length = int.from_bytes(head[8:] if head[:4] == b"\0\0\0\1" else head[:4], "big") or size - at
            if length < 8 or (at == 0 and head[4:8] not in _FIRST_BOXES):
                return
            at += length
            yield head[4:8], at


def _read_at(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _ends_beyond(ends: Iterator[int], size: int) -> bool:
    return any(end > size for end in ends)


def _walk_riff(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield where each part of an AVI ends; a recorder that did not finish left a length of 0."""
    at = 0
    while at + 8 <= size and (head := _read_at(file, at, 8))[:4] == b"RIFF":
        length = int.from_bytes(head[4:], "little")
        at = at + 8 + length + length % 2 if length else size + 1
        yield at


def _walk_matroska(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield where each element of the first two levels ends, as far as lengths are known (RFC 8794)."""
    at = 0
    while at < size:
        head = _read_at(file, at, 12)
        id_length = 9 - head[0].bit_length()
        if id_length > 4 or len(head) <= id_length or not head[id_length]:
            return
        width = 9 - head[id_length].bit_length()
        start = at + id_length + width
        length = int.from_bytes(head[id_length : id_length + width], "big") & ((1 << 7 * width) - 1)
        is_known = length != (1 << 7 * width) - 1
        if is_known:
            yield start + length
        if int.from_bytes(head[:id_length], "big") == _SEGMENT:
            at = start
        elif is_known:
            at = start + length
        else:
            return
