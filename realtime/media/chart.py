"""Draw text, lines and axes that are pleasant to read, with OpenCV alone: at twice the size, then shrunk. Pure."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from engines import Image

Colour = tuple[int, int, int]
"""Blue, green, red."""
Anchor = Literal["left", "centre", "right"]

INK: Colour = (52, 44, 40)
FAINT: Colour = (138, 128, 120)
GRID: Colour = (234, 229, 225)
PAPER: Colour = (255, 255, 255)
SCALE = 2
FONT = cv2.FONT_HERSHEY_SIMPLEX
CAP_HEIGHT = 21.0  # of the font at scale 1, px
_SPELT = str.maketrans({"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "–": "-"})


class ChartCanvas:
    """A picture to draw on, in pixels of the finished size; coordinates may have fractions."""

    def __init__(self, width: int, height: int, background: Colour = PAPER) -> None:
        self.width, self.height = width, height
        self._pixels = np.full((height * SCALE, width * SCALE, 3), background, np.uint8)

    def finished(self) -> Image:
        """The (height, width, 3) uint8 BGR picture."""
        return np.asarray(cv2.resize(self._pixels, (self.width, self.height), interpolation=cv2.INTER_AREA), np.uint8)

    def text(
        self, x: float, y: float, text: str, *, height: float = 9, colour: Colour = INK, anchor: Anchor = "left",
        bold: bool = False,
    ) -> None:  # fmt: skip
        """Write with the baseline at y; `height` is that of a capital, px."""
        width = text_width(text, height)
        left = x - {"left": 0.0, "centre": width / 2, "right": width}[anchor]
        stroke = max(1, round(height * SCALE * (0.175 if bold else 0.13)))
        place = round(left * SCALE), round(y * SCALE)
        cv2.putText(self._pixels, text, place, FONT, height * SCALE / CAP_HEIGHT, colour, stroke, cv2.LINE_AA)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1.5) -> None:
        """Draw a line through the points."""
        corners = np.array([[round(x * SCALE * 8), round(y * SCALE * 8)] for x, y in points], np.int32)
        cv2.polylines(self._pixels, [corners], False, colour, max(1, round(width * SCALE)), cv2.LINE_AA, shift=3)

    def dot(self, x: float, y: float, colour: Colour, radius: float = 1.6, opacity: float = 1.0) -> None:
        """Draw a filled circle."""
        cx, cy, reach = round(x * SCALE), round(y * SCALE), math.ceil(radius * SCALE) + 1
        part = self._pixels[max(0, cy - reach) : cy + reach + 1, max(0, cx - reach) : cx + reach + 1]
        if not part.size:
            return
        before = part.copy()
        centre = cx - max(0, cx - reach), cy - max(0, cy - reach)
        cv2.circle(part, centre, max(1, round(radius * SCALE)), colour, -1, cv2.LINE_AA)
        if opacity < 1:
            cv2.addWeighted(part, opacity, before, 1 - opacity, 0, dst=part)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle."""
        start = round(x * SCALE), round(y * SCALE)
        end = round((x + width) * SCALE) - 1, round((y + height) * SCALE) - 1
        cv2.rectangle(self._pixels, start, end, colour, -1)

    def area(self, corners: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon."""
        whole = np.array([[round(x * SCALE * 8), round(y * SCALE * 8)] for x, y in corners], np.int32)
        cv2.fillPoly(self._pixels, [whole], colour, cv2.LINE_AA, shift=3)

    def image(self, x: int, y: int, width: int, height: int, picture: Image) -> None:
        """Place a BGR picture."""
        method = cv2.INTER_AREA if picture.shape[1] > width * SCALE else cv2.INTER_CUBIC
        scaled = cv2.resize(picture, (width * SCALE, height * SCALE), interpolation=method)
        self._pixels[y * SCALE : (y + height) * SCALE, x * SCALE : (x + width) * SCALE] = scaled


def plain(text: str) -> str:
    """A text in the letters that OpenCV's font has, which are ASCII's: without accents, and `?` for what has none."""
    known = unicodedata.normalize("NFKD", text.translate(_SPELT))
    return "".join(c for c in known if not unicodedata.combining(c)).encode("ascii", "replace").decode("ascii")


def text_width(text: str, height: float) -> float:
    """Width of a text whose capitals are `height` px high."""
    (width, _), _ = cv2.getTextSize(text, FONT, height * SCALE / CAP_HEIGHT, 1)
    return float(width) / SCALE


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high, some `about` of them, 1, 2 or 5 times a power of ten apart."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class ChartAxes:
    """A rectangle of a canvas, px, and the numbers that its edges stand for."""

    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pair of numbers lies on the canvas; what is outside the ranges lies on the edge."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        across = min(max((x - x0) / (x1 - x0), 0.0), 1.0)
        up = min(max((y - y0) / (y1 - y0), 0.0), 1.0)
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def draw(
        self, canvas: ChartCanvas, *, title: str, x_label: str, y_label: str, x_ticks: int = 8, y_ticks: int = 5
    ) -> None:
        """Draw the grid, its numbers and the labels; the unit stands in the labels."""
        canvas.text(self.left, self.top - 14, title, height=10, bold=True)
        bottom = self.top + self.height
        for value in ticks(*self.y_range, y_ticks):
            _, y = self.at(self.x_range[0], value)
            canvas.line([(self.left, y), (self.left + self.width, y)], GRID, 1)
            canvas.text(self.left - 8, y + 4, f"{value:g}", height=8, colour=FAINT, anchor="right")
        for value in ticks(*self.x_range, x_ticks):
            x, _ = self.at(value, self.y_range[0])
            canvas.line([(x, bottom), (x, bottom + 4)], FAINT, 1)
            canvas.text(x, bottom + 17, f"{value:g}", height=8, colour=FAINT, anchor="centre")
        canvas.line([(self.left, bottom), (self.left + self.width, bottom)], FAINT, 1)
        canvas.text(self.left + self.width, bottom + 33, x_label, height=8, colour=FAINT, anchor="right")
        canvas.text(self.left + self.width, self.top - 14, y_label, height=8, colour=FAINT, anchor="right")
