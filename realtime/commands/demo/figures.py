"""Draws two figures of a run: a contact sheet of masks, and a latency plot. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from engines import Image
from realtime.infra.metrics import percentiles
from realtime.media.chart import (
    BLUE,
    FAINT,
    GREEN,
    NORMAL,
    VERMILLION,
    add_axes,
    draw_dots,
    hex_color,
    new_figure,
    paste,
    render,
    round_up,
    shorten,
    write,
)  # fmt: skip
from realtime.media.overlay import COLOURS
from realtime.types import State

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAZE_COLOUR, FRAME_COLOUR, KEYFRAME_COLOUR = BLUE, VERMILLION, GREEN
DARK, LIGHT, DIM = "#1a1c20", "#e4e8ec", "#9aa3af"
MARGIN, GAP, TILE_WIDTH, CAPTION = 24, 12, 400, 44
TimeSeries = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class FigureFrame:
    """Holds one frame with its mask drawn.

    name: of the object at the gaze, or ""; at_s: seconds into the clip; confidence: 0..1.
    """

    image: Image
    name: str
    at_s: float
    state: State
    confidence: float
    carried_ms: float


@dataclass(frozen=True, slots=True)
class LatencySample:
    """Holds the latencies of one mask message; at_s: seconds into the run.

    gaze_to_mask_ms: from the gaze's arrival to the first mask made from it; None for masks that were only carried on.
    frame_to_mask_ms: from the frame's arrival to its mask. keyframe_age_ms: how old the frame that was encoded is.
    """

    at_s: float
    gaze_to_mask_ms: float | None
    frame_to_mask_ms: float
    keyframe_age_ms: float


def contact_sheet(shots: Sequence[FigureFrame], title: str, *, columns: int = 3) -> Image:
    """Draw shots of one size in a grid, with their times and states; at least one."""
    if not shots:
        raise ValueError("a contact sheet needs at least one shot")
    columns = min(columns, len(shots))
    height, width = shots[0].image.shape[:2]
    tile = TILE_WIDTH, max(1, round(TILE_WIDTH * height / width))
    rows = -(-len(shots) // columns)
    figure = new_figure(
        2 * MARGIN + columns * TILE_WIDTH + (columns - 1) * GAP,
        2 * MARGIN + 30 + rows * (tile[1] + CAPTION) + (rows - 1) * GAP,
        DARK,
    )
    write(figure, MARGIN, MARGIN + 12, title, size=17, color=LIGHT, bold=True)
    for index, shot in enumerate(shots):
        x = MARGIN + (index % columns) * (TILE_WIDTH + GAP)
        y = MARGIN + 30 + (index // columns) * (tile[1] + CAPTION + GAP)
        scaled = cv2.resize(shot.image, tile, interpolation=cv2.INTER_AREA if tile[0] < width else cv2.INTER_CUBIC)
        paste(figure, x, y, np.asarray(scaled, np.uint8))
        base = y + tile[1] + 17
        name = shorten(shot.name or f"at {shot.at_s:.1f} s", TILE_WIDTH - 80, NORMAL)
        write(figure, x, base, name, size=NORMAL, color=LIGHT)
        color = hex_color(COLOURS[shot.state])
        write(figure, x + TILE_WIDTH, base, shot.state, size=NORMAL, color=color, align="right")
        parts = (
            f"{shot.at_s:.1f} s into the clip", f"confidence {100 * shot.confidence:.0f} %",
            f"carried {shot.carried_ms:.0f} ms",
        )  # fmt: skip
        write(figure, x, base + 17, " · ".join(parts), color=DIM)
    return render(figure)


def latency_plot(samples: Sequence[LatencySample], title: str, note: str) -> Image:
    """Draw latencies and keyframe ages over the run, and their distribution; at least one sample."""
    if not samples:
        raise ValueError("a latency plot needs at least one sample")
    gaze = [(s.at_s, s.gaze_to_mask_ms) for s in samples if s.gaze_to_mask_ms is not None]
    frame = [(s.at_s, s.frame_to_mask_ms) for s in samples]
    age = [(s.at_s, s.keyframe_age_ms) for s in samples]
    end_s = max(1.0, max(s.at_s for s in samples))
    late_ms, old_ms = _axis_end([v for _, v in gaze + frame]), _axis_end([v for _, v in age])
    figure = new_figure(1180, 640)
    write(figure, 64, 40, title, size=20, bold=True)
    write(figure, 64, 64, shorten(note, 1050, 12), size=12, color=FAINT)
    over = add_axes(figure, 64, 116, 640, 210, title="Latency of each mask, ms", x_label="time in the run, s")
    share = add_axes(figure, 780, 116, 336, 210, title="Share of masks within a latency, %", x_label="latency, ms",
                     x_bins=5)  # fmt: skip
    ages = add_axes(figure, 64, 430, 640, 130, title="Age of the encoded frame, ms", x_label="time in the run, s",
                    y_bins=4)  # fmt: skip
    for points, color in ((gaze, GAZE_COLOUR), (frame, FRAME_COLOUR)):
        _draw_points(over, points, color)
        _draw_share(share, [value for _, value in points], late_ms, color)
    _draw_points(ages, age, KEYFRAME_COLOUR)
    over.set(xlim=(0, end_s), ylim=(0, late_ms))
    share.set(xlim=(0, late_ms), ylim=(0, 102))
    ages.set(xlim=(0, end_s), ylim=(0, old_ms))
    _draw_table(figure, 780, 430, [("gaze to mask", gaze, GAZE_COLOUR), ("frame to mask", frame, FRAME_COLOUR),
                                   ("keyframe age", age, KEYFRAME_COLOUR)])  # fmt: skip
    return render(figure)


def _axis_end(values: Sequence[float]) -> float:
    """Choose a round axis end above 99.5 % of the values; a single outlier must not flatten the rest."""
    return round_up(max(1.0, float(np.percentile(values, 99.5)) * 1.1) if values else 1.0, 8)


def _draw_points(axes: Axes, points: TimeSeries, color: str) -> None:
    """Draw a dot per value, and a line through the medians of half seconds."""
    draw_dots(axes, np.array(points, float), color, 1.7, 0.4)
    bins: dict[int, list[float]] = {}
    for at_s, value in points:
        bins.setdefault(int(at_s / 0.5), []).append(value)
    axes.plot([0.5 * (n + 0.5) for n in sorted(bins)], [float(np.median(bins[n])) for n in sorted(bins)], color=color,
              linewidth=2)  # fmt: skip


def _draw_share(axes: Axes, values: Sequence[float], end: float, color: str) -> None:
    if not values:
        return
    ordered = np.sort(values)
    axes.step([0.0, *ordered, end], [0.0, *np.arange(1, len(ordered) + 1) / len(ordered) * 100, 100.0], where="post",
              color=color, linewidth=2)  # fmt: skip
    marks = np.percentile(ordered, (50, 95))
    draw_dots(axes, np.column_stack([marks, (50, 95)]), color, 4)


def _draw_table(figure: Figure, left: int, top: int, rows: Sequence[tuple[str, TimeSeries, str]]) -> None:
    """Write a legend that is also the table of percentiles."""
    columns = ((left + 200, "p50"), (left + 268, "p95"), (left + 336, "p99"))
    for x, name in columns:
        write(figure, x, top, name, size=12, color=FAINT, align="right")
    write(figure, left + 20, top, "ms", size=12, color=FAINT)
    for index, (name, points, color) in enumerate(rows):
        y = top + 30 + 30 * index
        write(figure, left, y, "●", size=15, color=color)
        write(figure, left + 20, y, name, size=14)
        found = percentiles([value for _, value in points]) if points else {}
        for x, key in columns:
            write(figure, x, y, f"{found[key]:.0f}" if found else "-", size=14, align="right")
