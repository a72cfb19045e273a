"""Renders the report of any calibration as PNG and HTML: verdict, figures, numbers, and advice."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import cv2
import numpy as np

from engines import Image
from realtime.media import chart
from realtime.media.chart import FAINT, GRID, INK, LARGE, NORMAL, PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Verdict = Literal["refuse", "warn", "pass"]
# Distinguishable without red-green vision (after Okabe & Ito, 2008), and dark enough for white text.
COLOURS: dict[Verdict, str] = {"pass": "#00688e", "warn": "#a86a00", "refuse": "#b8471b"}
WORDS: dict[Verdict, str] = {"pass": "GOOD", "warn": "USABLE, WITH CARE", "refuse": "DO NOT USE"}
PANEL = (560, 400)
"""(width, height) of a figure, px."""
_WIDTH, _EDGE, _GAP, _LINE = 1224, 40, 24, 22


@dataclass(frozen=True, slots=True, eq=False)
class ReportPanel:
    """Holds one figure. image: BGR, as wide as a `PANEL`. caption: how to read it, one sentence."""

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
    return tuple(sorted(findings, key=lambda finding: get_args(Verdict).index(finding.level)))


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
        rows = [self.panels[i : i + 2] for i in range(0, len(self.panels), 2)]
        heights = [max(panel.image.shape[0] for panel in row) + 64 for row in rows]
        findings, top = _wrap_findings(self.findings), 174 + (len(self.facts) + 1) // 2 * _LINE
        figure = chart.new_figure(_WIDTH, top + sum(heights) + 52 + len(findings) * _LINE + _EDGE)
        _draw_head(figure, self)
        _draw_facts(figure, self.facts, 150)
        for row, height in zip(rows, heights, strict=True):
            for column, panel in enumerate(row):
                _draw_panel(figure, panel, _EDGE + column * (PANEL[0] + _GAP), top)
            top += height
        chart.write(figure, _EDGE, top + 26, "What to do next", size=16, bold=True)
        for y, (mark, ink, text) in enumerate(findings):
            chart.write(figure, _EDGE, top + 56 + y * _LINE, "●" if mark else "", size=NORMAL, color=mark or ink)
            chart.write(figure, _EDGE + 22, top + 56 + y * _LINE, text, size=NORMAL, color=ink)
        return chart.render(figure)

    def html(self) -> str:
        """Render the page as one self-contained HTML file."""
        escape = html.escape
        facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in self.facts)
        figures = "".join(
            f'<figure><h2>{escape(panel.title)}</h2><img alt="{escape(panel.title)}" '
            f'src="{_encode_data_url(panel.image)}"><figcaption>{escape(panel.caption)}</figcaption></figure>'
            for panel in self.panels
        )
        findings = "".join(
            f'<li class="{finding.level}">{escape(finding.message)}<br><span>{escape(finding.advice)}</span></li>'
            for finding in self.findings
        )
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
            f"<h1>{escape(self.title)}</h1><p>{escape(self.subtitle)}</p>"
            f'<p class="verdict {self.verdict}"><b>{WORDS[self.verdict]}</b> {escape(self.headline)}</p>'
            f"<table>{facts}</table><main>{figures}</main><h2>What to do next</h2><ul>{findings}</ul></html>\n"
        )

    def save(self, stem: Path) -> tuple[Path, Path]:
        """Write STEM.png and STEM.html and return both paths; raises `OSError`."""
        png, page = (stem.with_name(stem.name + ending) for ending in (".png", ".html"))
        stem.parent.mkdir(parents=True, exist_ok=True)
        png.write_bytes(cv2.imencode(".png", self.png())[1].tobytes())
        page.write_text(self.html(), encoding="utf-8")
        return png, page


def _draw_head(figure: Figure, page: ReportPage) -> None:
    chart.write(figure, _EDGE, 50, page.title, size=26, bold=True)
    chart.write(figure, _EDGE, 76, page.subtitle, size=NORMAL, color=FAINT)
    chart.paste(figure, _EDGE, 92, _create_fill(_WIDTH - 2 * _EDGE, 38, COLOURS[page.verdict]))
    word = WORDS[page.verdict]
    chart.write(figure, _EDGE + 14, 117, word, size=LARGE, color=PAPER, bold=True)
    left = _EDGE + chart.text_width(word, LARGE, bold=True) + 34
    chart.write(figure, left, 117, chart.shorten(page.headline, _WIDTH - _EDGE - 14 - left, 15), size=15, color=PAPER)


def _draw_facts(figure: Figure, facts: tuple[tuple[str, str], ...], top: int) -> None:
    half = (len(facts) + 1) // 2
    for number, (name, value) in enumerate(facts):
        column, row = divmod(number, half)
        x, y = _EDGE + column * (PANEL[0] + _GAP), top + 18 + row * _LINE
        chart.paste(figure, x, y + 6, _create_fill(PANEL[0], 1, GRID))
        chart.write(figure, x, y, name, size=NORMAL, color=FAINT)
        room = PANEL[0] - chart.text_width(name, NORMAL) - 12
        chart.write(figure, x + PANEL[0], y, chart.shorten(value, room, NORMAL), size=NORMAL, align="right")


def _draw_panel(figure: Figure, panel: ReportPanel, x: int, y: int) -> None:
    chart.write(figure, x, y + 26, panel.title, size=16, bold=True)
    chart.paste(figure, x, y + 38, panel.image)
    chart.write(
        figure, x, y + panel.image.shape[0] + 54, chart.shorten(panel.caption, PANEL[0], 12), size=12, color=FAINT
    )


def _create_fill(width: int, height: int, color: str) -> Image:
    return np.full((height, width, 3), tuple(bytes.fromhex(color[1:]))[::-1], np.uint8)


def _wrap_findings(findings: tuple[ReportFinding, ...]) -> list[tuple[str, str, str]]:
    """Return (colour of the mark where a finding begins, else "", colour of the text, text) of each line."""
    lines: list[tuple[str, str, str]] = []
    room = _WIDTH - 2 * _EDGE - 30
    for finding in findings:
        first, *more = chart.wrap(finding.message, room, NORMAL)
        lines += [(COLOURS[finding.level], INK, first), *(("", INK, text) for text in more)]
        lines += [("", FAINT, text) for text in chart.wrap(finding.advice, room, NORMAL)]
    return lines


def _encode_data_url(image: Image) -> str:
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()


_STYLE = """
body{font:16px/1.45 system-ui,sans-serif;color:#282c34;max-width:1180px;margin:2em auto;padding:0 1.2em}
h1{font-size:1.6em;margin:0}h1+p{color:#6f7783;margin:.2em 0 1em}h2{font-size:1.05em;margin:1.4em 0 .4em}
.verdict{color:#fff;padding:.6em 1em;border-radius:4px}.verdict b{margin-right:1em}
table{columns:2;border-collapse:collapse;width:100%}th{font-weight:400;color:#6f7783;text-align:left}
td{text-align:right;font-variant-numeric:tabular-nums}th,td{border-bottom:1px solid #e1e5ea;padding:.25em 0}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:0 24px}figure{margin:0}
img{width:100%}figcaption{color:#6f7783;font-size:.85em}ul{list-style:none;padding:0}
li{border-left:5px solid;padding:.2em 0 .2em .8em;margin:.5em 0}li span{color:#6f7783}
""" + "".join(
    f".verdict.{name}{{background:{color}}}li.{name}{{border-color:{color}}}" for name, color in COLOURS.items()
)
