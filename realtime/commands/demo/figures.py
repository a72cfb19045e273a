"""Draws two figures of a run: a contact sheet of masks, and a latency plot. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from engines import Image
from realtime.commands.plot.figures import compute_windows
from realtime.commands.plot.summary import TimeSeries
from realtime.commands.terminal import PERCENTILES, format_percentiles
from realtime.media import chart
from realtime.media.overlay import COLOURS
from realtime.types import State

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INKS = GAZE_COLOUR, FRAME_COLOUR, KEYFRAME_COLOUR = chart.BLUE, chart.VERMILLION, chart.GREEN
RIGHT_COLOUR, WRONG_COLOUR = "#5fd38d", "#ff8a5c"
DARK, LIGHT, DIM = "#1a1c20", "#e4e8ec", "#9aa3af"
MARGIN, GAP, TILE_WIDTH, CAPTION = 24, 12, 400, 44


@dataclass(frozen=True, slots=True, eq=False)
class FigureFrame:
    """Holds one frame with its mask drawn.

    name: of the object at the gaze, or ""; at_s: seconds into the clip; confidence: 0..1; iou: with the true mask,
    None where there is none; is_right: whether that is enough.
    """

    image: Image
    name: str
    at_s: float
    state: State
    confidence: float
    carried_ms: float
    iou: float | None = None
    is_right: bool = False


def draw_contact_sheet(shots: Sequence[FigureFrame], title: str, *, columns: int = 3) -> Image:
    """Draw shots of one size in a grid, with their times and states; at least one."""
    if not shots:
        raise ValueError("a contact sheet needs at least one shot")
    columns = min(columns, len(shots))
    height, width = shots[0].image.shape[:2]
    tile = TILE_WIDTH, max(1, round(TILE_WIDTH * height / width))
    rows = -(-len(shots) // columns)
    figure_width = 2 * MARGIN + columns * (TILE_WIDTH + GAP) - GAP
    figure = chart.new_figure(figure_width, 2 * MARGIN + 30 + rows * (tile[1] + CAPTION + GAP) - GAP, DARK)
    chart.write(figure, MARGIN, MARGIN + 12, title, size=17, color=LIGHT, bold=True)
    for index, shot in enumerate(shots):
        x = MARGIN + (index % columns) * (TILE_WIDTH + GAP)
        y = MARGIN + 30 + (index // columns) * (tile[1] + CAPTION + GAP)
        scaled = cv2.resize(shot.image, tile, interpolation=cv2.INTER_AREA if tile[0] < width else cv2.INTER_CUBIC)
        chart.paste(figure, x, y, np.asarray(scaled, np.uint8))
        base = y + tile[1] + 17
        name = chart.shorten(shot.name or f"at {shot.at_s:.1f} s", TILE_WIDTH - 120, chart.NORMAL)
        chart.write(figure, x, base, name, size=chart.NORMAL, color=LIGHT)
        color, verdict = chart.hex_color(COLOURS[shot.state]), str(shot.state)
        if shot.iou is not None:
            color, word = (RIGHT_COLOUR, "right") if shot.is_right else (WRONG_COLOUR, "wrong")
            verdict = f"{word} · IoU {shot.iou:.2f}"
        chart.write(figure, x + TILE_WIDTH, base, verdict, size=chart.NORMAL, color=color, align="right")
        values = f"{shot.state} · confidence {100 * shot.confidence:.0f} % · carried {shot.carried_ms:.0f} ms"
        chart.write(figure, x, base + 17, f"{shot.at_s:.1f} s into the clip · {values}", color=DIM)
    return chart.render(figure)


def draw_latency_plot(latencies: Mapping[str, TimeSeries], title: str, note: str) -> Image:
    """Draw the result of `measure_latencies` over the run, and its distribution; at least one mask."""
    gaze, frame, age = latencies.values()
    if not frame:
        raise ValueError("a latency plot needs at least one sample")
    end_s = max(1.0, max(at_s for at_s, _ in frame))
    max_latency_ms, max_age_ms = _axis_end(gaze + frame), _axis_end(age)
    figure = chart.new_figure(1180, 640)
    chart.write(figure, 64, 40, title, size=20, bold=True)
    chart.write(figure, 64, 64, chart.shorten(note, 1050, 12), size=12, color=chart.FAINT)
    add = partial(chart.add_axes, figure)
    over = add(64, 116, 640, 210, title="Latency of each mask, ms", x_label="time in the run, s")
    share = add(780, 116, 336, 210, title="Share of masks within a latency, %", x_label="latency, ms", x_bins=5)
    ages = add(64, 430, 640, 130, title="Age of the encoded frame, ms", x_label="time in the run, s", y_bins=4)
    for points, color in ((gaze, GAZE_COLOUR), (frame, FRAME_COLOUR)):
        _draw_points(over, points, color)
        _draw_share(share, [value for _, value in points], max_latency_ms, color)
    _draw_points(ages, age, KEYFRAME_COLOUR)
    over.set(xlim=(0, end_s), ylim=(0, max_latency_ms))
    share.set(xlim=(0, max_latency_ms), ylim=(0, 102))
    ages.set(xlim=(0, end_s), ylim=(0, max_age_ms))
    _draw_table(figure, 780, 430, latencies)
    return chart.render(figure)


def _axis_end(points: TimeSeries) -> float:
    return chart.axis_end([value for _, value in points], percentile=99.5, margin=1.1, bins=8)


def _draw_points(axes: Axes, points: TimeSeries, color: str) -> None:
    """Draw a dot per value, and a line through the medians of half seconds."""
    chart.draw_dots(axes, np.array(points, float), color, 1.7, 0.4)
    medians = [(at_s, parts["p50"]) for at_s, parts in compute_windows(points, 0.5)]
    axes.plot(*np.reshape(medians, (-1, 2)).T, color=color, linewidth=2)


def _draw_share(axes: Axes, values: Sequence[float], end: float, color: str) -> None:
    if not values:
        return
    ordered = np.sort(values)
    axes.step([0.0, *ordered, end], [0.0, *np.arange(1, len(ordered) + 1) / len(ordered) * 100, 100.0], where="post",
              color=color, linewidth=2)  # fmt: skip
    marks = np.percentile(ordered, (50, 95))
    chart.draw_dots(axes, np.column_stack([marks, (50, 95)]), color, 4)


def _draw_table(figure: Figure, left: int, top: int, latencies: Mapping[str, TimeSeries]) -> None:
    """Write a legend that is also the table of percentiles."""
    columns = (left + 200, left + 268, left + 336)
    for x, name in zip(columns, PERCENTILES, strict=True):
        chart.write(figure, x, top, name, size=12, color=chart.FAINT, align="right")
    chart.write(figure, left + 20, top, "ms", size=12, color=chart.FAINT)
    for index, (name, color) in enumerate(zip(latencies, INKS, strict=True)):
        y = top + 30 + 30 * index
        chart.write(figure, left, y, "●", size=15, color=color)
        chart.write(figure, left + 20, y, name, size=14)
        for x, text in zip(columns, format_percentiles([value for _, value in latencies[name]]), strict=True):
            chart.write(figure, x, y, text, size=14, align="right")
