"""Implements `gazecast calibrate validate` and `drift`: measures an existing calibration and corrects drift."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from calibration.gaze.calibrated import summarize_targets
from calibration.gaze.choreography import GazeChoreography, build_moving_steps, build_screen_steps
from calibration.gaze.drift import MAX_OFFSET_DEG, DriftCorrection
from realtime.commands.calibrate import report_gaze
from realtime.commands.calibrate.choreography_run import run_choreography
from realtime.commands.calibrate.gaze import (
    add_flags,
    collect_gaze,
    list_missed_targets,
    open_display,
    save_calibration,
    write_result,
)
from realtime.commands.calibrate.outputs import check_outputs
from realtime.commands.calibrate.report_gaze import GazeResult
from realtime.errors import RunFailed
from realtime.sources.calibrated import LoadedCalibration, load_gaze_calibration


def add_validate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `validate` to the parser of `gazecast calibrate`."""
    about = "validate a gaze calibration on targets that were not used for its fit, and store the result in its file"
    verb = verbs.add_parser("validate", help=about, description=about)
    verb.set_defaults(verb=validate)
    _add_flags(verb)


def add_drift(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `drift` to the parser of `gazecast calibrate`."""
    about = f"correct the drift of a headset at one target, up to {MAX_OFFSET_DEG:g} degrees"
    verb = verbs.add_parser("drift", help=about, description=about)
    verb.set_defaults(verb=drift)
    _add_flags(verb)


def validate(args: argparse.Namespace) -> int:
    """Validate the calibration on other targets; raises `RunFailed` if it is refused."""
    loaded = load_gaze_calibration(args.calibration, args.source, refused=True)
    check_outputs(args.calibration, args.report)
    choreography, scene = collect_gaze(args, ("check",), loaded.check_frame_size)
    checks = choreography.get_sample_pairs("check")
    calibration = loaded.calibration.with_validation(checks)
    found = GazeResult(
        calibration, None, None, (), checks, report_gaze.validate_uncalibrated(checks, calibration),
        list_missed_targets(choreography), scene.picture, args.source, str(args.calibration),
    )  # fmt: skip
    if calibration.validation is not None and calibration.validation.verdict == "refuse":
        _save_validation(loaded, args.calibration, found)  # so that `run` refuses the file
    return write_result(found, args, args.calibration, loaded.record.device)


def drift(args: argparse.Namespace) -> int:
    """Measure the offset at one target and write it to the file; raises `RunFailed` if it is too large."""
    loaded = load_gaze_calibration(args.calibration, args.source)
    check_outputs(args.calibration, args.report)
    steps = build_moving_steps(("fit",)) if args.method == "head" else build_screen_steps(5, ("fit",))[:1]
    if args.headless and args.method == "screen":
        steps = build_screen_steps(9)  # any target may be shown
    choreography = GazeChoreography(() if args.method == "press" else steps, is_guided=not args.headless)
    run_choreography(
        args.source, args.gaze, choreography, open_display(args), timeout_s=args.timeout, max_targets=1,
        check=loaded.check_frame_size,
    )  # fmt: skip
    calibration = loaded.calibration
    pairs = [*choreography.get_pairs("fit"), *choreography.get_pairs("check")]
    targets = summarize_targets(pairs, calibration.view)
    if not targets.names:
        raise RunFailed("no target was fixated long enough; fixate one for two seconds")
    corrected = calibration.correct_deg(targets.gaze_deg)
    error = np.median(targets.target_deg - corrected, axis=0)
    previous = DriftCorrection(calibration.drift_deg)
    updated = previous.update(0.0, (float(error[0]), float(error[1])))
    size = math.hypot(*map(float, error))
    if updated.rejected:
        raise RunFailed(
            f"gaze is off by {size:.1f} degrees at {targets.names[0]}; that is too much for drift: calibrate again"
        )
    calibration = replace(calibration, drift_deg=updated.offset_deg)
    remaining = float(np.linalg.norm(error + previous.offset_deg - np.array(updated.offset_deg)))
    save_calibration(
        args.calibration, calibration, loaded.record.device, loaded.record.camera,
        datetime.now(UTC).isoformat(timespec="seconds"), tuple(loaded.record.body.get("facts", {}).items()),
    )  # fmt: skip
    result = {
        "target": targets.names[0],
        "error_deg": size,
        "left_deg": remaining,
        "drift_deg": list(updated.offset_deg),
    }
    text = (
        f"{size:.2f} degrees off at {targets.names[0]}; corrected by ({updated.offset_deg[0]:+.2f}, "
        f"{updated.offset_deg[1]:+.2f}) degrees in all, {remaining:.2f} remain there; wrote {args.calibration}"
    )
    print(json.dumps(result) if args.json else text)
    return 0


def _add_flags(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--calibration", type=Path, required=True, metavar="FILE", help="of `calibrate gaze`")
    add_flags(verb)


def _save_validation(loaded: LoadedCalibration, path: Path, found: GazeResult) -> None:
    save_calibration(
        path, found.calibration, loaded.record.device, loaded.record.camera,
        datetime.now(UTC).isoformat(timespec="seconds"), report_gaze.list_facts(found),
    )  # fmt: skip
