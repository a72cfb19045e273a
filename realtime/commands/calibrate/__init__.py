"""Implements `gazecast calibrate`: measures cameras, gaze trackers and robots. One module per verb."""

from __future__ import annotations

import argparse

from realtime.commands.calibrate import board, camera, gaze, gaze_check, hand_eye
from realtime.commands.config_flags import Verbs


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `calibrate` and its verbs to the verbs of `gazecast`."""
    parser = verbs.add_parser("calibrate", help="measure and remove the errors of camera, tracker and robot")
    calibrate = parser.add_subparsers(metavar="VERB", required=True)
    for add in (board.add_verb, camera.add_verb, gaze.add_verb, gaze_check.add_verbs, hand_eye.add_verb):
        add(calibrate)
