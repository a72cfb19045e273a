"""Implements `gazecast calibrate validate` and `drift`: measures an existing calibration and corrects drift."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.gaze.calibrated import GazeCalibration, summarize_targets
from calibration.gaze.choreography import GazeChoreography, build_moving_steps, build_screen_steps
from calibration.gaze.drift import MAX_OFFSET_DEG, DriftCorrection
from calibration.lens import Floats
from calibration.record import save_record
from realtime.commands.calibrate import report_gaze
from realtime.commands.calibrate.choreography_run import ChoreographyRun
from realtime.commands.calibrate.gaze import add_flags, collect_gaze, list_missed_targets, open_display, write_result
from realtime.commands.calibrate.outputs import check_outputs, format_now
from realtime.commands.calibrate.report_gaze import GazeResult
from realtime.commands.config_flags import Verbs, add_parser
from realtime.errors import RunFailed
from realtime.infra.output import print_line
from realtime.sources.calibrated import LoadedCalibration, load_gaze_calibration
from realtime.sources.names import redact_source


def add_verbs(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `validate` and `drift` to the parser of `gazecast calibrate`."""
    for name, execute, about in (
        ("validate", validate, "validate a gaze calibration on targets that were not used for its fit, and store the "
         "result in its file"),
        ("drift", drift, f"correct the drift of a headset at one target, up to {MAX_OFFSET_DEG:g} degrees"),
    ):  # fmt: skip
        verb = add_parser(verbs, name, execute, about)
        verb.add_argument("--calibration", type=Path, required=True, metavar="FILE", help="of `calibrate gaze`")
        add_flags(verb)


def validate(args: argparse.Namespace) -> None:
    """Validate the calibration on other targets; raises `RunFailed` if it is refused."""
    loaded = load_gaze_calibration(args.calibration, args.source, refused=True)
    check_outputs(args.calibration, args.report)
    choreography, scene = collect_gaze(args, ("check",), loaded.check_frame_size)
    checks = choreography.get_sample_pairs("check")
    calibration = loaded.calibration.with_validation(checks)
    found = GazeResult(
        calibration, None, None, (), checks, list_missed_targets(choreography), scene.image, redact_source(args.source),
        str(args.calibration),
    )  # fmt: skip
    if calibration.validation is not None and calibration.validation.verdict == "refuse":
        _update_file(loaded, calibration, dict(report_gaze.list_facts(found)))  # so that `run` refuses the file
    write_result(found, args, args.calibration, loaded.record.device)


def drift(args: argparse.Namespace) -> None:
    """Measure the offset at one target and write it to the file. Raises `RunFailed` if it is too large."""
    loaded = load_gaze_calibration(args.calibration, args.source)
    check_outputs(args.calibration, args.report)
    calibration = loaded.calibration
    name, error = _measure_error(args, loaded)
    previous = DriftCorrection(calibration.drift_deg)
    updated = previous.update(0.0, (float(error[0]), float(error[1])))
    size, (x, y) = float(np.linalg.norm(error)), updated.offset_deg
    if updated.rejected:
        raise RunFailed(f"gaze is off by {size:.1f} degrees at {name}; that is too much for drift: calibrate again")
    remaining = float(np.linalg.norm(error + previous.offset_deg - np.array(updated.offset_deg)))
    _update_file(loaded, replace(calibration, drift_deg=updated.offset_deg), loaded.record.body.get("facts", {}))
    if args.json:
        print_line(json.dumps({"target": name, "error_deg": size, "left_deg": remaining, "drift_deg": [x, y]}))
    else:
        print_line(
            f"{size:.2f} degrees off at {name}; corrected by ({x:+.2f}, {y:+.2f}) degrees in all, {remaining:.2f} "
            f"remain there; wrote {args.calibration}"
        )


def _measure_error(args: argparse.Namespace, loaded: LoadedCalibration) -> tuple[str, Floats]:
    """Return the first fixated target's name, and the median of target minus corrected gaze, (2,) degrees."""
    steps = build_moving_steps(("fit",)) if args.method == "head" else build_screen_steps(5, ("fit",))[:1]
    if args.headless and args.method == "screen":
        steps = build_screen_steps(9)  # any target may be shown
    choreography = GazeChoreography(() if args.method == "press" else steps, is_guided=not args.headless)
    run = ChoreographyRun(choreography, open_display(args), max_targets=1, check=loaded.check_frame_size)
    run.play(args.source, args.gaze, args.timeout)
    pairs = [*choreography.get_pairs("fit"), *choreography.get_pairs("check")]
    targets = summarize_targets(pairs, loaded.calibration.view)
    if not targets.names:
        raise RunFailed("no target was fixated long enough; fixate one for two seconds")
    errors_deg = targets.target_deg - loaded.calibration.correct_deg(targets.gaze_deg)
    return targets.names[0], np.median(errors_deg, axis=0)


def _update_file(loaded: LoadedCalibration, calibration: GazeCalibration, facts: dict[str, str]) -> None:
    body = calibration.to_dict() | {"facts": facts}
    save_record(loaded.path, replace(loaded.record, made_at=format_now(), body=body))
