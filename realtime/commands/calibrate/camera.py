"""Implements `gazecast calibrate camera`: intrinsics from pictures, a live source, or another program's file."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from calibration.boards import BOARD_FORMAT, BoardDetection, CalibrationBoard, parse_board
from calibration.formats import read_camera
from calibration.formats.ros import to_camera_info
from calibration.intrinsics import BoardView, IntrinsicsFit, LensModel, calibrate_camera
from calibration.record import CalibrationRecord, save_record
from engines.pictures import PictureError, list_pictures, read_picture
from realtime.commands.calibrate import report_camera
from realtime.commands.calibrate.board_views import collect_views
from realtime.commands.calibrate.outputs import check_outputs, format_now, write_outputs
from realtime.commands.config_flags import Verbs, add_parser, parse_size
from realtime.errors import SettingsError
from realtime.infra.output import escape_controls, print_line
from realtime.infra.progress import TerminalProgress
from realtime.sources.names import redact_source

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
MIN_KNOWN_SHARE = 0.5
"""Minimum share of the image with a valid ray; a correct model covers nearly all of it."""


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `camera` to the parser of `gazecast calibrate`."""
    about = "measure a camera's lens with a chessboard or ChArUco board, or read it from another program's file"
    verb = add_parser(verbs, "camera", run, about)
    add = verb.add_argument
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", type=Path, metavar="FOLDER", help="pictures of the board")
    source.add_argument("--source", metavar="SPEC", help="camera:0, pupil://HOST:PORT, file:CLIP.mp4, rtsp://...")
    source.add_argument("--import", dest="imported", type=Path, metavar="FILE", help="Pupil's .intrinsics, Neon's "
                        "calibration.bin or scene_camera.json, a camera_info YAML")  # fmt: skip
    add("--board", metavar="BOARD", help=BOARD_FORMAT)
    add("--lens", choices=get_args(LensModel), default="pinhole5", help="pinhole8 for wide lenses up to "
                      "110 degrees, fisheye beyond (default pinhole5)")  # fmt: skip
    add("--name", metavar="NAME", default="", help="of the camera, by which the calibration is found")
    add("--keep-all", action="store_true", help="reject no outliers")
    add("--size", metavar="WxH", help="with --import: which resolution of the file")
    add("--window", action="store_true", help="with --source: show what is still missing")
    add("--most-views", type=int, default=40, metavar="N", help="with --source: enough (default 40)")
    add("--out", type=Path, default=Path("camera.json"), help="(default camera.json)")
    add("--report", type=Path, metavar="STEM", help="of the PNG and HTML (default: OUT-report)")
    add("--ros", type=Path, metavar="FILE.yaml", help="write camera_info for ROS, too")
    add("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace) -> None:
    """Run the verb; raises the errors of `realtime.errors` and `calibration`."""
    check_outputs(args.out, args.report, args.ros)
    if args.imported is not None:
        _import_camera(args)
        return
    if args.board is None:
        raise SettingsError(f"--board is missing; expected {BOARD_FORMAT}")
    date, board = format_now(), parse_board(args.board)
    views, unseen = _detect_in_folder(args.images, board) if args.images else _collect_live(args, board)
    result = calibrate_camera(views, lens=args.lens, reject_outliers=not args.keep_all)
    name = args.name or redact_source(args.source or "") or escape_controls(args.images.resolve().name)
    page = report_camera.build_page(name, date, result, unseen)
    body = build_record_body(result, args.board, page.verdict)
    write_outputs(
        args, args.out, page, CalibrationRecord("camera", "", name, result.camera.size, date, body),
        {"name": name, **body}, width=26, table=_format_views((*result.views, *unseen)),
        files={args.ros: to_camera_info(name, result.camera)} if args.ros else {},
    )  # fmt: skip


def build_record_body(result: IntrinsicsFit, board: str, verdict: str) -> dict[str, Any]:
    """Build the body of the calibration record."""
    hull = cv2.convexHull(result.points_px.astype(np.float32))[:, 0]
    return {
        "camera": result.camera.to_dict(),
        "lens": result.lens,
        "board": board,
        "verdict": verdict,
        "rms_px": result.rms_px,
        "std": result.std,
        "every_view": {"rms_px": result.before_rejection[0], "fx": result.before_rejection[1]},
        "hull_px": np.round(hull, 1).tolist(),
        "views": [
            {"name": v.name, "corners": v.corners, "dropped": v.reason}
            | ({"rms_px": v.rms_px, "worst_px": v.worst_px} if math.isfinite(v.rms_px) else {})
            for v in result.views
        ],
    }


def _detect_in_folder(folder: Path, board: CalibrationBoard) -> tuple[list[BoardDetection], tuple[BoardView, ...]]:
    """Detect the board in every picture of a folder; also return the pictures without it."""
    if not folder.is_dir():
        raise SettingsError(f"--images {folder} is no folder")
    paths = list_pictures(folder, IMAGE_SUFFIXES)
    if not paths:
        raise SettingsError(f"no pictures in {folder}; expected {', '.join(sorted(IMAGE_SUFFIXES))}")
    views, unseen, terminal = list[BoardDetection](), list[BoardView](), TerminalProgress()
    for number, path in enumerate(paths, 1):
        found, reason, name = None, "no board found", escape_controls(path.stem)
        try:
            found = board.detect(read_picture(path), name)
        except PictureError as error:
            reason = error.reason
        terminal.show_line(f"{number}/{len(paths)} {path.name}: {f'{len(found.ids)} corners' if found else reason}")
        if found is None:
            unseen.append(BoardView(name, 0, math.nan, math.nan, reason))
        else:
            views.append(found)
    return views, tuple(unseen)


def _collect_live(args: argparse.Namespace, board: CalibrationBoard) -> tuple[list[BoardDetection], tuple[()]]:
    if args.most_views < 3:
        raise SettingsError(f"--most-views must be 3 or more, got {args.most_views}")
    show_line = TerminalProgress().show_line
    return collect_views(args.source, board, window=args.window, most_views=args.most_views, show_line=show_line), ()


def _import_camera(args: argparse.Namespace) -> None:
    name, camera = read_camera(args.imported, parse_size("--size", args.size) if args.size else None)
    name = args.name or name
    share = report_camera.compute_known_share(camera)
    if share < MIN_KNOWN_SHARE:
        raise SettingsError(
            f"{args.imported}: its model covers only {100 * share:.0f} % of the picture; check its size, the name of "
            "its model and the order of its coefficients"
        )
    body = {"camera": camera.to_dict(), "imported_from": args.imported.name}
    save_record(args.out, CalibrationRecord("camera", "", name, camera.size, format_now(), body))
    written = [str(args.out)]
    if args.ros:
        args.ros.write_text(to_camera_info(name, camera), encoding="utf-8")
        written.append(str(args.ros))
    if args.json:
        print_line(json.dumps({"name": name, **body, "known_share": share, "written": written}))
    else:
        wide, high = camera.size
        print_line(f"{name}: {camera.model}, {wide} x {high} px, {camera.px_per_degree():.1f} px per degree")
        if share < report_camera.FULL_SHARE:
            print_line(f"the model covers {100 * share:.1f} % of the picture; the rest is invalid")
        print_line(f"wrote {', '.join(written)}")


def _format_views(views: Iterable[BoardView]) -> Iterator[str]:
    yield f"  {'view':26} {'corners':>7} {'rms px':>8} {'worst px':>9}"
    for view in views:
        numbers = f"{view.rms_px:8.2f} {view.worst_px:9.2f}" if math.isfinite(view.rms_px) else " " * 18
        yield f"  {view.name:26} {view.corners:7} {numbers}  {view.reason and 'left out: ' + view.reason}".rstrip()
