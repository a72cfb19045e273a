"""Figures draw values at their positions, also empty or not finite ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import CalibrationError
from realtime.commands.calibrate.report import PANEL
from realtime.commands.calibrate.report_figures import (
    create_image_axes,
    draw_bars,
    draw_cells,
    draw_error_map,
    draw_histogram,
    render_axes,
)
from realtime.media.chart import AMBER, BLUE, VERMILLION, draw_dots

SIZE = (PANEL[1], PANEL[0], 3)


def find_color(image: np.ndarray, color: str) -> np.ndarray:
    """(N, 2) x, y of the pixels that have about that color."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - tuple(bytes.fromhex(color[1:]))[::-1]).sum(2) < 40)
    return np.column_stack([columns, rows])


@given(st.floats(0, 639), st.floats(0, 479))
@settings(max_examples=20, deadline=None)
def test_a_camera_pixel_lies_at_its_position_in_the_panel(x: float, y: float) -> None:
    axes = create_image_axes((640, 480), {})
    draw_dots(axes, np.array([x, y]), VERMILLION, 4)
    panel = render_axes(axes)
    left, bottom = axes.transData.transform((x, y))
    inside = find_color(panel, VERMILLION)
    # a dot at the edge is cut off, so its middle moves inwards
    assert inside.mean(0) == pytest.approx((left, panel.shape[0] - bottom), abs=2.5)


def test_errors_are_arrows_and_the_largest_are_red() -> None:
    points = np.column_stack([np.linspace(50, 590, 30), np.full(30, 200.0)])
    errors = np.tile([0.0, 0.2], (30, 1))
    errors[-1] = (0, 2.0)
    image = draw_error_map((640, 480), points, errors)
    red = find_color(image[: PANEL[1] - 50], VERMILLION)
    assert image.shape == SIZE
    assert len(red)
    assert red[:, 0].min() > 0.8 * PANEL[0]
    assert len(find_color(image[: PANEL[1] - 50], BLUE)) > 100


def test_an_empty_error_map_can_be_drawn() -> None:
    nothing = np.zeros((0, 2))
    assert draw_error_map((640, 480), nothing, nothing).shape == SIZE
    assert draw_error_map((640, 480), np.full((3, 2), 5.0), np.zeros((3, 2))).shape == SIZE
    with pytest.raises(CalibrationError):
        draw_error_map((640, 480), np.zeros((3, 2)), np.zeros((2, 2)))


@given(st.lists(st.floats(0, 1e6, allow_subnormal=False) | st.just(float("nan")), max_size=30))
@settings(max_examples=15, deadline=None)
def test_any_numbers_make_a_histogram(values: list[float]) -> None:
    image = draw_histogram(np.array(values, float), x_label="error, px", marks=((0.5, "half"),))
    assert image.shape == SIZE
    assert bool(len(find_color(image, BLUE))) == bool(np.isfinite(values).any())
    assert len(find_color(image, AMBER))


def test_bars_are_as_high_as_their_values_and_dropped_ones_are_red() -> None:
    image = draw_bars(["a", "b", "c"], [1.0, 2.0, float("nan")], unit="px", dropped=["b"])
    blue, red = find_color(image[40:], BLUE), find_color(image[40:], VERMILLION)
    height = {"blue": np.ptp(blue[:, 1]), "red": np.ptp(red[:, 1])}
    assert height["red"] == pytest.approx(2 * height["blue"], rel=0.05)
    assert blue[:, 0].min() < red[:, 0].min()
    assert draw_bars([], [], unit="px").shape == SIZE


def test_cells_with_enough_are_filled() -> None:
    counts = np.zeros((4, 6), int)
    counts[3, 5] = 9
    blue = find_color(draw_cells((640, 480), counts, 6)[: PANEL[1] - 40], BLUE)
    assert len(blue) > 2000
    assert blue[:, 0].min() > PANEL[0] / 2
    assert blue[:, 1].min() > PANEL[1] / 2
