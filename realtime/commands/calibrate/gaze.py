"""Implements `gazecast calibrate gaze`: runs a choreography, fits a calibration, validates and writes it."""

from __future__ import annotations

import argparse
import csv
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calibration import camera_from_dict
from calibration import record as records
from calibration.gaze.calibrated import GazeCalibration, calibrate_gaze
from calibration.gaze.choreography import GazeChoreography, Role, build_moving_steps, build_screen_steps
from calibration.gaze.view import CameraView, FieldView, FlatView
from realtime.commands.calibrate import report_gaze
from realtime.commands.calibrate.choreography_run import (
    HeadlessDisplay,
    OperatorAction,
    SceneImage,
    TargetDisplay,
    run_choreography,
)
from realtime.commands.calibrate.outputs import check_outputs, report_stem
from realtime.commands.calibrate.report import ReportPage
from realtime.commands.calibrate.report_gaze import GazeResult
from realtime.errors import RunFailed, SettingsError
from realtime.infra.progress import TerminalProgress
from realtime.sources.calibrated import describe_camera

METHODS = ("screen", "head", "press")
EPILOG = """
screen  targets come one after the other on a full screen in front of the scene camera; look at each until its ring is
        full. Keys: r repeats the last one, s skips, q leaves.
head    one marker (gazecast calibrate gaze --marker marker.png, printed or on a telephone); keep the eyes on it and
        turn the head, so that it wanders through the rings in the scene picture.
press   no marker: look at something, press space, click in the frozen picture what it was; c: from now on to check.

  gazecast calibrate gaze --source pupil://127.0.0.1:50020 --camera camera.json --out gaze.json
  gazecast calibrate gaze --source file:CLIP.mp4?realtime=0 --gaze trace:GAZE.csv --headless
  gazecast simulate --targets 9 --gaze-bias 30 -20    a virtual wearer to try it with, headless
"""


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `gaze` to the parser of `gazecast calibrate`."""
    about = "fit a gaze calibration to known targets, and measure the remaining error on others"
    verb = verbs.add_parser(
        "gaze", help=about, description=about, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verb.set_defaults(verb=run)
    add_flags(verb)
    verb.add_argument(
        "--targets", type=int, choices=(5, 9), default=9, help="on the screen (default 9); 4 others follow"
    )
    verb.add_argument(
        "--camera", type=Path, metavar="FILE", help="of `calibrate camera`; without it degrees are guessed"
    )
    verb.add_argument("--device", default="", metavar="NAME", help="of the tracker, for the record")
    verb.add_argument("--out", type=Path, default=Path("gaze.json"), metavar="FILE", help="(default gaze.json)")
    verb.add_argument("--marker", type=Path, metavar="FILE.png", help="write the marker for --method head, and end")


def add_flags(verb: argparse.ArgumentParser) -> None:
    """Add the flags shared by all verbs that run a choreography."""
    verb.add_argument("--source", metavar="SPEC", help="of frames: pupil://HOST:PORT, camera:N, file:PATH, rtsp://...")
    verb.add_argument(
        "--gaze", default="", metavar="SPEC", help="pupil://HOST:PORT or trace:FILE.csv; default: the source"
    )
    verb.add_argument("--method", choices=METHODS, default="screen", help="what to look at; see below (default screen)")
    verb.add_argument("--points", type=Path, metavar="FILE.csv", help="with --method press and --headless: what was "
                      "looked at, as timestamp,x,y,role (fit or check); seconds of the frames, px")  # fmt: skip
    verb.add_argument("--headless", action="store_true", help="no window; the markers are shown elsewhere, or are in "
                      "the recording")  # fmt: skip
    verb.add_argument("--small", action="store_true", help="a window instead of the full screen")
    verb.add_argument("--timeout", type=float, default=180.0, metavar="S", help="end after S seconds (default 180)")
    verb.add_argument("--report", type=Path, metavar="STEM", help="of the PNG and HTML (default: beside the file)")
    verb.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the verb; raises the errors of `realtime.errors` and `calibration`."""
    if args.marker is not None:
        return _write_marker(args.marker)
    check_outputs(args.out, args.report)
    choreography, scene = collect_gaze(args, ("fit", "check"), lambda size: load_view(args.camera, size))
    view = load_view(args.camera, scene.size)
    calibration, fit, targets = calibrate_gaze(choreography.get_pairs("fit"), view)
    checks = choreography.get_sample_pairs("check")
    if any(pairs.is_usable for pairs in checks):
        calibration = calibration.with_validation(checks)
    found = GazeResult(
        calibration, fit, targets, choreography.get_pairs("fit"), checks,
        report_gaze.validate_uncalibrated(checks, calibration), list_missed_targets(choreography), scene.picture,
        args.source, str(args.out),
    )  # fmt: skip
    return write_result(found, args, args.out, args.device or describe_camera(args.gaze or args.source))


