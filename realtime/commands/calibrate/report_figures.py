"""The figures of a calibration's report, each a `PANEL` large: errors over the picture, bars, histograms. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import CalibrationError
from engines import Image
from realtime.commands.calibrate.report import COLOURS, PANEL
from realtime.media.chart import FAINT, GRID, INK, PAPER, ChartAxes, ChartCanvas, Colour, ticks

Floats = NDArray[np.float64]
BLUE, AMBER, RED = COLOURS["pass"], COLOURS["warn"], COLOURS["refuse"]
PALE: Colour = (246, 240, 232)


class FigureImage:
    """A panel that stands for a camera's picture: draw in the picture's own pixels."""

    def __init__(self, size: tuple[int, int], background: Image | None = None, *, legend: bool = True) -> None:
        self.canvas = ChartCanvas(*PANEL)
        room = PANEL[0] - 20, PANEL[1] - (44 if legend else 20)
        self._scale = min(room[0] / size[0], room[1] / size[1])
        wide, high = round(size[0] * self._scale), round(size[1] * self._scale)
        self._left, self._top = (PANEL[0] - wide) // 2, 10
        self._bottom = self._top + high
        if background is not None:
            pale = cv2.addWeighted(background, 0.45, np.full_like(background, 255), 0.55, 0)
            self.canvas.image(self._left, self._top, wide, high, np.asarray(pale, np.uint8))
        else:
            self.canvas.box(self._left, self._top, wide, high, (250, 249, 247))
        corners = [(-0.5, -0.5), (size[0] - 0.5, -0.5), (size[0] - 0.5, size[1] - 0.5), (-0.5, size[1] - 0.5)]
        self.line([*corners, corners[0]], GRID, 1.5)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture lies on the panel."""
        return self._left + (x + 0.5) * self._scale, self._top + (y + 0.5) * self._scale

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float = 1.5) -> None:
        """Draw a line through pixels of the picture; what is not finite is left out."""
        kept = [self.at(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        if len(kept) > 1:
            self.canvas.line(kept, colour, width)

    def dot(self, x: float, y: float, colour: Colour, radius: float = 3.0, opacity: float = 1.0) -> None:
        """Draw a dot of `radius` panel px."""
        self.canvas.dot(*self.at(x, y), colour, radius, opacity)

    def circle(self, x: float, y: float, radius_px: float, colour: Colour, width: float = 1.5) -> None:
        """Draw a circle of a radius in pixels of the picture."""
        turns = np.linspace(0, 2 * math.pi, 49)
        self.line([(x + radius_px * math.cos(t), y + radius_px * math.sin(t)) for t in turns], colour, width)

    def arrow(self, x: float, y: float, dx: float, dy: float, colour: Colour, width: float = 1.4) -> None:
        """Draw an arrow by (dx, dy) pixels of the picture."""
        (x0, y0), (x1, y1) = self.at(x, y), self.at(x + dx, y + dy)
        length = math.hypot(x1 - x0, y1 - y0)
        self.canvas.line([(x0, y0), (x1, y1)], colour, width)
        if length > 3:
            back, turn = min(5.0, length / 2), math.atan2(y1 - y0, x1 - x0)
            for side in (2.6, -2.6):
                tip = x1 + back * math.cos(turn + side), y1 + back * math.sin(turn + side)
                self.canvas.line([(x1, y1), tip], colour, width)

    def text(self, x: float, y: float, text: str, colour: Colour = INK, height: float = 8) -> None:
        """Write centred at a pixel of the picture."""
        left, top = self.at(x, y)
        self.canvas.text(left, top, text, height=height, colour=colour, anchor="centre")

    def legend(self, entries: Sequence[tuple[Colour, str]]) -> None:
        """Name colours in a row below the picture."""
        x = float(self._left)
        for colour, text in entries:
            self.canvas.dot(x + 5, self._bottom + 19, colour, 5)
            self.canvas.text(x + 15, self._bottom + 23, text, height=8, colour=FAINT)
            x += 34 + 7.2 * len(text)

    def finished(self) -> Image:
        """The panel."""
        return self.canvas.finished()


def error_map(
    size: tuple[int, int], points_px: Floats, errors_px: Floats, *, unit: str = "px", background: Image | None = None
) -> Image:
    """Arrows from (N, 2) places by (N, 2) errors, magnified so that they can be seen, over the camera's picture."""
    picture = FigureImage(size, background)
    _check(points_px, errors_px)
    lengths = np.hypot(*errors_px.T) if len(errors_px) else np.zeros(0)
    typical = float(np.median(lengths)) if len(lengths) else 0.0
    rough = 0.03 * max(size) / typical if typical > 0 else 1.0
    grow = _round(rough)
    for (x, y), (dx, dy), length in zip(points_px, errors_px, lengths, strict=True):
        colour = BLUE if length <= 2 * typical else AMBER if length <= 4 * typical else RED
        reach = min(1.0, 0.15 * max(size) / max(length * grow, 1e-9))
        picture.arrow(x, y, dx * grow * reach, dy * grow * reach, colour, 1.2)
    picture.legend(
        [
            (BLUE, f"arrows {grow:g} times as long; median {typical:.2g} {unit}"),
            (AMBER, "over 2 medians"),
            (RED, "over 4"),
        ]
    )
    return picture.finished()


def histogram(values: Floats, *, x_label: str, marks: Sequence[tuple[float, str]] = ()) -> Image:
    """How often each size of error came, with upright marks such as the median or the limit."""
    values = values[np.isfinite(values)]
    top = max(float(np.percentile(values, 99.5)) if len(values) else 1.0, *(at for at, _ in marks), 1e-6) * 1.08
    counts, edges = np.histogram(np.minimum(values, top), bins=30, range=(0, top))
    axes = ChartAxes(58, 40, PANEL[0] - 84, PANEL[1] - 96, (0, top), (0, max(1.0, float(counts.max(initial=1)) * 1.12)))
    canvas = ChartCanvas(*PANEL)
    axes.draw(canvas, title="", x_label=x_label, y_label="count", y_ticks=4)
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        (x0, y0), (x1, y1) = axes.at(left, float(count)), axes.at(right, 0)
        if count:
            canvas.box(x0 + 0.5, y0, x1 - x0 - 1, max(1.0, y1 - y0), BLUE)
    for number, (at, text) in enumerate(marks):
        x, bottom = axes.at(at, 0)
        canvas.line([(x, axes.top), (x, bottom)], AMBER, 1.5)
        right = x > PANEL[0] * 0.6
        y = axes.top + 12 + 16 * number
        canvas.text(x + (-6 if right else 6), y, text, height=8, colour=INK, anchor="right" if right else "left")
    return canvas.finished()


def bars(
    names: Sequence[str],
    values: Sequence[float],
    *,
    unit: str,
    limit: float | None = None,
    marked: Sequence[str] = (),
    mark: str = "dropped",
) -> Image:
    """One bar each, those that are marked in another colour, and a line at the limit."""
    shown = [value if math.isfinite(value) else 0.0 for value in values]
    top = max([*shown, limit or 0.0, 1e-9]) * 1.12
    axes = ChartAxes(58, 40, PANEL[0] - 74, PANEL[1] - 96, (0, max(1, len(shown))), (0, top))
    canvas = ChartCanvas(*PANEL)
    canvas.text(axes.left + axes.width, axes.top - 14, unit, height=8, colour=FAINT, anchor="right")
    for value in ticks(0, top, 5):
        _, y = axes.at(0, value)
        canvas.line([(axes.left, y), (axes.left + axes.width, y)], GRID, 1)
        canvas.text(axes.left - 8, y + 4, f"{value:g}", height=8, colour=FAINT, anchor="right")
    every = max(1, math.ceil(len(names) / 14))
    for number, (name, value) in enumerate(zip(names, shown, strict=True)):
        (x0, y0), (x1, y1) = axes.at(number + 0.15, value), axes.at(number + 0.85, 0)
        canvas.box(x0, y0, x1 - x0, max(1.0, y1 - y0), RED if name in marked else BLUE)
        if number % every == 0:
            canvas.text((x0 + x1) / 2, y1 + 16, name[-8:], height=7, colour=FAINT, anchor="centre")
    if limit is not None:
        _, y = axes.at(0, limit)
        canvas.line([(axes.left, y), (axes.left + axes.width, y)], AMBER, 1.5)
    legend = [(BLUE, "kept"), (RED, mark)] if marked else []
    for number, (colour, text) in enumerate(legend):
        canvas.dot(axes.left + 5 + 80 * number, axes.top - 18, colour, 5)
        canvas.text(axes.left + 15 + 80 * number, axes.top - 14, text, height=8, colour=FAINT)
    return canvas.finished()


def cells(size: tuple[int, int], counts: NDArray[np.int_], enough: int, *, unit: str) -> Image:
    """A grid of (rows, columns) counts over the picture; what has enough is filled, what is missing is empty."""
    picture = FigureImage(size)
    rows, columns = counts.shape
    for row in range(rows):
        for column in range(columns):
            x0, x1 = size[0] * column / columns - 0.5, size[0] * (column + 1) / columns - 0.5
            y0, y1 = size[1] * row / rows - 0.5, size[1] * (row + 1) / rows - 0.5
            share = min(1.0, counts[row, column] / enough)
            (left, top), (right, bottom) = picture.at(x0, y0), picture.at(x1, y1)
            blue, green, red = (round(PALE[i] + (BLUE[i] - PALE[i]) * share) for i in range(3))
            colour = (blue, green, red)
            picture.canvas.box(left + 1.5, top + 1.5, right - left - 3, bottom - top - 3, colour)
            ink = PAPER if share > 0.6 else RED if share < 1 else INK
            picture.text((x0 + x1) / 2, (y0 + y1) / 2 + 6, str(counts[row, column]), ink, 9)
    picture.legend([(BLUE, f"{enough} or more {unit}"), (PALE, "still missing")])
    return picture.finished()


def _round(value: float) -> float:
    """The nearest 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda number: abs(math.log(number / value)))


def _check(points_px: Floats, errors_px: Floats) -> None:
    if points_px.shape != errors_px.shape or points_px.ndim != 2 or points_px.shape[1] != 2:
        raise CalibrationError(f"places and errors must both be (N, 2), got {points_px.shape} and {errors_px.shape}")
