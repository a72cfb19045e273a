"""The chart kit draws at the places and in the scripts that it is given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.media.chart import (
    BLUE,
    add_axes,
    add_legend,
    hex_color,
    label,
    mix,
    new_figure,
    paste,
    render,
    round_up,
    shorten,
    text_mask,
    text_width,
    wrap,
    write,
)  # fmt: skip


@given(st.integers(1, 2000), st.integers(1, 300))
@settings(max_examples=15, deadline=None)
def test_figures_have_exactly_their_size(width: int, height: int) -> None:
    assert render(new_figure(width, height)).shape == (height, width, 3)


def test_axes_put_corners_on_corners() -> None:
    figure = new_figure(200, 100)
    axes = add_axes(figure, 10, 20, 100, 50)
    axes.set(xlim=(0, 5), ylim=(0, 200))
    render(figure)
    assert axes.transData.transform((0, 0)) == pytest.approx((10, 30), abs=0.05)
    assert axes.transData.transform((5, 200)) == pytest.approx((110, 80), abs=0.05)


@pytest.mark.parametrize(("align", "left"), [("left", 100.0), ("center", 100 - text_width("words", 14) / 2)])
def test_text_is_as_wide_as_measured_and_aligned(align: str, left: float) -> None:
    figure = new_figure(300, 40)
    write(figure, 100, 30, "words", size=14, align=align)  # type: ignore[arg-type]
    inked = np.nonzero((render(figure) != 255).any(axis=(0, 2)))[0]
    assert abs(inked.min() - left) < 4
    assert abs(np.ptp(inked) - text_width("words", 14)) < 6


@pytest.mark.parametrize("text", ["Tür", "杯 cup", "$5_^ $a$b$ {x", "🤖", ""])
def test_any_text_can_be_drawn_everywhere(text: str) -> None:
    """Without a warning, which the settings of the tests make an error, where no font has a letter."""
    figure = new_figure(300, 120)
    axes = add_axes(figure, 40, 30, 200, 50, title=text, y_label=text)
    axes.set_xticks([0, 1], [text, text], parse_math=False)
    label(axes, 0.5, 0.5, text)
    add_legend(axes, {text: BLUE, "other": BLUE})
    assert render(figure).shape == (120, 300, 3)
    assert text_mask(text, 12).any() == bool(text)


def test_letters_with_accents_keep_them() -> None:
    assert not np.array_equal(text_mask("Tür", 20), text_mask("Tur", 20))


def test_images_are_pasted_pixel_by_pixel() -> None:
    figure = new_figure(40, 30)
    paste(figure, 10, 5, np.full((10, 20, 3), (10, 200, 90), np.uint8))
    found = (render(figure) == (10, 200, 90)).all(2)
    assert found[5:15, 10:30].all()
    assert found.sum() == 200


def test_long_texts_are_shortened_and_wrapped() -> None:
    assert shorten("cup", 100, 12) == "cup"
    short = shorten("a very long name of a cup", 80, 12)
    assert short.endswith("…")
    assert text_width(short, 12) <= 80
    assert wrap("", 200, 12) == []


@pytest.mark.parametrize(("value", "bins", "expected"), [(44, 8, 50), (1.15, 3, 1.5), (97, 5, 100)])
def test_axes_end_at_round_numbers(value: float, bins: int, expected: float) -> None:
    assert round_up(value, bins) == pytest.approx(expected)


def test_colours_are_converted_and_mixed() -> None:
    assert hex_color((0, 159, 230)) == "#e69f00"
    assert (mix(BLUE, 0), mix(BLUE, 1)) == (BLUE, "#ffffff")
