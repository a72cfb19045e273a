"""Implements `gazecast calibrate board`: draws a board to print at its true size."""

from __future__ import annotations

import argparse
import base64
from pathlib import Path

import cv2

from calibration.boards import BOARD_FORMAT, CalibrationBoard, parse_board
from realtime.commands.config_flags import Verbs, add_parser
from realtime.errors import SettingsError
from realtime.infra.output import print_line

DEFAULT_BOARD = "charuco:5x7:36mm:26mm:5X5_100"
"""Fits A4 and US letter with a rim."""
_PX_PER_M = 12_000.0  # some 300 dots per inch


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `board` to the parser of `gazecast calibrate`."""
    verb = add_parser(verbs, "board", run, "draw a board to print and calibrate with")
    add = verb.add_argument
    add("--board", metavar="BOARD", default=DEFAULT_BOARD, help=f"(default {DEFAULT_BOARD}); {BOARD_FORMAT}")
    add("--out", type=Path, default=Path("board.svg"), help="SVG, in true millimetres, or PNG for a "
                      "screen (default board.svg)")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Write the file and print instructions; raises `SettingsError`."""
    board = parse_board(args.board)
    ending = args.out.suffix.lower()
    if ending not in (".svg", ".png"):
        raise SettingsError(f"--out {args.out} must end in .svg or .png")
    longest_m = (max(board.columns, board.rows) + 3) * board.square_m
    png = cv2.imencode(".png", board.draw(min(_PX_PER_M, 8000 / longest_m)))[1].tobytes()
    args.out.write_bytes(render_svg(board, png).encode() if ending == ".svg" else png)
    print_line(f"wrote {args.out}: print it at 100 %, glue it onto something flat and stiff, and measure a square;")
    print_line(f"if one is not {1000 * board.square_m:g} mm, give the measured lengths to --board {args.board}")


def render_svg(board: CalibrationBoard, png: bytes) -> str:
    """Render the board as an SVG at its true size, with a rim of one square."""
    columns, rows = (side + 2 if board.kind == "charuco" else side + 3 for side in (board.columns, board.rows))
    wide, high = (f"{1000 * side * board.square_m:g}mm" for side in (columns, rows))
    picture = base64.b64encode(png).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {columns} {rows}">'
        f'<image width="{columns}" height="{rows}" href="data:image/png;base64,{picture}" '
        'style="image-rendering:pixelated" preserveAspectRatio="none"/></svg>\n'
    )
