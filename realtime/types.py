"""What travels through the pipeline: small frozen values whose fields say unit and frame of reference.

`timestamp` is seconds on the source's own clock, kept as it came so that it can be published unchanged.
`_ns` is the host's monotonic clock. Pixels: x right, y down, the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines import Embedding, Image

Mask = NDArray[np.bool_]
State = Literal["preview", "locked", "held", "lost"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of the scene. `index` and `timestamp` as the source sent them; `captured_ns` mapped to this host.

    jpeg: what the image was decoded from, where the source sent that: a recording then keeps the very same picture.
    """

    image: Image
    index: int
    timestamp: float
    captured_ns: int
    received_ns: int
    jpeg: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def __repr__(self) -> str:
        """Size and index, not the pixels."""
        return f"Frame({self.index}, {self.size[0]}x{self.size[1]}, t={self.timestamp:.4f})"


@dataclass(frozen=True, slots=True)
class GazeSample:
    """One look of the eyes.

    x, y: `unit` "norm" is 0..1 of the frame with the origin top left, "px" is frame pixels. Both are in the distorted
    picture as captured. May lie outside the frame; is never NaN.
    confidence: 0..1; 0 during blinks.
    radius_px, px_per_degree: error radius and the picture's scale there, where a calibration knows them.
    """

    x: float
    y: float
    unit: Literal["norm", "px"]
    confidence: float
    timestamp: float
    captured_ns: int
    received_ns: int
    radius_px: float | None = None
    px_per_degree: float | None = None

    def px(self, size: tuple[int, int]) -> tuple[float, float]:
        """The look in pixels of a frame of (width, height)."""
        return (self.x * size[0], self.y * size[1]) if self.unit == "norm" else (self.x, self.y)

    def moved(self, x: float, y: float) -> GazeSample:
        """The same look at other coordinates of the same unit."""
        return replace(self, x=x, y=y)


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


@dataclass(frozen=True, slots=True)
class FrameKey:
    """Which frame: an index may come again when a device restarts, at another time."""

    index: int
    received_ns: int

    @classmethod
    def of(cls, frame: Frame | Keyframe) -> FrameKey:
        """That of a frame, or of the frame that was encoded."""
        return cls(frame.index, frame.received_ns)
