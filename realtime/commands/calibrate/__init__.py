"""`gazecast calibrate`: from an unboxed camera and tracker to a measured error. One module per verb."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from realtime.commands.calibrate import board, camera, gaze, gaze_check, hand_eye

Verbs = argparse._SubParsersAction  # of argparse.ArgumentParser; it has no public name

VERBS: tuple[Callable[[Verbs[argparse.ArgumentParser]], None], ...] = (
    board.add_verb,
    camera.add_verb,
    gaze.add_verb,
    gaze_check.add_validate,
    gaze_check.add_drift,
    hand_eye.add_verb,
)
"""The `add_verb` of each module here: it adds the verb's parser and sets its `verb` to what runs it."""


def add_verbs(calibrate: Verbs[argparse.ArgumentParser]) -> None:
    """Add every verb to the parser of `gazecast calibrate`."""
    for add_verb in VERBS:
        add_verb(calibrate)
