"""The one page that a calibration ends in, as PNG and as HTML: verdict, figures, numbers, and what to do next. Pure.

It knows nothing of calibration; each verb fills a `ReportPage`. Figures are made with `report_figures`.
"""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2

from engines import Image
from realtime.media.chart import FAINT, GRID, INK, PAPER, ChartCanvas, Colour, text_width

Verdict = Literal["pass", "warn", "refuse"]
# Blue, green, red; told apart without telling red from green (after Okabe & Ito, 2008).
COLOURS: dict[Verdict, Colour] = {"pass": (142, 104, 0), "warn": (0, 140, 214), "refuse": (0, 84, 204)}
WORDS: dict[Verdict, str] = {"pass": "GOOD", "warn": "USABLE, WITH CARE", "refuse": "DO NOT USE"}
PANEL = (560, 400)
"""(width, height) of a figure, px."""
_WIDTH, _EDGE, _GAP = 1224, 40, 24
_COLUMN = (_WIDTH - 2 * _EDGE - _GAP) // 2
_LINE = 22


@dataclass(frozen=True, slots=True, eq=False)
class ReportPanel:
    """One figure. image: BGR, best `PANEL` large. caption: one sentence on how to read it."""

    title: str
    image: Image
    caption: str = ""


@dataclass(frozen=True, slots=True)
class ReportFinding:
    """One thing that was found, and what to do about it ("" where nothing)."""

    level: Verdict
    what: str
    do: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ReportPage:
    """One page. verdict and headline: the result in one sentence. facts: (name, value with unit) for the table."""

    title: str
    subtitle: str
    verdict: Verdict
    headline: str
    facts: tuple[tuple[str, str], ...]
    panels: tuple[ReportPanel, ...]
    findings: tuple[ReportFinding, ...]

    def png(self) -> Image:
        """The page as one BGR picture."""
        findings, facts = _finding_lines(self.findings), (len(self.facts) + 1) // 2
        rows = [self.panels[i : i + 2] for i in range(0, len(self.panels), 2)]
        top = 150 + 24 + facts * _LINE
        heights = [max(_scaled(panel)[1] for panel in row) + 64 for row in rows]
        canvas = ChartCanvas(_WIDTH, top + sum(heights) + 52 + len(findings) * _LINE + _EDGE)
        _head(canvas, self)
        _facts(canvas, self.facts, 150)
        for row, height in zip(rows, heights, strict=True):
            for column, panel in enumerate(row):
                _panel(canvas, panel, _EDGE + column * (_COLUMN + _GAP), top)
            top += height
        canvas.text(_EDGE, top + 26, "What to do next", height=11, bold=True)
        for number, (mark, ink, text) in enumerate(findings):
            y = top + 56 + number * _LINE
            if mark is not None:
                canvas.dot(_EDGE + 5, y - 4.5, mark, 5)
            canvas.text(_EDGE + 22, y, text, height=9.5, colour=ink)
        return canvas.finished()

    def html(self) -> str:
        """The page as one HTML file that needs nothing else."""
        facts = "".join(f"<tr><th>{_safe(name)}</th><td>{_safe(value)}</td></tr>" for name, value in self.facts)
        figures = "".join(
            f'<figure><h2>{_safe(panel.title)}</h2><img alt="{_safe(panel.title)}" src="{_inline(panel.image)}">'
            f"<figcaption>{_safe(panel.caption)}</figcaption></figure>"
            for panel in self.panels
        )
        findings = "".join(
            f'<li class="{finding.level}">{_safe(finding.what)}<br><span>{_safe(finding.do)}</span></li>'
            for finding in self.findings
        )
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_safe(self.title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
            f"<h1>{_safe(self.title)}</h1><p>{_safe(self.subtitle)}</p>"
            f'<p class="verdict {self.verdict}"><b>{WORDS[self.verdict]}</b> {_safe(self.headline)}</p>'
            f"<table>{facts}</table><main>{figures}</main><h2>What to do next</h2><ul>{findings}</ul></html>\n"
        )

    def save(self, stem: Path) -> tuple[Path, Path]:
        """Write STEM.png and STEM.html; returns both. OSError from the disk."""
        png, page = (stem.with_name(stem.name + ending) for ending in (".png", ".html"))
        stem.parent.mkdir(parents=True, exist_ok=True)
        png.write_bytes(_encoded(self.png()))
        page.write_text(self.html(), encoding="utf-8")
        return png, page


