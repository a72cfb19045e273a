"""Holds an encoded frame."""

from __future__ import annotations

from dataclasses import dataclass

from engines import Embedding


@dataclass(frozen=True, slots=True, eq=False)
class Keyframe:
    """A frame that was encoded; it does not hold the picture. `size` is (width, height)."""

    index: int
    timestamp: float
    captured_ns: int
    received_ns: int
    size: tuple[int, int]
    embedding: Embedding
    encode_ns: int
    encoded_ns: int
