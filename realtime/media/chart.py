"""Draws figures in the house style with matplotlib, laid out in pixels, with text in any script.

matplotlib is imported at the first drawing: it builds a font cache once on a machine, which takes seconds.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from engines import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

INK, FAINT, GRID, PAPER = "#282c34", "#6b7280", "#e1e5ea", "#ffffff"
# A palette that colour-blind readers can tell apart (Okabe & Ito, 2008).
BLUE, VERMILLION, GREEN, LILAC, SKY, AMBER = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
SMALL, NORMAL, LARGE = 11.0, 13.0, 18.0
"""Font sizes, px."""
# One point is one pixel, so that widths, sizes and places have one unit.
_DPI = 72
_OTHER_SCRIPTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans SC", "Noto Sans JP", "WenQuanYi Zen Hei", "Hiragino Sans",
    "PingFang SC", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Arial Unicode MS",
)  # fmt: skip


def new_figure(width: int, height: int, background: str = PAPER) -> Figure:
    """Create an empty figure of `width` x `height` px."""
    from matplotlib.figure import Figure

    # the little more outlives a rounding down when inches become pixels again
    return Figure(figsize=((width + 0.01) / _DPI, (height + 0.01) / _DPI), dpi=_DPI, facecolor=background)


def render(figure: Figure) -> Image:
    """Render a figure as an (H, W, 3) uint8 BGR image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with _tolerate_missing_glyphs():
        canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba(), np.uint8)  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(pixels[..., 2::-1])


def add_axes(
    figure: Figure, left: float, top: float, width: float, height: float, *, title: str = "", x_label: str = "",
    y_label: str = "", x_bins: int = 8, y_bins: int = 5,
) -> Axes:  # fmt: skip
    """Add axes at px from the figure's upper left; labels name the unit, `*_bins` bound the number of ticks."""
    from matplotlib.ticker import MaxNLocator

    wide, high = figure.bbox.size
    axes = figure.add_axes((left / wide, 1 - (top + height) / high, width / wide, height / high))
    axes.set_facecolor("none")
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=SMALL, width=1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(x_bins, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(y_bins, steps=[1, 2, 5, 10]))
    axes.set_xlabel(x_label, size=SMALL, color=FAINT, loc="right")
    write(figure, left, top - 12, title, size=NORMAL, bold=True)
    write(figure, left + width, top - 12, y_label, color=FAINT, align="right")
    return axes


def write(
    figure: Figure, x: float, y: float, text: str, *, size: float = SMALL, color: str = INK, bold: bool = False,
    align: Literal["left", "center", "right"] = "left",
) -> None:  # fmt: skip
    """Write text at px from the figure's upper left, with its baseline at y."""
    wide, high = figure.bbox.size
    figure.text(
        x / wide, 1 - y / high, text, color=color, ha=align, va="baseline", parse_math=False,
        fontproperties=_font(size, bold),
    )  # fmt: skip


def draw_dots(axes: Axes, points: NDArray[np.float64], color: str, radius: float | NDArray[np.float64] = 3.0,
              opacity: float = 1.0) -> None:  # fmt: skip
    """Draw (N, 2) points as dots of `radius` px."""
    x, y = np.reshape(points, (-1, 2)).T
    axes.scatter(x, y, (2 * np.asarray(radius)) ** 2, color=color, alpha=opacity, linewidths=0)


def label(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Write text at a place in the axes' own units; `style` as for `Axes.annotate`."""
    style = {"size": SMALL, "color": INK, "textcoords": "offset points", "xytext": (0, 0), **style}
    font = _font(style.pop("size"))
    axes.annotate(text, (x, y), parse_math=False, fontproperties=font, **style)


def paste(figure: Figure, left: int, top: int, image: Image) -> None:
    """Place a BGR image, pixel by pixel, at px from the figure's upper left."""
    figure.figimage(image[..., ::-1], left, round(figure.bbox.height) - top - image.shape[0])


def add_legend(axes: Axes, entries: Mapping[str, str], *, below: bool = False) -> None:
    """Name colours, {text: colour}, in one row above the axes or below them."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", markersize=9, linestyle="", color=color, label=text)
        for text, color in entries.items()
    ]
    legend = axes.legend(
        handles=handles, ncols=max(1, len(handles)), frameon=False, prop=_font(SMALL), labelcolor=FAINT,
        handletextpad=0.2, columnspacing=1.2, borderaxespad=0.6, borderpad=0, handlelength=1.2,
        loc="upper left" if below else "lower left", bbox_to_anchor=(0, 0 if below else 1),
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def round_up(value: float, bins: int = 5) -> float:
    """Round a positive value up to the end of an axis with at most `bins` round ticks."""
    from matplotlib.ticker import MaxNLocator

    return float(MaxNLocator(bins, steps=[1, 2, 5, 10]).tick_values(0, value)[-1])


def axis_end(values: Sequence[float], *, percentile: float, margin: float, bins: int) -> float:
    """Choose a round axis end above a percentile of the values; a single outlier must not flatten the rest."""
    return round_up(max(1.0, float(np.percentile(values, percentile)) * margin) if values else 1.0, bins)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Measure a line of text, px."""
    from matplotlib.textpath import text_to_path

    with _tolerate_missing_glyphs():
        width, _, _ = text_to_path.get_text_width_height_descent(text, _font(size, bold), False)
    return float(width)


def shorten(text: str, width: float, size: float) -> str:
    """Cut a text to `width` px; an ellipsis marks the cut."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, width: float, size: float) -> list[str]:
    """Break a text between words into lines of at most `width` px; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def mix(color: str, share: float) -> str:
    """Mix a colour with paper; share 0 keeps the colour, 1 gives paper."""
    parts = [round(part + (255 - part) * share) for part in bytes.fromhex(color[1:])]
    return "#" + bytes(parts).hex()


def hex_color(bgr: Sequence[int]) -> str:
    """Convert (blue, green, red) to `#rrggbb`."""
    return "#" + bytes(bgr[::-1]).hex()


@functools.lru_cache(maxsize=256)
def text_mask(text: str, size: float) -> Image:
    """Render a line of text as an (H, W) uint8 coverage, 0..255; in the house font, cached."""
    figure = new_figure(max(1, round(text_width(text, size)) + 4), round(1.6 * size), PAPER)
    write(figure, 2, 1.2 * size, text, size=size, color="#000000")
    return np.asarray(255 - render(figure)[..., 0])


@functools.cache
def _families() -> list[str]:
    from matplotlib.font_manager import fontManager

    known = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in known)]


def _font(size: float, bold: bool = False) -> FontProperties:
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=_families(), size=size, weight="bold" if bold else "normal")


@contextmanager
def _tolerate_missing_glyphs() -> Iterator[None]:
    """Draw a box for a letter that no installed font has, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield
