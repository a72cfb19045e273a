"""Maps pictures, points, boxes and masks between a picture and the model's input; the only resize.

Imports nothing of this project.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MODEL_SIDE = 1024
"""Side of the square that SAM was trained on."""
TOKEN_PX = 16
"""Side of the square of model pixels that an encoder sees as one token."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Places a `width` x `height` picture, resized to a longest side `picture_side`, top left in `side` px square.

    A picture that fills less than the square is sampled coarser and encoded faster; SAM treats the rest as padding.
    It fills whole tokens, so that all pictures of nearly one shape share their graphs: half a token at most is
    stretched or squeezed on each side, which is 3 % of a 16:9 picture's height at a longest side of 512.

    Both pixel grids have (0, 0) at the centre of the top-left pixel, so that a point keeps its place in the scene:
    model = (picture + 0.5) * scale - 0.5, with scales of x and y that differ by that rounding.
    """

    width: int
    height: int
    side: int = MODEL_SIDE
    picture_side: int = MODEL_SIDE

    @property
    def content_size(self) -> tuple[int, int]:
        """Return the (width, height) that the picture fills in model pixels, whole tokens and at least one each."""
        tokens = round(self.picture_side / TOKEN_PX)
        scale = tokens / max(self.width, self.height)
        width, height = (TOKEN_PX * max(1, int(side * scale + 0.5)) for side in (self.width, self.height))
        return width, height

    @property
    def scale(self) -> tuple[float, float]:
        """Return (x, y) model pixels per picture pixel."""
        width, height = self.content_size
        return width / self.width, height / self.height

    def resize(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize (H, W, C) uint8 to the content's size; the engine adds the padding."""
        if self.content_size == (self.width, self.height):
            return image
        import cv2  # needed only to resize, which an engine may do on its own device

        # INTER_AREA would alias less on large pictures, but the models were trained on bilinear ones.
        return np.asarray(cv2.resize(image, self.content_size, interpolation=cv2.INTER_LINEAR), np.uint8)

    def to_model(self, points_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (N, 2) picture pixels to model pixels; boxes are mapped as their two corners."""
        return np.asarray((points_px + 0.5) * np.array(self.scale) - 0.5, np.float32)

    def logits_to_picture(
        self, logits: NDArray[np.float32], part: tuple[int, int, int, int] | None = None
    ) -> NDArray[np.float32]:
        """Resample (S, S) logits of the whole square to (H, W) float32 of the picture, bilinear.

        part: x0, y0, x1, y1 px of the picture, x1 and y1 excluded: resample only this region.
        """
        import cv2

        step = logits.shape[1] / self.side
        # Padding must not be interpolated into the picture's last row and column.
        columns, rows = (max(1, math.ceil(side * step)) for side in self.content_size)
        sx, sy = self.scale[0] * step, self.scale[1] * step
        x0, y0, x1, y1 = part or (0, 0, self.width, self.height)
        # (picture + 0.5) * s - 0.5, sampled with one affine map
        affine = np.array([[sx, 0, (x0 + 0.5) * sx - 0.5], [0, sy, (y0 + 0.5) * sy - 0.5]])
        out = cv2.warpAffine(
            logits[:rows, :columns], affine, (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(out, np.float32)
