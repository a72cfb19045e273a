"""A drawn board is detected at its true size."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.boards import parse_board
from realtime.commands.calibrate.board import DEFAULT_BOARD
from realtime.commands.main import main


@pytest.mark.parametrize("spec", [DEFAULT_BOARD, "chessboard:9x6:25mm"])
def test_the_printed_squares_have_their_millimetres(spec: str, tmp_path: Path) -> None:
    out = tmp_path / "board.svg"
    assert main(["calibrate", "board", "--board", spec, "--out", str(out)]) == 0
    text = out.read_text()
    wide_mm, high_mm = (float(re.search(rf'{side}="([\d.]+)mm"', text)[1]) for side in ("width", "height"))  # type: ignore[index]
    data = base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])  # type: ignore[index]
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    board = parse_board(spec)
    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    found = board.detect(np.asarray(small, np.uint8))
    assert found is not None
    across, down = found.points_px[-1] - found.points_px[0]
    columns, rows = board.corner_counts
    square_mm = 1000 * board.square_m
    assert across / small.shape[1] * wide_mm == pytest.approx((columns - 1) * square_mm, rel=0.005)
    assert down / small.shape[0] * high_mm == pytest.approx((rows - 1) * square_mm, rel=0.005)


def test_the_default_fits_on_paper() -> None:
    board = parse_board(DEFAULT_BOARD)
    assert (board.columns * board.square_m, board.rows * board.square_m) <= (0.19, 0.26)


def test_other_formats_than_svg_and_png_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "board.png"
    assert main(["calibrate", "board", "--out", str(out)]) == 0
    assert cv2.imread(str(out)) is not None
    assert main(["calibrate", "board", "--out", str(tmp_path / "board.pdf")]) == 2
    assert ".svg or .png" in capsys.readouterr().err
