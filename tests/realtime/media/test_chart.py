"""The drawing kit puts things where it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from realtime.media.chart import PAPER, ChartAxes, ChartCanvas, plain, text_width, ticks


@pytest.mark.parametrize(
    ("low", "high", "about", "expected"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0, 1, 4, [0, 0.5, 1.0]),
        (3, 47, 5, [10, 20, 30, 40]),
        (0, 0.03, 3, [0, 0.01, 0.02, 0.03]),
        (5, 5, 4, [5]),
        (0, float("inf"), 4, [0]),
    ],
)
def test_ticks_are_round(low: float, high: float, about: int, expected: list[float]) -> None:
    assert ticks(low, high, about) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 12))
def test_ticks_lie_inside_and_are_few(low: float, span: float, about: int) -> None:
    assume(span > abs(low) * 1e-6)
    found = ticks(low, low + span, about)
    assert len(found) <= about + 1
    assert all(low - span * 1e-6 <= value <= low + span * (1 + 1e-6) for value in found)
    assert found == sorted(set(found))


def test_axes_put_corners_on_corners() -> None:
    axes = ChartAxes(10, 20, 100, 50, (0, 5), (0, 200))
    assert axes.at(0, 0) == (10, 70)
    assert axes.at(5, 200) == (110, 20)
    assert axes.at(2.5, 100) == (60, 45)
    assert axes.at(9, -7) == (110, 70)


def test_text_is_as_wide_as_it_says_and_anchored() -> None:
    for anchor, left in (("left", 100.0), ("centre", 100 - text_width("words", 10) / 2)):
        canvas = ChartCanvas(300, 40)
        canvas.text(100, 30, "words", height=10, anchor=anchor)  # type: ignore[arg-type]
        inked = np.nonzero((canvas.finished() != PAPER).any(axis=(0, 2)))[0]
        assert abs(inked.min() - left) < 4
        assert abs(inked.max() - inked.min() - text_width("words", 10)) < 6


def test_dots_at_the_edge_are_cut_off() -> None:
    canvas = ChartCanvas(20, 20)
    for x, y in ((0, 0), (19.9, 19.9), (-50, 5), (5, 300)):
        canvas.dot(x, y, (0, 0, 0), 3, 0.5)
    picture = canvas.finished()
    assert (picture[0, 0] < 200).all()
    assert (picture[10, 10] == 255).all()


def test_pictures_keep_their_colours() -> None:
    canvas = ChartCanvas(40, 30)
    canvas.image(10, 5, 20, 10, np.full((50, 100, 3), (10, 200, 90), np.uint8))
    assert canvas.finished()[10, 20].tolist() == [10, 200, 90]
    assert canvas.finished()[20, 20].tolist() == [255, 255, 255]


def test_texts_are_written_in_letters_that_the_font_has() -> None:
    assert plain("Tür, café, Ørsted, straße") == "Tur, cafe, Orsted, strasse"
    assert plain("杯 cup") == "? cup"


def test_areas_are_filled() -> None:
    canvas = ChartCanvas(40, 40)
    canvas.area([(10, 10), (30, 10), (30, 30), (10, 30)], (0, 0, 0))
    picture = canvas.finished()
    assert picture[20, 20].max() == 0
    assert picture[5, 20].min() == 255
