"""Tests the Pupil sources against Pupil's own network code, in a checkout that the environment names.

GAZECAST_PUPIL_CHECKOUT: the folder of a clone of github.com/pupil-labs/pupil. GAZECAST_PUPIL_PYTHON: a Python that has
pyzmq, msgpack, zeromq-pyre and numpy; by default the one that runs the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from realtime.sources.pupil.device_sources import PupilFrames, PupilGaze
from realtime.types import Frame, GazeSample
from tests.realtime.waiting import eventually

CHECKOUT = os.environ.get("GAZECAST_PUPIL_CHECKOUT", "")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="GAZECAST_PUPIL_CHECKOUT names no clone of pupil-labs/pupil")


@contextmanager
def run_pupil(formats: str) -> Iterator[int]:
    """Run Pupil's code with a camera of these formats; yields the port of Pupil Remote."""
    python = os.environ.get("GAZECAST_PUPIL_PYTHON", sys.executable)
    script = Path(__file__).with_name("pupil_checkout.py")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        [python, script, CHECKOUT, formats], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.strip().isdigit(), "Pupil's code did not start; its error is above"
            yield int(line)
        finally:
            process.kill()


@pytest.mark.parametrize(("formats", "used"), [("bgr,gray", [10, 20, 200]), ("gray", [200, 200, 200])])
def test_frames_of_a_camera_without_jpeg_and_gaze_come_from_pupils_own_code(formats: str, used: list[int]) -> None:
    frames: list[Frame] = []
    samples: list[GazeSample] = []
    with run_pupil(formats) as port:
        video, gaze = PupilFrames("127.0.0.1", port), PupilGaze("127.0.0.1", port)
        video.start(frames.append)
        gaze.start(samples.append)
        try:
            eventually(lambda: len(frames) > 5 and len(samples) > 5)
            assert frames[-1].image[0, 0].tolist() == used
            assert (samples[-1].x, samples[-1].y) == (0.25, 0.75)
            for source in (video, gaze):
                status = source.status()
                assert status.state == "running"
                assert status.clock is not None
                assert abs(status.clock.offset_s) < 0.1
        finally:
            video.stop()
            gaze.stop()
