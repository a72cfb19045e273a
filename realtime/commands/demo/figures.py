"""Two pictures of a run: a contact sheet of what was masked, and a plot of how late it was. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engines import Image
from realtime.infra.metrics import percentiles
from realtime.media.chart import FAINT, INK, ChartAxes, ChartCanvas, Colour, ticks
from realtime.media.overlay import COLOURS
from realtime.types import State

# blue, vermillion, green (after Okabe & Ito, 2008), blue-green-red
GAZE_COLOUR: Colour = (178, 114, 0)
FRAME_COLOUR: Colour = (0, 94, 213)
KEYFRAME_COLOUR: Colour = (115, 158, 0)
DARK: Colour = (32, 28, 26)
LIGHT: Colour = (236, 232, 228)
MARGIN, GAP, TILE_WIDTH, CAPTION = 24, 12, 400, 44


@dataclass(frozen=True, slots=True, eq=False)
class FigureFrame:
    """One frame with its mask drawn. name: of what is looked at, or empty; at_s: in the clip; confidence 0..1."""

    image: Image
    name: str
    at_s: float
    state: State
    confidence: float
    carried_ms: float


@dataclass(frozen=True, slots=True)
class LatencySample:
    """What one mask message tells about time. at_s: seconds into the run.

    gaze_to_mask_ms: from the gaze's arrival to the first mask made from it; None for masks that were only carried on.
    frame_to_mask_ms: from the frame's arrival to its mask. keyframe_age_ms: how old the frame that was encoded is.
    """

    at_s: float
    gaze_to_mask_ms: float | None
    frame_to_mask_ms: float
    keyframe_age_ms: float


def contact_sheet(shots: Sequence[FigureFrame], title: str, *, columns: int = 3) -> Image:
    """A grid of shots in order, with their times and states; at least one, all of one size."""
    if not shots:
        raise ValueError("a contact sheet needs at least one shot")
    columns = min(columns, len(shots))
    height, width = shots[0].image.shape[:2]
    tile_height = max(1, round(TILE_WIDTH * height / width))
    rows = -(-len(shots) // columns)
    canvas = ChartCanvas(
        2 * MARGIN + columns * TILE_WIDTH + (columns - 1) * GAP,
        2 * MARGIN + 30 + rows * (tile_height + CAPTION) + (rows - 1) * GAP,
        DARK,
    )
    canvas.text(MARGIN, MARGIN + 12, title, height=12, colour=LIGHT, bold=True)
    for index, shot in enumerate(shots):
        x = MARGIN + (index % columns) * (TILE_WIDTH + GAP)
        y = MARGIN + 30 + (index // columns) * (tile_height + CAPTION + GAP)
        canvas.image(x, y, TILE_WIDTH, tile_height, shot.image)
        base = y + tile_height + 17
        canvas.text(x, base, shot.name or f"at {shot.at_s:.1f} s", height=9.5, colour=LIGHT)
        canvas.text(x + TILE_WIDTH, base, shot.state, height=9.5, colour=COLOURS[shot.state], anchor="right")
        said = (
            f"{shot.at_s:.1f} s into the clip   sure {100 * shot.confidence:.0f} %   carried {shot.carried_ms:.0f} ms"
        )
        canvas.text(x, base + 16, said, height=8, colour=FAINT)
    return canvas.finished()


def latency_plot(samples: Sequence[LatencySample], title: str, note: str) -> Image:
    """How late masks were and how old their keyframes, over the run and as shares; at least one sample."""
    if not samples:
        raise ValueError("a latency plot needs at least one sample")
    gaze = [(s.at_s, s.gaze_to_mask_ms) for s in samples if s.gaze_to_mask_ms is not None]
    frame = [(s.at_s, s.frame_to_mask_ms) for s in samples]
    age = [(s.at_s, s.keyframe_age_ms) for s in samples]
    end_s = max(1.0, max(s.at_s for s in samples))
    late_ms, old_ms = _ceiling([v for _, v in gaze + frame]), _ceiling([v for _, v in age])
    canvas = ChartCanvas(1180, 640)
    canvas.text(64, 40, title, height=13, bold=True)
    canvas.text(64, 64, note, height=8.5, colour=FAINT)
    over = ChartAxes(64, 116, 640, 210, (0, end_s), (0, late_ms))
    over.draw(canvas, title="How late each mask was", x_label="time in the run, s", y_label="ms")
    _scatter(canvas, over, gaze, GAZE_COLOUR)
    _scatter(canvas, over, frame, FRAME_COLOUR)
    share = ChartAxes(780, 116, 336, 210, (0, late_ms), (0, 100))
    share.draw(canvas, title="Share of masks at most so late", x_label="ms", y_label="%", x_ticks=5)
    _share(canvas, share, [v for _, v in gaze], GAZE_COLOUR)
    _share(canvas, share, [v for _, v in frame], FRAME_COLOUR)
    ages = ChartAxes(64, 430, 640, 130, (0, end_s), (0, old_ms))
    ages.draw(canvas, title="How old the encoded frame was", x_label="time in the run, s", y_label="ms", y_ticks=4)
    _scatter(canvas, ages, age, KEYFRAME_COLOUR)
    _table(canvas, 780, 430, [("gaze to mask", gaze, GAZE_COLOUR), ("frame to mask", frame, FRAME_COLOUR),
                              ("keyframe age", age, KEYFRAME_COLOUR)])  # fmt: skip
    return canvas.finished()


def _ceiling(values: Sequence[float]) -> float:
    """A round number that shows 99.5 % of the values; a single hiccup must not flatten the rest."""
    high = max(1.0, float(np.percentile(values, 99.5)) * 1.1) if values else 1.0
    step = ticks(0, high, 8)[1]
    return step * float(np.ceil(high / step))


def _scatter(canvas: ChartCanvas, axes: ChartAxes, points: Sequence[tuple[float, float]], colour: Colour) -> None:
    for x, y in points:
        canvas.dot(*axes.at(x, y), colour, 1.7, 0.45)
    middle = _running(points, np.median)
    if len(middle) > 1:
        canvas.line([axes.at(x, y) for x, y in middle], colour, 2)


def _running(
    points: Sequence[tuple[float, float]], of: Callable[[list[float]], np.floating], span_s: float = 0.5
) -> list[tuple[float, float]]:
    """The middle of each half second that has values."""
    bins: dict[int, list[float]] = {}
    for x, y in points:
        bins.setdefault(int(x / span_s), []).append(y)
    return [((index + 0.5) * span_s, float(of(bins[index]))) for index in sorted(bins)]


def _share(canvas: ChartCanvas, axes: ChartAxes, values: Sequence[float], colour: Colour) -> None:
    if not values:
        return
    ordered = np.sort(values)
    line: list[tuple[float, float]] = [(0.0, 0.0)]
    for level in np.linspace(0, 100, 201):
        line.append((float(np.percentile(ordered, level)), float(level)))
    line.append((axes.x_range[1], 100.0 * float(np.mean(ordered <= axes.x_range[1]))))
    inside = [point for point in line if point[0] <= axes.x_range[1]]
    canvas.line([axes.at(x, y) for x, y in inside], colour, 2)
    p50, p95 = percentiles(list(map(float, values)))["p50"], percentiles(list(map(float, values)))["p95"]
    for level, value in ((50, p50), (95, p95)):
        if value <= axes.x_range[1]:
            canvas.dot(*axes.at(value, level), colour, 3.5)


def _table(
    canvas: ChartCanvas, left: float, top: float, rows: Sequence[tuple[str, Sequence[tuple[float, float]], Colour]]
) -> None:  # fmt: skip
    """The legend and the percentiles in one."""
    columns = (left + 200, left + 268, left + 336)
    for x, head in zip(columns, ("p50", "p95", "p99"), strict=True):
        canvas.text(x, top, head, height=8, colour=FAINT, anchor="right")
    canvas.text(left + 18, top, "ms", height=8, colour=FAINT)
    for index, (name, points, colour) in enumerate(rows):
        y = top + 30 + 30 * index
        canvas.dot(left + 5, y - 4.5, colour, 5)
        canvas.text(left + 18, y, name, height=9.5, colour=INK)
        found = percentiles([value for _, value in points]) if points else {}
        for x, key in zip(columns, ("p50", "p95", "p99"), strict=True):
            text = f"{found[key]:.0f}" if found else "-"
            canvas.text(x, y, text, height=9.5, colour=INK, anchor="right")
