"""Implements `gazecast calibrate gaze`: runs a choreography, fits a calibration, validates and writes it."""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import cast, get_args

import cv2

from calibration import camera_from_dict
from calibration.gaze.calibrated import calibrate_gaze
from calibration.gaze.choreography import MOVING_MARKER, GazeChoreography, Role, build_moving_steps, build_screen_steps
from calibration.gaze.markers import draw_marker
from calibration.gaze.view import CameraView, FieldView, FlatView
from calibration.record import CalibrationRecord, load_record
from calibration.text import to_utf8
from realtime.commands.calibrate import report_gaze
from realtime.commands.calibrate.choreography_run import ChoreographyRun, HeadlessDisplay, OperatorAction, TargetDisplay
from realtime.commands.calibrate.outputs import check_outputs, format_now, write_outputs
from realtime.commands.calibrate.report_gaze import GazeResult
from realtime.commands.calibrate.target_window import Method, TargetWindow
from realtime.commands.config_flags import Verbs, add_parser
from realtime.errors import SettingsError
from realtime.infra.output import print_line
from realtime.infra.progress import TerminalProgress
from realtime.session.inputs import parse_neon_address
from realtime.sources.calibrated import describe_camera
from realtime.sources.headset_recordings.recording_sources import find_recorded_camera
from realtime.sources.names import parse_source, redact_source
from realtime.sources.neon.companion_api import find_camera
from realtime.types import Frame