def collect_gaze(args: argparse.Namespace, roles: tuple[Role, ...], check: Any) -> tuple[GazeChoreography, SceneImage]:
    """Run the choreography for the targets of `roles`; `check` is called with the frame size."""
    if not args.source:
        raise SettingsError("--source is missing; give pupil://HOST:PORT, camera:N, file:PATH or rtsp://...")
    steps = build_screen_steps(getattr(args, "targets", 9), roles) if args.method == "screen" else ()
    if args.method == "head":
        steps = build_moving_steps(roles)
    choreography = GazeChoreography(steps, is_guided=args.method == "screen" and not args.headless)
    scene = run_choreography(
        args.source, args.gaze, choreography, open_display(args), timeout_s=args.timeout, check=check
    )
    return choreography, scene


def open_display(args: argparse.Namespace) -> TargetDisplay:
    """Open the target window, or a headless display; raises `SettingsError` and `WindowError`."""
    if not args.headless:
        from realtime.commands.calibrate.target_window import TargetWindow

        return TargetWindow(args.method, full=not args.small)
    if args.method == "press" and args.points is None:
        raise SettingsError("--method press without a window needs --points FILE.csv")
    presses = read_presses(args.points) if args.points is not None and args.method == "press" else ()
    return HeadlessDisplay(TerminalProgress(), presses)


def read_presses(path: Path) -> tuple[OperatorAction, ...]:
    """Read a CSV of timestamp,x,y[,role]; raises `SettingsError` with the line number."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"cannot read {path}: {error}; expected a CSV with timestamp,x,y,role") from None
    out: list[OperatorAction] = []
    for line, row in enumerate(rows, 2):
        role = (row.get("role") or "fit").strip()
        try:
            time_s, x, y = (float(row[name]) for name in ("timestamp", "x", "y"))
        except (KeyError, TypeError, ValueError):
            raise SettingsError(f"{path} line {line}: expected numbers for timestamp,x,y, got {row}") from None
        if not all(map(math.isfinite, (time_s, x, y))):
            raise SettingsError(f"{path} line {line}: expected finite numbers for timestamp,x,y, got {row}")
        if role not in ("fit", "check"):
            raise SettingsError(f"{path} line {line}: role is {role!r}; expected fit or check")
        out.append(OperatorAction(time_s, x, y, "fit" if role == "fit" else "check"))
    return tuple(out)


def load_view(camera: Path | None, size: tuple[int, int]) -> FieldView:
    """Load the conversion of pixels to degrees from a camera calibration of this size, or estimate it."""
    if camera is None:
        return FlatView(size)
    record = records.load_record(camera, "camera", size=size)
    return CameraView(camera_from_dict(record.body.get("camera", {})))


def list_missed_targets(choreography: GazeChoreography) -> tuple[str, ...]:
    """List the names of targets with too few samples."""
    return tuple(step.name for step in choreography.find_missed_steps())


def write_result(found: GazeResult, args: argparse.Namespace, out: Path, device: str) -> int:
    """Write record and report and print the result; raises `RunFailed`, without a record, if it is refused."""
    calibration, date = found.calibration, datetime.now(UTC).isoformat(timespec="seconds")
    page = report_gaze.build_page(found, date)
    written = [str(path) for path in page.save(report_stem(out, args.report))]
    if page.verdict != "refuse":
        save_calibration(out, calibration, device, describe_camera(args.source), date, report_gaze.list_facts(found))
        written.insert(0, str(out))
    if args.json:
        print(json.dumps({"verdict": page.verdict, **calibration.to_dict(), "written": written}))
    else:
        print_page(page, written)
    if page.verdict == "refuse":
        raise RunFailed(f"no calibration was written: {page.headline}. {page.findings[0].advice}")
    return 0


def save_calibration(
    out: Path, calibration: GazeCalibration, device: str, camera: str, date: str, facts: tuple[tuple[str, str], ...]
) -> None:
    """Write the calibration record."""
    body = calibration.to_dict() | {"facts": dict(facts)}
    records.save_record(out, records.CalibrationRecord("gaze", device, camera, calibration.view.size, date, body))


def print_page(page: ReportPage, written: list[str]) -> None:
    """Print the page as text."""
    print(page.headline)
    for name, value in page.facts:
        print(f"  {name:40} {value}")
    for finding in page.findings:
        print(f"{finding.level:8} {finding.message} {finding.advice}")
    print(f"wrote {', '.join(written)}")


def _write_marker(path: Path) -> int:
    import cv2

    from calibration.gaze.choreography import MOVING_MARKER
    from calibration.gaze.markers import draw_marker

    done, data = cv2.imencode(".png", draw_marker(MOVING_MARKER, 1200))
    assert done
    path.write_bytes(data.tobytes())
    print(f"wrote {path}; print it 8 to 15 cm wide, or show it on a telephone")
    return 0
