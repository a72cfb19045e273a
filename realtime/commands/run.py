"""Implements `gazecast run`."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.config_flags import (
    Verbs,
    add_config_flags,
    add_parser,
    add_report_flags,
    add_requests_flag,
    add_view_flags,
    check_gpu,
    read_config,
)


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `run` to the verbs of `gazecast`."""
    parser = add_parser(verbs, "run", _run, "segment what is looked at and publish the masks")
    add_config_flags(parser)
    add = parser.add_argument
    add_report_flags(parser)
    add("--calibration", type=Path, metavar="FILE", help="of `calibrate gaze`, applied to every look")
    add("--record", type=Path, metavar="FILE", help="record it all, to `replay` and `export` later; into a new file "
        "of it if it is a folder")  # fmt: skip
    add("--record-pictures", choices=("on", "off"), help="off records times, gaze and masks without any picture")
    add("--encrypt", action="append", metavar="age1...", help="encrypt recordings for this public key, of `gazecast "
        "keys recording`; may be given several times")  # fmt: skip
    add("--foxglove", nargs="?", const="127.0.0.1:8765", metavar="HOST:PORT", help="serve ROS 2 messages to Foxglove, "
        "by default at 127.0.0.1:8765")  # fmt: skip
    add("--lerobot", metavar="tcp://HOST:PORT", help="be a ZeroMQ camera of LeRobot's that shows overlays")
    add("--camera", type=Path, metavar="FILE", help="of `calibrate camera`: publish `object3d`")
    add("--depth", metavar="SPEC", help="for `object3d`: pupil: (the same device), pupil://HOST:PORT, file:FOLDER of "
        "16-bit PNGs or file:VIDEO beside a clip")  # fmt: skip
    add("--robot", type=Path, metavar="FILE", help="of `calibrate handeye`: in its frame, too")
    add("--word", metavar="TEXT", help="search for this, such as cup, beside the gaze, or alone while there is none")
    add_requests_flag(parser)
    add("--confirm-dwell", type=float, metavar="SECONDS", help="confirm the object that the eyes rest on for so long")
    add("--confirm-pinch", action="store_true", default=None, help="confirm the shown object by a pinch in front of "
        "the scene camera")  # fmt: skip
    add_view_flags(parser, "serve the live page and print its address; its camera is the source and its mouse the "
                   "gaze if there are no others")  # fmt: skip
    add("--window", action="store_true", help="show the masks; the mouse is the gaze if there is no other")


def _run(args: argparse.Namespace) -> None:
    from realtime.commands.log_view import choose_view
    from realtime.session.run import run

    config = read_config(args)
    check_gpu(config.engine)
    run(config, choose_view(args.log, as_json=args.json, browser=args.open), window=args.window)
