"""The report page has all its content as PNG and HTML, and texts are escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.commands.calibrate.report import COLOURS, PANEL, WORDS, ReportFinding, ReportPage, ReportPanel
from realtime.media.chart import text_width, wrap

PICTURE = np.full((PANEL[1], PANEL[0], 3), (10, 200, 30), np.uint8)


def page(verdict: str = "warn", panels: int = 3, findings: int = 2) -> ReportPage:
    return ReportPage(
        "Camera calibration", "scene, 640 x 480 px", verdict, "0.41 px rms",  # type: ignore[arg-type]
        (("rms", "0.41 px"), ("field of view", "67.6° x 51.1°"), ("fx", "536.1 ± 0.9 px")),
        tuple(ReportPanel(f"Figure {number}", PICTURE, "How to read it.") for number in range(panels)),
        tuple(ReportFinding("warn", f"Finding {number} <script>", "Do & do not.") for number in range(findings)),
    )  # fmt: skip


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


@pytest.mark.parametrize("verdict", ["pass", "warn", "refuse"])
def test_the_verdict_is_the_banner(verdict: str) -> None:
    image = page(verdict).png()
    assert bytes(image[110, image.shape[1] - 60][::-1]).hex() == COLOURS[verdict][1:]  # type: ignore[index]
    reader = Reader()
    reader.feed(page(verdict).html())
    assert WORDS[verdict] in reader.text  # type: ignore[index]


@pytest.mark.parametrize("panels", [0, 1, 2, 5])
def test_every_figure_is_in_both_formats(panels: int) -> None:
    rendered = page(panels=panels)
    found = (np.abs(rendered.png().astype(int) - (10, 200, 30)).sum(2) < 30).sum()
    one = (560 * 400) * 0.95
    assert found >= panels * one
    assert found < (panels + 0.5) * 560 * 410 or panels == 0
    reader = Reader()
    reader.feed(rendered.html())
    assert reader.tags.count("figure") == panels
    assert all(source.startswith("data:image/png;base64,") for source in reader.sources)


def test_the_page_grows_with_its_findings() -> None:
    assert page(findings=9).png().shape[0] > page(findings=1).png().shape[0]
    assert page(findings=0).png().shape[1] == page().png().shape[1]


def test_html_has_all_texts_and_no_script() -> None:
    reader = Reader()
    reader.feed(page().html())
    assert "script" not in reader.tags
    for text in ("Camera calibration", "67.6° x 51.1°", "Finding 1 <script>", "Do & do not.", "How to read it."):
        assert text in reader.text


def test_the_page_is_saved_as_two_files(tmp_path: Path) -> None:
    png, html = page().save(tmp_path / "new" / "camera.v2-report")
    assert png.name == "camera.v2-report.png"
    assert html.name == "camera.v2-report.html"
    assert np.array_equal(cv2.imread(str(png)), page().png())
    assert html.read_text().startswith("<!doctype html>")


def test_long_lines_are_wrapped_at_words() -> None:
    text = "the quick brown fox jumps over the lazy dog " * 5
    lines = wrap(text, 200, 9)
    assert " ".join(lines) == text.strip()
    assert all(text_width(line, 9) <= 200 for line in lines)
    assert wrap("", 200, 9) == []
    assert wrap("unbreakablyoverlong", 10, 9) == ["unbreakablyoverlong"]
