"""A gaze source as its calibration corrects it, and what it learns while it runs."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from calibration.gaze.calibrated import GazeCalibration
from calibration.gaze.mapping import GazeMap
from calibration.gaze.view import FlatView
from calibration.record import CalibrationRecord
from realtime.comms.messages import MaskMessage
from realtime.sources.calibrated import MIN_RADIUS_DEG, CalibratedGaze, LoadedCalibration, describe_camera
from realtime.types import FrameRef, GazeRef, GazeSample, KeyframeRef, SourceStatus, TimingNs

SIZE = (1000, 600)  # 10 px a degree
S = 1_000_000_000


class Eyes:
    """A source that publishes samples on request."""

    def start(self, on_gaze, on_event=None):
        self.publish = on_gaze

    def stop(self):
        self.publish = None

    def status(self):
        return SourceStatus("running", "", 7, {})


def calibration(offset_deg=(2.0, -1.0), expected_deg=1.0, drift_deg=(0.0, 0.0)):
    hull = np.array([(-40.0, -25.0), (40.0, -25.0), (40.0, 25.0), (-40.0, 25.0)])
    made = GazeMap("offset", np.zeros(2), np.ones(2), np.array([offset_deg]), np.eye(1) * 0.01, hull)
    return GazeCalibration(FlatView(SIZE), made, expected_deg, None, drift_deg)


def sample(x, y, unit="px", at_ns=0, confidence=0.9):
    return GazeSample(x, y, unit, confidence, 1.5, at_ns, at_ns)


def make_mask(box, gaze, *, state="locked", object_id=1, carried_ms=10.0):
    """A message of a rectangle that is make_mask at."""
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return MaskMessage(
        FrameRef(1, 0.0, *SIZE), KeyframeRef(0, 0.0), GazeRef(0.0, *gaze, 0.9, 10.0), carried_ms, object_id, state, 0.9,
        0.9, mask, TimingNs(0, 0, 0, 0),
    )  # fmt: skip


def test_every_sample_is_corrected_and_carries_its_error_radius():
    eyes, out = Eyes(), []
    gaze = CalibratedGaze(eyes, calibration())
    gaze.start(out.append)
    eyes.publish(sample(500.0, 300.0))
    eyes.publish(sample(0.5, 0.5, "norm"))
    for got in out:
        assert (got.x, got.y, got.unit) == (pytest.approx(520.0, abs=0.6), pytest.approx(290.0, abs=0.6), "px")
        assert got.radius_px == pytest.approx(10.0)
        assert (got.timestamp, got.confidence) == (1.5, 0.9)
    assert gaze.status().received == 7


def test_a_radius_has_a_lower_limit():
    gaze = CalibratedGaze(Eyes(), calibration(expected_deg=0.05))
    assert gaze.correct(sample(500.0, 300.0)).radius_px == pytest.approx(10 * MIN_RADIUS_DEG)


@pytest.mark.parametrize("place", [(math.nan, 1.0), (1e9, 0.0), (math.inf, 0.0)])
def test_gaze_far_outside_stays_unchanged(place):
    given = sample(*place)
    assert CalibratedGaze(Eyes(), calibration()).correct(given) is given


def test_measured_drift_is_applied_and_decays():
    gaze = CalibratedGaze(Eyes(), calibration((0.0, 0.0), drift_deg=(1.0, 0.0)))
    begun_ns = round(gaze.drift.at_s * S)
    assert gaze.correct(sample(500.0, 300.0, at_ns=begun_ns)).x == pytest.approx(510.0, abs=0.1)
    assert gaze.correct(sample(500.0, 300.0, at_ns=begun_ns + 36_000 * S)).x == pytest.approx(500.0, abs=0.1)


def test_locked_objects_correct_drift():
    gaze = CalibratedGaze(Eyes(), calibration())
    now_ns = round(gaze.drift.at_s * S) + S
    for object_id in range(6):
        middle = 200 + 100 * object_id
        box = (middle - 10, 290, middle + 10, 310)
        dx, dy = (value * 10 for value in gaze.drift.offset_deg)
        gaze.learn_from_mask(make_mask(box, (middle - 12 + dx, 300 + 5 + dy), object_id=object_id), now_ns)
    assert gaze.drift.accepted == 6
    assert gaze.drift.offset_deg == pytest.approx((1.2, -0.5), abs=0.25)
    assert gaze.correct(sample(500.0, 300.0, at_ns=now_ns)).x == pytest.approx(532.0, abs=3)


def test_an_object_hardly_changes_a_new_calibration():
    """A object_id of 4 degrees that is make_mask at 1.5 degrees off its middle."""
    moved = {}
    for age_s in (0.0, 600.0, math.inf):
        gaze = CalibratedGaze(Eyes(), calibration(expected_deg=0.4), age_s=age_s)
        gaze.learn_from_mask(make_mask((480, 280, 520, 320), (485.0, 300.0)), round(gaze.drift.at_s * S))
        assert gaze.drift.accepted == 1
        moved[age_s] = gaze.drift.offset_deg[0]
    assert moved[0.0] < 0.2 < moved[600.0] < 0.8 < moved[math.inf] < 1.5


def test_the_age_of_a_calibration():
    made = CalibrationRecord("gaze", "", "file", SIZE, "2026-11-22T14:00:00+00:00", {})
    loaded = LoadedCalibration(Path("gaze.json"), made, calibration())
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert [loaded.age_s(noon + timedelta(hours=h)) for h in (0, 3)] == [0.0, 3600.0]
    naive = LoadedCalibration(Path("gaze.json"), replace(made, made_at="2026-11-22T14:00:00"), calibration())
    assert naive.age_s(noon + timedelta(hours=3)) == 3600.0


BOX = (490, 290, 510, 310)


@pytest.mark.parametrize(
    "message",
    [
        make_mask(BOX, (490.0, 300.0), state="preview"),
        make_mask(BOX, (490.0, 300.0), state="held"),
        make_mask(BOX, (490.0, 300.0), carried_ms=400.0),
        make_mask((100, 100, 900, 500), (300.0, 300.0)),  # eyes are anywhere on something large
        make_mask((0, 290, 20, 310), (4.0, 300.0)),  # its middle may lie outside the picture
        make_mask(BOX, (350.0, 300.0)),  # 15 degrees are no slip
    ],
)
def test_masks_without_information_about_drift_are_ignored(message):
    gaze = CalibratedGaze(Eyes(), calibration())
    gaze.learn_from_mask(message, round(gaze.drift.at_s * S))
    assert gaze.drift.offset_deg == (0.0, 0.0)


def test_an_object_is_learned_once_and_never_with_learning_off():
    gaze = CalibratedGaze(Eyes(), calibration())
    for _ in range(5):
        gaze.learn_from_mask(make_mask(BOX, (490.0, 300.0)), round(gaze.drift.at_s * S))
    assert gaze.drift.accepted == 1
    deaf = CalibratedGaze(Eyes(), calibration(), learn=False)
    deaf.learn_from_mask(make_mask(BOX, (490.0, 300.0)), round(deaf.drift.at_s * S))
    assert deaf.drift.accepted == 0


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("pupil://10.0.0.7:50020", "pupil"),
        ("camera:2?width=640", "camera:2"),
        ("file:a/b.mp4", "file"),
        ("rtsp://me:secret@cam/one", "rtsp:cam/one"),
    ],
)
def test_a_camera_is_known_by_what_stays_the_same(spec, name):
    assert describe_camera(spec) == name