EPILOG = """
screen  targets come one after the other on a full screen in front of the scene camera; look at each until its ring is
        full. Keys: r repeats the last one, s skips, q leaves.
head    one marker (gazecast calibrate gaze --marker marker.png, printed or on a telephone); keep the eyes on it and
        turn the head, so that it wanders through the rings in the scene picture.
press   no marker: look at something, press space, click in the frozen picture what it was; c: from now on to check.
"""


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `gaze` to the parser of `gazecast calibrate`."""
    about = "fit a gaze calibration to known targets, and measure the remaining error on others"
    verb = add_parser(verbs, "gaze", run, about)
    verb.epilog, verb.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    add_flags(verb)
    add = verb.add_argument
    add("--targets", type=int, choices=(5, 9), default=9, help="on the screen (default 9); 4 others follow")
    add("--camera", type=Path, metavar="FILE", help="of `calibrate camera`; without it degrees are guessed")
    add("--device", default="", metavar="NAME", help="of the tracker, for the record")
    add("--out", type=Path, default=Path("gaze.json"), metavar="FILE", help="(default gaze.json)")
    add("--marker", type=Path, metavar="FILE.png", help="write the marker for --method head, and end")


def add_flags(verb: argparse.ArgumentParser) -> None:
    """Add the flags shared by all verbs that run a choreography."""
    add = verb.add_argument
    add("--source", metavar="SPEC", help="of frames: pupil://HOST:PORT, camera:N, file:PATH, rtsp://...")
    add("--gaze", default="", metavar="SPEC", help="pupil://HOST:PORT or trace:FILE.csv; default: the source")
    add("--method", choices=get_args(Method), default="screen", help="what to look at; see below (default screen)")
    add("--points", type=Path, metavar="FILE.csv", help="with --method press and --headless: what was "
                      "looked at, as timestamp,x,y,role (fit or check); seconds of the frames, px")  # fmt: skip
    add("--headless", action="store_true", help="no window; the markers are shown elsewhere, or are in the recording")
    add("--small", action="store_true", help="a window instead of the full screen")
    add("--timeout", type=float, default=180.0, metavar="S", help="end after S seconds (default 180)")
    add("--report", type=Path, metavar="STEM", help="of the PNG and HTML (default: beside the file)")
    add("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace) -> None:
    """Run the verb; raises the errors of `realtime.errors` and `calibration`."""
    if args.marker is not None:
        _write_marker(args.marker)
        return
    check_outputs(args.out, args.report)
    choreography, scene = collect_gaze(args, ("fit", "check"), lambda size: load_view(args.camera, size))
    view = load_view(args.camera, scene.size, args.source)
    calibration, fit, targets = calibrate_gaze(choreography.get_pairs("fit"), view)
    checks = choreography.get_sample_pairs("check")
    if any(pairs.is_usable for pairs in checks):
        calibration = calibration.with_validation(checks)
    found = GazeResult(
        calibration, fit, targets, choreography.get_pairs("fit"), checks, list_missed_targets(choreography),
        scene.image, redact_source(args.source), str(args.out),
    )  # fmt: skip
    write_result(found, args, args.out, args.device or describe_camera(args.gaze or args.source))


def collect_gaze(
    args: argparse.Namespace, roles: tuple[Role, ...], check: Callable[[tuple[int, int]], object]
) -> tuple[GazeChoreography, Frame]:
    """Run the targets of `roles`; return the choreography and its last frame. check: called with the frame size."""
    if not args.source:
        raise SettingsError("--source is missing; give pupil://HOST:PORT, camera:N, file:PATH or rtsp://...")
    steps = build_screen_steps(getattr(args, "targets", 9), roles) if args.method == "screen" else ()
    if args.method == "head":
        steps = build_moving_steps(roles)
    choreography = GazeChoreography(steps, is_guided=args.method == "screen" and not args.headless)
    run = ChoreographyRun(choreography, open_display(args), check=check)
    return choreography, run.play(args.source, args.gaze, args.timeout)


def open_display(args: argparse.Namespace) -> TargetDisplay:
    """Open the target window, or a headless display; raises `SettingsError` and `WindowError`."""
    if not args.headless:
        return TargetWindow(args.method, full=not args.small)
    if args.method == "press" and args.points is None:
        raise SettingsError("--method press without a window needs --points FILE.csv")
    presses = read_presses(args.points) if args.points is not None and args.method == "press" else ()
    return HeadlessDisplay(TerminalProgress(), presses)


def read_presses(path: Path) -> tuple[OperatorAction, ...]:
    """Read a CSV of timestamp,x,y[,role]; raises `SettingsError` with the line number."""
    try:
        with io.StringIO(to_utf8(path.read_bytes()).decode(), newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"cannot read {path}: {error}; expected a CSV with timestamp,x,y,role") from None
    out: list[OperatorAction] = []
    for line, row in enumerate(rows, 2):
        try:
            time_s, x, y = (float(row[name]) for name in ("timestamp", "x", "y"))
        except (KeyError, TypeError, ValueError):
            raise SettingsError(f"{path} line {line}: expected numbers for timestamp,x,y, got {row}") from None
        if not all(map(math.isfinite, (time_s, x, y))):
            raise SettingsError(f"{path} line {line}: expected finite numbers for timestamp,x,y, got {row}")
        role = (row.get("role") or "fit").strip()
        if role not in get_args(Role):
            raise SettingsError(f"{path} line {line}: role is {role!r}; expected fit or check")
        out.append(OperatorAction(time_s, x, y, cast(Role, role)))
    return tuple(out)


def load_view(camera: Path | None, size: tuple[int, int], source: str = "") -> FieldView:
    """Load the conversion of pixels to degrees from a camera calibration, or from the source's headset; or estimate it.

    The headset is a recording, or a Neon, which reports the model of its camera.
    """
    if camera is None:
        name = parse_source(source)
        known = find_recorded_camera(name.path, size) if name.path is not None else None
        if name.kind == "neon":
            known = find_camera(parse_neon_address(name))
        return FlatView(size) if known is None or known.size != size else CameraView(known)
    return CameraView(camera_from_dict(load_record(camera, "camera", size=size).body.get("camera", {})))


def list_missed_targets(choreography: GazeChoreography) -> tuple[str, ...]:
    """List the names of targets with too few samples."""
    return tuple(step.name for step in choreography.find_missed_steps())


def write_result(found: GazeResult, args: argparse.Namespace, out: Path, device: str) -> None:
    """Write record and report and print the result. Raises `RunFailed`, without a record, if it is refused."""
    calibration, date = found.calibration, format_now()
    page, body = report_gaze.build_page(found, date), calibration.to_dict()
    camera, facts = describe_camera(args.source), {"facts": dict(page.facts)}
    record = CalibrationRecord("gaze", device, camera, calibration.view.size, date, body | facts)
    write_outputs(args, out, page, record, {"verdict": page.verdict, **body}, width=40)


def _write_marker(path: Path) -> None:
    path.write_bytes(cv2.imencode(".png", draw_marker(MOVING_MARKER, 1200))[1].tobytes())
    print_line(f"wrote {path}; print it 8 to 15 cm wide, or show it on a telephone")
