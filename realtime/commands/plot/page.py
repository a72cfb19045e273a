"""Draws the plot of a recording: latencies, states, objects, gaze, rates and drops, one below the other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from engines import Image
from realtime.commands.plot import figures
from realtime.commands.plot.summary import RecordingSummary, StateSpan, TimeSeries, name_object
from realtime.commands.terminal import PERCENTILES, format_percentiles
from realtime.comms.messages import STATES
from realtime.media import chart
from realtime.media.overlay import COLOURS
from realtime.recording.labels import ObjectLabel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INKS = (chart.BLUE, chart.VERMILLION, chart.GREEN, chart.LILAC, chart.SKY)
LATENCIES = (("gaze_to_mask", "Gaze to mask"), ("frame_to_mask", "Frame to mask"), ("keyframe_age", "Keyframe age"))
WIDTH, LEFT, RIGHT = 1180, 170, 1000
LANE = 22
CONFIRMED = "◆"
MAP_WIDTH = 560
MINUTES_FROM_S = 600.0
_COLUMNS = (RIGHT + 50, RIGHT + 100, RIGHT + 150)


def draw_page(summary: RecordingSummary, labels: Mapping[int, ObjectLabel], notes: Sequence[str]) -> Image:
    """Draw a recording as (H, 1180, 3) BGR; `notes` are lines below the title, the first describes the recording."""
    lanes = figures.assign_lanes(summary.spans)
    bands: list[tuple[int, Callable[[Figure, int], None]]] = [
        (70 + 18 * len(notes), lambda figure, top: _draw_title(figure, top, notes)),
        (450 if summary.timed else 50, lambda figure, top: _draw_latencies(figure, top, summary)),
        (96, lambda figure, top: _draw_states(figure, top, summary)),
        (78 + LANE * max(1, len(lanes)), lambda figure, top: _draw_objects(figure, top, summary, lanes, labels)),
        (_map_height(summary) + 90, lambda figure, top: _draw_gaze(figure, top, summary)),
    ]
    figure = chart.new_figure(WIDTH, sum(height for height, _ in bands) + 20)
    top = 0
    for height, draw_band in bands:
        draw_band(figure, top)
        top += height
    return chart.render(figure)


def _draw_title(figure: Figure, top: int, notes: Sequence[str]) -> None:
    chart.write(figure, 40, top + 40, "gazecast plot", size=20, bold=True)
    for number, note in enumerate(notes):
        chart.write(figure, 40, top + 64 + 18 * number, chart.shorten(note, WIDTH - 80, 12), size=12, color=chart.FAINT)


def _draw_latencies(figure: Figure, top: int, summary: RecordingSummary) -> None:
    if not summary.timed:
        text = "The frames were processed at any speed: latencies mean nothing."
        chart.write(figure, 40, top + 22, text, size=chart.NORMAL)
        return
    for x, name in zip(_COLUMNS, PERCENTILES, strict=True):
        chart.write(figure, x, top + 14, name, color=chart.FAINT, align="right")
    for number, (key, title) in enumerate(LATENCIES):
        is_last = number == len(LATENCIES) - 1
        axes = _time_axes(figure, top + 30 + 130 * number, 84, summary, title=f"{title}, ms", numbers=is_last)
        points = summary.latency_ms.get(key, [])
        _draw_percentiles(axes, points, summary.span_s, INKS[number])
        for x, text in zip(_COLUMNS, format_percentiles([value for _, value in points]), strict=True):
            chart.write(figure, x, top + 80 + 130 * number, text, size=chart.NORMAL, align="right")
    chart.write(figure, LEFT, top + 414, "line: median; band: up to p95; thin line: p99", color=chart.FAINT)


def _draw_percentiles(axes: Axes, points: TimeSeries, span_s: float, ink: str) -> None:
    width_s = figures.window_width(span_s)
    found = figures.compute_windows(points, width_s)
    axes.set_ylim(0, _axis_end([parts["p99"] for _, parts in found]))
    if not found:
        axes.text(0.01, 0.5, "there was no such mask", transform=axes.transAxes, size=chart.SMALL, color=chart.FAINT)
    for run in figures.split_at_gaps(found, 1.5 * width_s):
        at_s = [at for at, _ in run]
        p50, p95, p99 = ([parts[name] for _, parts in run] for name in PERCENTILES)
        marker = "o" if len(run) == 1 else ""
        axes.fill_between(at_s, p50, p95, color=chart.mix(ink, 0.78), linewidth=0)
        axes.plot(at_s, p99, marker=marker, color=chart.mix(ink, 0.45), linewidth=1, markersize=4)
        axes.plot(at_s, p50, marker=marker, color=ink, linewidth=2, markersize=4)


def _draw_states(figure: Figure, top: int, summary: RecordingSummary) -> None:
    chart.write(figure, LEFT, top + 14, "States", size=chart.NORMAL, bold=True)
    total_s = max(1e-9, figures.sum_durations(summary.spans))
    x = LEFT + 90.0
    for state in STATES:
        text = f"{state} {100 * figures.sum_durations(summary.spans, state) / total_s:.0f} %"
        chart.write(figure, x, top + 14, "■", size=16, color=chart.hex_color(COLOURS[state]))
        chart.write(figure, x + 17, top + 14, text, size=12)
        x += 17 + chart.text_width(text, 12) + 28
    strip = figures.draw_state_strip(summary.spans, _end_s(summary), RIGHT - LEFT, 24, chart.GRID)
    chart.paste(figure, LEFT, top + 28, strip)
    _time_axes(figure, top + 28, 24, summary, grid=False)


def _draw_objects(
    figure: Figure, top: int, summary: RecordingSummary, lanes: Sequence[tuple[tuple[int, ...], list[StateSpan]]],
    labels: Mapping[int, ObjectLabel],
) -> None:  # fmt: skip
    chart.write(figure, LEFT, top + 14, "Objects", size=chart.NORMAL, bold=True)
    chart.write(figure, RIGHT + 150, top + 14, "seconds", color=chart.FAINT, align="right")
    if summary.confirmations:
        chart.write(figure, LEFT + 90, top + 14, f"{CONFIRMED} confirmed by the wearer", color=chart.FAINT)
    if not lanes:
        text = "No fixation was long enough to show an object."
        chart.write(figure, LEFT, top + 42, text, size=12, color=chart.FAINT)
    for number, (objects, spans) in enumerate(lanes):
        y = top + 26 + LANE * number
        known = summary.recognized.get(objects[0], "")
        name = name_object(objects[0], labels, known) if len(objects) == 1 else f"{len(objects)} others"
        chart.write(figure, LEFT - 10, y + LANE - 7, chart.shorten(name, LEFT - 50, 12), size=12, align="right")
        strip = figures.draw_state_strip(spans, _end_s(summary), RIGHT - LEFT, LANE - 8, chart.PAPER)
        chart.paste(figure, LEFT, y + 3, strip)
        for at_s in (at_s for at_s, confirmed in summary.confirmations if confirmed in objects):
            x = LEFT + at_s / _end_s(summary) * (RIGHT - LEFT)
            chart.write(figure, x, y + LANE - 6, CONFIRMED, size=12, color=chart.INK, align="center")
        chart.write(figure, RIGHT + 150, y + LANE - 7, f"{figures.sum_durations(spans):.1f}", size=12, align="right")
    _time_axes(figure, top + 26, LANE * max(1, len(lanes)), summary, grid=False)


def _map_height(summary: RecordingSummary) -> int:
    if summary.picture is None:
        return 330
    height, width = summary.picture.shape[:2]
    return min(760, max(330, round(MAP_WIDTH * float(height / width))))


def _draw_gaze(figure: Figure, top: int, summary: RecordingSummary) -> None:
    chart.write(figure, 40, top + 14, "Where the gaze was", size=chart.NORMAL, bold=True)
    if summary.picture is None:
        chart.write(figure, 40, top + 44, "No frame can be decoded.", size=12, color=chart.FAINT)
    else:
        height, width = summary.picture.shape[:2]
        scale = min(MAP_WIDTH / width, _map_height(summary) / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        scaled = np.asarray(cv2.resize(figures.draw_gaze_map(summary), size, interpolation=cv2.INTER_AREA), np.uint8)
        chart.paste(figure, 40, top + 26, scaled)
        text = f"{summary.samples} confident gaze samples, {summary.outside} of them outside the frame"
        chart.write(figure, 40, top + 26 + size[1] + 17, text, color=chart.FAINT)
        if summary.gaze is not None:
            radius_px = summary.radius * width / summary.gaze.shape[1]
            text = f"each a Gaussian as wide as the gaze's error radius, {radius_px:.0f} px; over the middle frame"
            chart.write(figure, 40, top + 26 + size[1] + 33, text, color=chart.FAINT)
    if summary.timed:
        rates = [item for item in summary.rates.items() if item[0] != "gaze"]
        _draw_series(figure, top + 26, summary, "Rates, Hz", rates, "no health was recorded")
        _draw_series(figure, top + 216, summary, "Dropped in a second", list(summary.dropped.items()), "nothing", True)


def _draw_series(
    figure: Figure, top: int, summary: RecordingSummary, title: str, found: list[tuple[str, TimeSeries]], nothing: str,
    with_sums: bool = False,
) -> None:  # fmt: skip
    """Draw time series into one chart, the largest first, at most as many as there are inks."""
    left = 40 + MAP_WIDTH + 70
    largest = sorted(found, key=lambda item: -sum(value for _, value in item[1]))[: len(INKS)]
    axes = _time_axes(figure, top, 84, summary, left=left, right=WIDTH - 40, title=title)
    axes.set_ylim(0, _axis_end([value for _, points in largest for _, value in points]))
    x, y = float(left), top + 84 + 42
    for ink, (name, points) in zip(INKS, largest, strict=False):
        for run in figures.split_at_gaps(points, 3.0):
            axes.plot(*zip(*run, strict=True), "o" if len(run) == 1 else "-", color=ink, linewidth=1.6, markersize=4)
        text = f"{name} {sum(value for _, value in points):.0f}" if with_sums else name
        if x > left and x + 14 + chart.text_width(text, chart.SMALL) > WIDTH - 40:
            x, y = float(left), y + 17
        chart.write(figure, x, y, "●", color=ink)
        chart.write(figure, x + 13, y, text)
        x += 13 + chart.text_width(text, chart.SMALL) + 18
    if not largest:
        chart.write(figure, left, y, nothing, color=chart.FAINT)


def _axis_end(values: Sequence[float]) -> float:
    return chart.axis_end(values, percentile=98, margin=1.15, bins=3)


def _end_s(summary: RecordingSummary) -> float:
    return max(0.5, summary.span_s)


def _time_axes(
    figure: Figure, top: int, height: int, summary: RecordingSummary, *, left: int = LEFT, right: int = RIGHT,
    title: str = "", numbers: bool = True, grid: bool = True,
) -> Axes:  # fmt: skip
    """Add axes over the recording's time, in minutes from ten on; values and their axis are in seconds."""
    bins = round((right - left) / 80)
    axes = chart.add_axes(figure, left, top, right - left, height, title=title, x_bins=bins, y_bins=3)
    unit_s, unit = (60.0, "min") if summary.span_s >= MINUTES_FROM_S else (1.0, "s")
    locator = axes.xaxis.get_major_locator()
    ticks = [value for value in locator.tick_values(0, _end_s(summary) / unit_s) if value * unit_s <= _end_s(summary)]
    axes.set_xlim(0, _end_s(summary))
    names = [f"{value:g}" if value else f"0 {unit}" for value in ticks]
    axes.set_xticks([value * unit_s for value in ticks], names)
    axes.tick_params(axis="x", labelbottom=numbers)
    if not grid:
        axes.set_yticks([])
    return axes
