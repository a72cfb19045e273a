"""Defines the encoded frame."""

from __future__ import annotations

from dataclasses import dataclass

from engines import Embedding


@dataclass(frozen=True, slots=True, eq=False)
class Keyframe:
    """An encoded frame, without its picture. `size` is (width, height) in px; `encode_ns` a duration."""

    index: int
    timestamp: float
    captured_ns: int
    received_ns: int
    size: tuple[int, int]
    embedding: Embedding
    encode_ns: int
    encoded_ns: int
