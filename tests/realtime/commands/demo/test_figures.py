"""The figures show their data on any scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from realtime.commands.demo.figures import (
    FRAME_COLOUR,
    GAZE_COLOUR,
    KEYFRAME_COLOUR,
    RIGHT_COLOUR,
    TILE_WIDTH,
    WRONG_COLOUR,
    FigureFrame,
    draw_contact_sheet,
    draw_latency_plot,
)


def near(picture: np.ndarray, color: str) -> np.ndarray:
    bgr = tuple(bytes.fromhex(color[1:]))[::-1]
    return np.asarray((np.abs(picture.astype(int) - bgr) < 12).all(axis=2))


def shot(level: int, height: int = 90, width: int = 160) -> FigureFrame:
    return FigureFrame(np.full((height, width, 3), level, np.uint8), "object", level / 10, "locked", 0.8, 31.0)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (4, 3, 2), (12, 3, 4)])
def test_every_shot_has_its_tile(count: int, columns: int, rows: int) -> None:
    sheet = draw_contact_sheet([shot(100 + 10 * index) for index in range(count)], "title")
    assert sheet.shape[1] == 2 * 24 + columns * TILE_WIDTH + (columns - 1) * 12
    assert sheet.shape[0] == 2 * 24 + 30 + rows * (225 + 44) + (rows - 1) * 12
    for index in range(count):
        area = near(sheet, "#" + 3 * f"{100 + 10 * index:02x}").sum()
        assert area > 0.95 * TILE_WIDTH * 225


def test_right_and_wrong_have_their_colours() -> None:
    plain, right, wrong = (
        draw_contact_sheet([replace(shot(100), iou=iou, is_right=is_right)], "title")
        for iou, is_right in ((None, False), (0.9, True), (0.1, False))
    )
    for sheet, of_right, of_wrong in ((plain, False, False), (right, True, False), (wrong, False, True)):
        assert (near(sheet, RIGHT_COLOUR).any(), near(sheet, WRONG_COLOUR).any()) == (of_right, of_wrong)


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one shot"):
        draw_contact_sheet([], "title")


def latencies(
    gaze_ms: float | None, frame_ms: float, age_ms: float, count: int = 250
) -> dict[str, list[tuple[float, float]]]:
    values = {"gaze to mask": gaze_ms, "frame to mask": frame_ms, "keyframe age": age_ms}
    return {
        name: [] if value is None else [(index / 25, value) for index in range(count)] for name, value in values.items()
    }


def test_each_curve_lies_at_its_value() -> None:
    """Of three constants, the line of each lies at the height that its axis gives it."""
    plot = draw_latency_plot(latencies(40, 20, 150), "title", "note")
    over = plot[110:332, 64:704]
    rows = {colour: np.nonzero(near(over, colour).sum(axis=1) > 300)[0] for colour in (GAZE_COLOUR, FRAME_COLOUR)}
    # the axis goes from 0 to 50 over 210 px, its top is 6 px into this part
    assert rows[GAZE_COLOUR].mean() == pytest.approx(6 + 210 * (1 - 40 / 50), abs=2)
    assert rows[FRAME_COLOUR].mean() == pytest.approx(6 + 210 * (1 - 20 / 50), abs=2)
    assert near(plot[420:570, 64:704], KEYFRAME_COLOUR).sum() > 300


def test_a_run_without_new_gaze_is_drawn() -> None:
    plot = draw_latency_plot(latencies(None, 20, 150), "title", "note")
    assert not near(plot[110:332, 64:1120], GAZE_COLOUR).any()
    assert near(plot[110:332, 64:1120], FRAME_COLOUR).any()


@pytest.mark.parametrize("value", [0.0, 0.001, 7.0, 1e7])
def test_any_scale_can_be_drawn(value: float) -> None:
    plot = draw_latency_plot(latencies(value, value, value, 1), "title", "note")
    assert plot.shape == (640, 1180, 3)
    with pytest.raises(ValueError, match="at least one sample"):
        draw_latency_plot(latencies(0, 0, 0, 0), "title", "note")
