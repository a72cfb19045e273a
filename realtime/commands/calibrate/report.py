"""Renders the report page of a calibration as PNG and HTML: verdict, figures, numbers, and advice.

Independent of the kind of calibration: each verb fills a `ReportPage` with figures of `report_figures`.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from engines import Image
from realtime.media.chart import (
    FAINT,
    GRID,
    INK,
    LARGE,
    NORMAL,
    PAPER,
    new_figure,
    paste,
    render,
    shorten,
    text_width,
    wrap,
    write,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Verdict = Literal["pass", "warn", "refuse"]
# Distinguishable without red-green vision (after Okabe & Ito, 2008), and dark enough for white text.
COLOURS: dict[Verdict, str] = {"pass": "#00688e", "warn": "#a86a00", "refuse": "#b8471b"}
WORDS: dict[Verdict, str] = {"pass": "GOOD", "warn": "USABLE, WITH CARE", "refuse": "DO NOT USE"}
PANEL = (560, 400)
"""(width, height) of a figure, px."""
_WIDTH, _EDGE, _GAP = 1224, 40, 24
_COLUMN = PANEL[0]
_LINE = 22


@dataclass(frozen=True, slots=True, eq=False)
class ReportPanel:
    """Holds one figure. image: BGR, preferably of size `PANEL`. caption: how to read it, one sentence."""

    title: str
    image: Image
    caption: str = ""


@dataclass(frozen=True, slots=True)
class ReportFinding:
    """Holds one finding and the advice for it ("" for none)."""

    level: Verdict
    message: str
    advice: str = ""


def sort_findings(findings: Iterable[ReportFinding]) -> tuple[ReportFinding, ...]:
    """Sort findings by level, worst first."""
    order: list[Verdict] = ["refuse", "warn", "pass"]
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))


@dataclass(frozen=True, slots=True, eq=False)
class ReportPage:
    """Holds one page. headline: the result in one sentence. facts: (name, value with unit) for the table."""

    title: str
    subtitle: str
    verdict: Verdict
    headline: str
    facts: tuple[tuple[str, str], ...]
    panels: tuple[ReportPanel, ...]
    findings: tuple[ReportFinding, ...]

    def png(self) -> Image:
        """Render the page as one BGR image."""
        findings, fact_rows = _finding_lines(self.findings), (len(self.facts) + 1) // 2
        rows = [self.panels[i : i + 2] for i in range(0, len(self.panels), 2)]
        top = 150 + 24 + fact_rows * _LINE
        heights = [max(_fit(panel.image).shape[0] for panel in row) + 64 for row in rows]
        figure = new_figure(_WIDTH, top + sum(heights) + 52 + len(findings) * _LINE + _EDGE)
        _draw_head(figure, self)
        _draw_facts(figure, self.facts, 150)
        for row, height in zip(rows, heights, strict=True):
            for column, panel in enumerate(row):
                _draw_panel(figure, panel, _EDGE + column * (_COLUMN + _GAP), top)
            top += height
        write(figure, _EDGE, top + 26, "What to do next", size=16, bold=True)
        for number, (mark, ink, text) in enumerate(findings):
            y = top + 56 + number * _LINE
            if mark is not None:
                write(figure, _EDGE, y, "●", size=NORMAL, color=mark)
            write(figure, _EDGE + 22, y, text, size=NORMAL, color=ink)
        return render(figure)

    def html(self) -> str:
        """Render the page as one self-contained HTML file."""
        facts = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in self.facts
        )
        figures = "".join(
            f"<figure><h2>{html.escape(panel.title)}</h2>"
            f'<img alt="{html.escape(panel.title)}" src="{_encode_data_url(panel.image)}">'
            f"<figcaption>{html.escape(panel.caption)}</figcaption></figure>"
            for panel in self.panels
        )
        findings = "".join(
            f'<li class="{finding.level}">{html.escape(finding.message)}<br>'
            f"<span>{html.escape(finding.advice)}</span></li>"
            for finding in self.findings
        )
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
            f"<h1>{html.escape(self.title)}</h1><p>{html.escape(self.subtitle)}</p>"
            f'<p class="verdict {self.verdict}"><b>{WORDS[self.verdict]}</b> {html.escape(self.headline)}</p>'
            f"<table>{facts}</table><main>{figures}</main><h2>What to do next</h2><ul>{findings}</ul></html>\n"
        )

    def save(self, stem: Path) -> tuple[Path, Path]:
        """Write STEM.png and STEM.html and return both paths; raises `OSError`."""
        png, page = (stem.with_name(stem.name + ending) for ending in (".png", ".html"))
        stem.parent.mkdir(parents=True, exist_ok=True)
        png.write_bytes(_encode_png(self.png()))
        page.write_text(self.html(), encoding="utf-8")
        return png, page


def _draw_head(figure: Figure, page: ReportPage) -> None:
    write(figure, _EDGE, 50, page.title, size=26, bold=True)
    write(figure, _EDGE, 76, page.subtitle, size=NORMAL, color=FAINT)
    paste(figure, _EDGE, 92, _create_fill(_WIDTH - 2 * _EDGE, 38, COLOURS[page.verdict]))
    word = WORDS[page.verdict]
    write(figure, _EDGE + 14, 117, word, size=LARGE, color=PAPER, bold=True)
    left = _EDGE + text_width(word, LARGE, bold=True) + 34
    write(figure, left, 117, shorten(page.headline, _WIDTH - _EDGE - 14 - left, 15), size=15, color=PAPER)


def _draw_facts(figure: Figure, facts: tuple[tuple[str, str], ...], top: int) -> None:
    half = (len(facts) + 1) // 2
    for number, (name, value) in enumerate(facts):
        column, row = divmod(number, half)
        x, y = _EDGE + column * (_COLUMN + _GAP), top + 18 + row * _LINE
        paste(figure, x, y + 6, _create_fill(_COLUMN, 1, GRID))
        write(figure, x, y, name, size=NORMAL, color=FAINT)
        room = _COLUMN - text_width(name, NORMAL) - 12
        write(figure, x + _COLUMN, y, shorten(value, room, NORMAL), size=NORMAL, align="right")


def _draw_panel(figure: Figure, panel: ReportPanel, x: int, y: int) -> None:
    image = _fit(panel.image)
    write(figure, x, y + 26, panel.title, size=16, bold=True)
    paste(figure, x, y + 38, image)
    write(figure, x, y + image.shape[0] + 54, shorten(panel.caption, _COLUMN, 12), size=12, color=FAINT)


def _create_fill(width: int, height: int, color: str) -> Image:
    return np.full((height, width, 3), tuple(bytes.fromhex(color[1:]))[::-1], np.uint8)


def _fit(image: Image) -> Image:
    """Scale an image to the width of a column."""
    high, wide = image.shape[:2]
    size = _COLUMN, max(1, round(high * _COLUMN / wide))
    return image if size == (wide, high) else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _finding_lines(findings: tuple[ReportFinding, ...]) -> list[tuple[str | None, str, str]]:
    """Return (colour of the mark where a finding begins, colour of the text, text) of each line."""
    lines: list[tuple[str | None, str, str]] = []
    room = _WIDTH - 2 * _EDGE - 30
    for finding in findings:
        for number, text in enumerate(wrap(finding.message, room, NORMAL)):
            lines.append((COLOURS[finding.level] if number == 0 else None, INK, text))
        lines += [(None, FAINT, text) for text in wrap(finding.advice, room, NORMAL)]
    return lines


def _encode_data_url(image: Image) -> str:
    return "data:image/png;base64," + base64.b64encode(_encode_png(image)).decode()


def _encode_png(image: Image) -> bytes:
    done, data = cv2.imencode(".png", image)
    assert done
    return data.tobytes()


_STYLE = (
    """
body{font:16px/1.45 system-ui,sans-serif;color:#282c34;max-width:1180px;margin:2em auto;padding:0 1.2em}
h1{font-size:1.6em;margin:0}h1+p{color:#6f7783;margin:.2em 0 1em}h2{font-size:1.05em;margin:1.4em 0 .4em}
.verdict{color:#fff;padding:.6em 1em;border-radius:4px}.verdict b{margin-right:1em}
"""
    + "".join(
        f".verdict.{name}{{background:{color}}}li.{name}{{border-color:{color}}}" for name, color in COLOURS.items()
    )
    + """
table{columns:2;border-collapse:collapse;width:100%}th{font-weight:400;color:#6f7783;text-align:left}
td{text-align:right;font-variant-numeric:tabular-nums}th,td{border-bottom:1px solid #e1e5ea;padding:.25em 0}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:0 24px}figure{margin:0}
img{width:100%}figcaption{color:#6f7783;font-size:.85em}ul{list-style:none;padding:0}
li{border-left:5px solid;padding:.2em 0 .2em .8em;margin:.5em 0}li span{color:#6f7783}
"""
)
