"""Draws the figures of a calibration report, each `PANEL` large: error maps, histograms, bars, coverage. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration import CalibrationError
from engines import Image
from realtime.commands.calibrate.report import PANEL, ReportPanel
from realtime.media import chart
from realtime.media.chart import AMBER, BLUE, GRID, NORMAL, PAPER, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
PALENESS = 0.55
"""The share of paper in a background."""
_MAX_ARROWS = 600


def create_image_axes(
    size: tuple[int, int], legend: Mapping[str, str], background: Image | None = None, *, is_cropped: bool = False
) -> Axes:  # fmt: skip
    """Create a panel whose units are the camera's pixels, with a legend, {text: colour}, below.

    background: drawn pale. is_cropped: leave out the space that a wide image leaves below.
    """
    scale = min((PANEL[0] - 20) / size[0], (PANEL[1] - 44) / size[1])
    width, height = size[0] * scale, size[1] * scale
    panel_height = round(height) + 44 if is_cropped else PANEL[1]
    wide, high = width / PANEL[0], height / panel_height
    axes = chart.new_figure(PANEL[0], panel_height).add_axes(((1 - wide) / 2, 1 - 10 / panel_height - high, wide, high))
    if background is not None:
        pale = cv2.addWeighted(background, 1 - PALENESS, np.full_like(background, 255), PALENESS, 0)
        shown = cv2.resize(pale, (round(width), round(height)), interpolation=cv2.INTER_AREA)
        axes.imshow(shown[..., ::-1], extent=(-0.5, size[0] - 0.5, size[1] - 0.5, -0.5), aspect="auto")
    axes.set(xlim=(-0.5, size[0] - 0.5), ylim=(size[1] - 0.5, -0.5), xticks=[], yticks=[])
    axes.spines[:].set_color(GRID)
    chart.add_legend(axes, legend, below=True)
    return axes


def create_axes(**labels: str) -> Axes:
    """Create a panel with axes for numbers; `labels` as for `chart.add_axes`."""
    return chart.add_axes(chart.new_figure(*PANEL), 58, 44, PANEL[0] - 80, PANEL[1] - 100, **labels)  # type: ignore[arg-type]


def render_axes(axes: Axes) -> Image:
    """Render the figure of these axes."""
    return chart.render(cast("Figure", axes.figure))


def draw_arrows(axes: Axes, points: Floats, deltas: Floats, color: str, width: float = 1.6) -> None:
    """Draw (N, 2) arrows from (N, 2) points in axes units, `width` px wide."""
    axes.quiver(*points.T, *deltas.T, angles="xy", scale_units="xy", scale=1, units="dots", width=width, color=color,
                headwidth=4, headlength=4, headaxislength=4, minlength=0.5)  # fmt: skip


def draw_error_map(size: tuple[int, int], points_px: Floats, errors_px: Floats) -> Image:
    """Draw (N, 2) errors as magnified arrows at (N, 2) points of the camera's image."""
    if points_px.shape != errors_px.shape or points_px.ndim != 2 or points_px.shape[1] != 2:
        raise CalibrationError(f"places and errors must both be (N, 2), got {points_px.shape} and {errors_px.shape}")
    lengths = np.hypot(*errors_px.T)
    typical = float(np.median(lengths)) if len(lengths) else 0.0
    magnification = _round(0.03 * max(size) / typical if typical > 0 else 1.0)
    scale = f"arrows {magnification:g} times as long; median {typical:.2g} px"
    axes = create_image_axes(size, {scale: BLUE, "over 2 medians": AMBER, "over 4": VERMILLION})
    reach = np.minimum(1.0, 0.15 * max(size) / np.maximum(lengths * magnification, 1e-9))
    arrows = errors_px * (magnification * reach)[:, None]
    level = np.searchsorted([2 * typical, 4 * typical], lengths)
    for number, color in enumerate((BLUE, AMBER, VERMILLION)):
        draw_arrows(axes, points_px[level == number], arrows[level == number], color)
    return render_axes(axes)


def build_error_panels(
    size: tuple[int, int], points_px: Floats, errors_px: Floats, predicted: str, caption: str
) -> list[ReportPanel]:  # fmt: skip
    """Draw the map and the distribution of the finite (N, 2) errors. predicted: verb for the expected position."""
    is_finite = np.isfinite(errors_px).all(1)
    points_px, errors_px = points_px[is_finite], errors_px[is_finite]
    step = max(1, len(errors_px) // _MAX_ARROWS)
    lengths = np.hypot(*errors_px.T)
    marks: list[tuple[float, str]] = []
    if len(lengths):
        median, p95 = (float(value) for value in np.percentile(lengths, (50, 95)))
        marks = [(median, f"median {median:.2f}"), (p95, "95 % are smaller")]
    histogram = draw_histogram(lengths, x_label=f"found minus {predicted}, px", marks=marks)
    return [
        ReportPanel("Error over the picture", draw_error_map(size, points_px[::step], errors_px[::step]), caption),
        ReportPanel("Distribution of the errors", histogram),
    ]


def draw_histogram(values: Floats, *, x_label: str, marks: Sequence[tuple[float, str]] = ()) -> Image:
    """Draw the distribution of errors, with vertical marks such as the median."""
    values = values[np.isfinite(values)]
    top = max(float(np.percentile(values, 99.5)) if len(values) else 1.0, *(at for at, _ in marks), 1e-6) * 1.08
    counts, edges = np.histogram(np.minimum(values, top), bins=30, range=(0, top))
    axes = create_axes(x_label=x_label, y_label="count")
    axes.bar(edges[:-1], counts, top / 30 * 0.92, align="edge", color=BLUE)
    axes.set(xlim=(0, top), ylim=(0, max(1.0, float(counts.max(initial=1)) * 1.12)))
    for number, (at, text) in enumerate(marks):
        axes.axvline(at, color=AMBER, linewidth=2)
        right = at > 0.6 * top
        chart.label(axes, at, axes.get_ylim()[1], text, xytext=(-6 if right else 6, -12 - 16 * number),
              ha="right" if right else "left")  # fmt: skip
    return render_axes(axes)


def draw_bars(names: Sequence[str], values: Sequence[float], *, unit: str, dropped: Sequence[str] = ()) -> Image:
    """Draw one bar per name, the dropped ones in another colour."""
    heights = [value if math.isfinite(value) else 0.0 for value in values]
    axes = create_axes(y_label=unit)
    axes.bar(range(len(heights)), heights, 0.7, color=[VERMILLION if name in dropped else BLUE for name in names])
    axes.set(xlim=(-0.5, max(1, len(names)) - 0.5), ylim=(0, max([*heights, 1e-9]) * 1.12))
    every = max(1, math.ceil(len(names) / 8))
    axes.set_xticks(range(0, len(names), every), [name[-8:] for name in names[::every]], parse_math=False)
    if dropped:
        chart.add_legend(axes, {"kept": BLUE, "dropped": VERMILLION})
    return render_axes(axes)


def draw_cells(size: tuple[int, int], counts: NDArray[np.int_], enough: int) -> Image:
    """Draw (rows, columns) counts of corners over the image, filled up to `enough`."""
    axes = create_image_axes(size, {f"{enough} or more corners": BLUE, "still missing": chart.mix(BLUE, 0.8)})
    width, height = size[0] / counts.shape[1], size[1] / counts.shape[0]
    for (row, column), count in np.ndenumerate(counts):
        share = min(1.0, count / enough)
        x, y = width * (column + 0.5) - 0.5, height * (row + 0.5) - 0.5
        color = chart.mix(BLUE, 0.93 * (1 - share))
        axes.bar(x, 0.94 * height, 0.96 * width, bottom=y - 0.47 * height, color=color)
        ink = PAPER if share > 0.6 else VERMILLION
        chart.label(axes, x, y, str(count), color=ink, size=NORMAL, ha="center", va="center")
    return render_axes(axes)


def _round(value: float) -> float:
    """Return the nearest of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda number: abs(math.log(number / value)))
