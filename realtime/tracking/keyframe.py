"""Defines the encoded frame."""

from __future__ import annotations

from dataclasses import dataclass

from engines import Embedding
from engines.recognition.base import Recognition
from realtime.types import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Keyframe:
    """An encoded frame, without its picture. `size` is (width, height) in px; `encode_ns` a duration.

    recognition: what was recognized in it; None where it was not searched.
    """

    index: int
    timestamp: float
    captured_ns: int
    received_ns: int
    size: tuple[int, int]
    embedding: Embedding
    encode_ns: int
    encoded_ns: int
    recognition: Recognition | None = None

    @classmethod
    def from_frame(
        cls,
        frame: Frame,
        embedding: Embedding,
        encode_ns: int,
        encoded_ns: int,
        recognition: Recognition | None = None,
    ) -> Keyframe:
        """Make it from a frame and its embedding; `encode_ns` is a duration, `encoded_ns` a host time."""
        times = frame.timestamp, frame.captured_ns, frame.received_ns
        return cls(frame.index, *times, frame.size, embedding, encode_ns, encoded_ns, recognition)