def wrapped(text: str, width: float, height: float) -> list[str]:
    """The text in lines no wider than `width` px where its capitals are `height` px high."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", height) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _head(canvas: ChartCanvas, page: ReportPage) -> None:
    colour = COLOURS[page.verdict]
    canvas.text(_EDGE, 48, page.title, height=17, bold=True)
    canvas.text(_EDGE, 74, _plain(page.subtitle), height=9, colour=FAINT)
    canvas.box(_EDGE, 92, _WIDTH - 2 * _EDGE, 38, colour)
    word = WORDS[page.verdict]
    canvas.text(_EDGE + 14, 116, word, height=11, colour=PAPER, bold=True)
    room = text_width(word, 11) + 44
    headline = wrapped(_plain(page.headline), _WIDTH - 2 * _EDGE - room - 10, 10)
    canvas.text(_EDGE + room, 116, headline[0] if headline else "", height=10, colour=PAPER)


def _facts(canvas: ChartCanvas, facts: tuple[tuple[str, str], ...], top: float) -> None:
    half = (len(facts) + 1) // 2
    for number, (name, value) in enumerate(facts):
        column, row = divmod(number, half)
        x, y = _EDGE + column * (_COLUMN + _GAP), top + 18 + row * _LINE
        canvas.line([(x, y + 6.5), (x + _COLUMN, y + 6.5)], GRID, 1)
        canvas.text(x, y, _plain(name), height=9, colour=FAINT)
        canvas.text(x + _COLUMN, y, _plain(value), height=9.5, anchor="right")


def _panel(canvas: ChartCanvas, panel: ReportPanel, x: int, y: int) -> None:
    width, height = _scaled(panel)
    canvas.text(x, y + 26, _plain(panel.title), height=11, bold=True)
    canvas.image(x, y + 38, width, height, panel.image)
    if panel.caption:
        canvas.text(x, y + height + 54, wrapped(_plain(panel.caption), _COLUMN, 8)[0], height=8, colour=FAINT)


def _scaled(panel: ReportPanel) -> tuple[int, int]:
    high, wide = panel.image.shape[:2]
    return _COLUMN, max(1, round(high * _COLUMN / wide))


def _finding_lines(findings: tuple[ReportFinding, ...]) -> list[tuple[Colour | None, Colour, str]]:
    """(colour of the mark where a finding begins, colour of the text, text) of each line."""
    lines: list[tuple[Colour | None, Colour, str]] = []
    room = _WIDTH - 2 * _EDGE - 30
    for finding in findings:
        for number, text in enumerate(wrapped(_plain(finding.what), room, 9.5)):
            lines.append((COLOURS[finding.level] if number == 0 else None, INK, text))
        lines += [(None, FAINT, text) for text in wrapped(_plain(finding.do), room, 9.5)]
    return lines


def _plain(text: str) -> str:
    """What OpenCV's font can draw."""
    known = {"°": " deg", "µ": "u", "σ": "sd ", "≤": "<=", "–": "-", "−": "-", "×": "x", "·": "-", "±": "+-"}
    return "".join(known.get(letter, letter) for letter in text).encode("ascii", "replace").decode()


def _safe(text: str) -> str:
    return html.escape(text)


def _inline(image: Image) -> str:
    return "data:image/png;base64," + base64.b64encode(_encoded(image)).decode()


def _encoded(image: Image) -> bytes:
    done, data = cv2.imencode(".png", image)
    assert done
    return data.tobytes()


_STYLE = """
body{font:16px/1.45 system-ui,sans-serif;color:#282c34;max-width:1180px;margin:2em auto;padding:0 1.2em}
h1{font-size:1.6em;margin:0}h1+p{color:#6f7783;margin:.2em 0 1em}h2{font-size:1.05em;margin:1.4em 0 .4em}
.verdict{color:#fff;padding:.6em 1em;border-radius:4px}.verdict b{margin-right:1em}
.verdict.pass{background:#00688e}.verdict.warn{background:#a86a00}.verdict.refuse{background:#b8471b}
table{columns:2;border-collapse:collapse;width:100%}th{font-weight:400;color:#6f7783;text-align:left}
td{text-align:right;font-variant-numeric:tabular-nums}th,td{border-bottom:1px solid #e1e5ea;padding:.25em 0}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:0 24px}figure{margin:0}
img{width:100%}figcaption{color:#6f7783;font-size:.85em}ul{list-style:none;padding:0}
li{border-left:5px solid;padding:.2em 0 .2em .8em;margin:.5em 0}li span{color:#6f7783}
li.pass{border-color:#00688e}li.warn{border-color:#d68c00}li.refuse{border-color:#cc5400}
"""
