"""Tests gaze by webcam: calibration at targets, its file, blinks, and the place of the picture on the screen."""

from __future__ import annotations

import shutil
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.sources.browser import BrowserFrames
from realtime.sources.webcam_gaze.calibration_store import CalibrationStore
from realtime.sources.webcam_gaze.gaze_source import CALIBRATING, NO_PAGE, UNCALIBRATED, EyeGeometry, WebcamGaze
from realtime.sources.webcam_gaze.screen_layout import ScreenLayout
from realtime.types import Frame, FrameSource, GazeSource, SourceStatus
from tests.realtime.waiting import PATIENCE_S, eventually
from tests.realtime.webcam_eyes import DiscFinder, draw_eyes

SCREEN = (1600, 1000)
FULL = ScreenLayout(SCREEN, (0.0, 0.0, 1600.0, 1000.0), (0.0, 0.0, 1600.0, 1000.0), 800)
STEP_NS = 33_000_000


class QueuedCamera(FrameSource):
    """A camera whose pictures the test takes, one by one."""

    def __init__(self):
        self.state = SourceStatus("running")
        self.stopped = False

    def start(self, on_frame, on_event=None):
        self.on_frame = on_frame

    def stop(self):
        self.stopped = True

    def status(self):
        return self.state


class Person:
    """Looks at places of the screen, picture by picture."""

    def __init__(self, folder, finder=None):
        self.camera = QueuedCamera()
        self.gaze = WebcamGaze(finder or DiscFinder(), self.camera, CalibrationStore(folder, "me"), EyeGeometry())
        self.samples, self.reports = [], []
        self.answered = threading.Event()
        self.gaze.on_report = self.on_report
        self.gaze.start(self.samples.append)
        self.index, self.at_ns, self.step_ns = 0, 10**12, STEP_NS

    def on_report(self, fields):
        self.reports.append(fields)
        if fields["index"] == self.index:
            self.answered.set()

    def look_at(self, x, y, count=1, **eyes):
        for _ in range(count):
            self.show(draw_eyes(x, y, **eyes))
        return self.reports[-1]

    def show(self, image):
        self.index, self.at_ns = self.index + 1, self.at_ns + self.step_ns
        self.answered.clear()
        self.camera.on_frame(Frame(image, self.index, self.at_ns / 1e9, self.at_ns, self.at_ns))
        assert self.answered.wait(PATIENCE_S), self.gaze.status()

    def calibrate(self):
        self.gaze.start_calibration()
        report = self.look_at(0.5, 0.5)
        while report["calibrating"]:
            report = self.look_at(report["target"]["x"], report["target"]["y"])
        return report


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """Give a folder with the calibration of a person, and what the page showed at its end."""
    folder = tmp_path_factory.mktemp("calibrated")
    person = Person(folder)
    try:
        person.gaze.set_layout(FULL)
        yield folder, person.calibrate()["result"]
    finally:
        person.gaze.stop()


@pytest.fixture
def user(calibrated, tmp_path):
    """Give a person whose calibration is loaded."""
    shutil.copytree(calibrated[0], tmp_path, dirs_exist_ok=True)
    one = Person(tmp_path)
    one.gaze.set_layout(FULL)
    yield one
    one.gaze.stop()


@pytest.fixture
def person(tmp_path):
    one = Person(tmp_path)
    yield one
    one.gaze.stop()
    assert one.camera.stopped


def test_it_is_a_gaze_source_that_says_what_is_missing(person):
    assert isinstance(person.gaze, GazeSource)
    person.look_at(0.5, 0.5)
    assert (person.gaze.status().state, person.gaze.status().reason) == ("idle", NO_PAGE)
    person.gaze.set_layout(FULL)
    person.look_at(0.5, 0.5)
    assert (person.gaze.status().state, person.gaze.status().reason) == ("idle", UNCALIBRATED)
    person.gaze.start_calibration()
    person.look_at(0.5, 0.5)
    assert (person.gaze.status().state, person.gaze.status().reason) == ("idle", CALIBRATING)
    assert person.samples == []
    person.camera.state = SourceStatus("waiting", "plug it in", 0, {"undecodable": 2})
    assert (person.gaze.status().state, person.gaze.status().reason) == ("waiting", "plug it in")
    assert person.gaze.status().dropped == {"eyes undecodable": 2}


def test_a_calibration_at_thirteen_targets_gives_gaze_with_its_error(calibrated, user):
    folder, result = calibrated
    assert [file.name for file in folder.iterdir()] == ["me-1600x1000.json"]
    assert user.gaze.state_fields()["result"] == result
    assert result["checks"] == 4
    assert 0 <= result["error_px"] < 40
    assert result["error_deg"] < 1
    for x, y in ((0.25, 0.4), (0.8, 0.7)):
        user.look_at(x, y, 12)
        sample = user.samples[-1]
        assert (sample.x, sample.y) == pytest.approx((x, y), abs=0.02)
        assert (sample.unit, sample.confidence) == ("norm", 1.0)
        # in the frame's pixels, of which there are half as many as of the screen's
        assert sample.radius_px == pytest.approx(result["error_px"] / 2, abs=1)
    assert user.gaze.status().state == "running"


def test_a_slow_camera_is_calibrated_too(person):
    person.gaze.set_layout(FULL)
    person.step_ns = 700_000_000
    assert person.calibrate()["result"]["error_px"] < 40


def test_another_screen_has_another_calibration(user):
    user.gaze.set_layout(ScreenLayout((1280, 800), (0, 0, 1280, 800), (0, 0, 1280, 800), 800))
    assert user.gaze.state_fields()["result"] is None
    user.gaze.set_layout(FULL)
    assert user.gaze.state_fields()["result"] is not None


@pytest.mark.parametrize("text", ['{"format": "gazecast-calibration"', "", "null", "{}"])
def test_a_damaged_calibration_is_reported(person, tmp_path, text):
    (tmp_path / "me-1600x1000.json").write_text(text)
    person.gaze.set_layout(FULL)
    assert "me-1600x1000.json" in person.gaze.state_fields()["note"]
    person.look_at(0.5, 0.5)
    assert person.gaze.status().reason == UNCALIBRATED


def test_a_calibration_that_cannot_be_saved_is_used(tmp_path):
    (tmp_path / "file").write_text("")
    person = Person(tmp_path / "file")
    try:
        person.gaze.set_layout(FULL)
        report = person.calibrate()
        assert "could not be saved" in report["note"]
        assert report["result"] is not None
    finally:
        person.gaze.stop()


def test_targets_that_are_not_looked_at_give_no_calibration(person):
    person.gaze.set_layout(FULL)
    person.gaze.start_calibration()
    person.step_ns = 2_000_000_000
    report = person.look_at(0.5, 0.5)
    while report["calibrating"]:  # without a face, each target is given up after its time
        person.show(draw_eyes(0.5, 0.5) * 0)
        report = person.reports[-1]
    assert report["result"] is None
    assert report["note"].startswith("Calibration failed: ")


def test_eyes_that_look_elsewhere_give_no_calibration(person, tmp_path):
    person.gaze.set_layout(FULL)
    person.gaze.start_calibration()
    report = person.look_at(0.5, 0.5)
    while report["calibrating"]:
        report = person.look_at(1 - report["target"]["x"] ** 4, 0.5 + 0.4 * (report["target"]["done"] % 2))
    assert report["result"] is None
    assert "of no use" in report["note"]
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_calibration_leaves_the_one_before(user):
    before = user.gaze.state_fields()["result"]
    user.gaze.start_calibration()
    user.look_at(0.1, 0.9, 5)
    user.gaze.cancel_calibration()
    assert user.look_at(0.5, 0.5)["result"] == before
    assert user.samples[-1].x == pytest.approx(0.5, abs=0.03)


def test_closed_eyes_and_no_face_are_samples_without_confidence(user):
    user.look_at(0.5, 0.5, 5)
    user.look_at(0.5, 0.5, closed=True)
    assert user.samples[-1].confidence == 0
    user.show(draw_eyes(0.5, 0.5) * 0)
    assert user.samples[-1].confidence == 0
    assert user.reports[-1]["face"] is False
    assert user.gaze.status().state == "waiting"
    assert "no face" in user.gaze.status().reason
    assert user.gaze.status().dropped["no face"] == 1
    user.look_at(0.5, 0.5)
    assert (user.samples[-1].confidence, user.gaze.status().state) == (1.0, "running")


def test_where_the_picture_is_on_the_screen_decides_the_place_in_it(user):
    user.gaze.set_layout(ScreenLayout(SCREEN, (100, 50, 1400, 900), (200.0, 300.0, 800.0, 400.0), 1600))
    user.look_at(0.5, 0.5, 12)
    assert (user.samples[-1].x, user.samples[-1].y) == pytest.approx((0.75, 0.5), abs=0.04)
    user.look_at(0.05, 0.5, 12)
    assert user.samples[-1].x < 0
    count = len(user.samples)
    user.gaze.set_layout(None)
    user.look_at(0.5, 0.5)
    assert len(user.samples) == count


def test_clicks_correct_the_gaze_within_bounds(user):
    user.look_at(0.5, 0.5, 12)
    degree_px = user.samples[-1].px_per_degree * 2  # the screen has two px for one of the frame
    user.gaze.correct_drift(800 + degree_px, 500, user.at_ns)
    user.look_at(0.5, 0.5)
    shift_deg = (user.samples[-1].x - 0.5) * SCREEN[0] / degree_px
    assert 0.4 < shift_deg < 1.2
    assert user.reports[-1]["drift_deg"] > 0
    for x, at_ns in ((1500, user.at_ns), (800, user.at_ns + 10**9)):  # far from the gaze; long after it
        user.gaze.correct_drift(x, 500, at_ns)
        user.look_at(0.5, 0.5)
        assert (user.samples[-1].x - 0.5) * SCREEN[0] / degree_px == pytest.approx(shift_deg, abs=0.1)


def test_a_click_before_a_calibration_does_nothing(person):
    person.gaze.set_layout(FULL)
    person.look_at(0.5, 0.5)
    person.gaze.correct_drift(0, 0, person.at_ns)
    assert person.gaze.state_fields()["drift_deg"] == 0


def test_a_finder_that_fails_is_the_reason_in_the_status(tmp_path):
    class BrokenFinder:
        def find(self, image):
            raise RuntimeError("no memory")

    person = Person(tmp_path, BrokenFinder())
    try:
        person.camera.on_frame(Frame(draw_eyes(0.5, 0.5), 0, 0.0, 0, 0))
        eventually(lambda: person.gaze.status().state == "failed", "the failure")
        assert "no memory" in person.gaze.status().reason
    finally:
        person.gaze.stop()


def test_pictures_beyond_the_highest_rate_are_left_out(tmp_path):
    person = Person(tmp_path)
    try:
        person.step_ns = 100_000_000
        person.look_at(0.5, 0.5, 3)
        person.camera.on_frame(Frame(draw_eyes(0.5, 0.5), 99, 0.0, person.at_ns + 10_000_000, 0))
        person.look_at(0.5, 0.5)
        assert person.gaze.status().received == 4
        assert 99 not in [report["index"] for report in person.reports]
    finally:
        person.gaze.stop()


def test_without_the_pages_camera_it_says_how_to_start_it(tmp_path):
    camera = BrowserFrames("start the camera that films your eyes, on the page")
    gaze = WebcamGaze(DiscFinder(), camera, CalibrationStore(tmp_path, "me"), EyeGeometry())
    gaze.start(lambda sample: None)
    try:
        assert (gaze.status().state, "films your eyes" in gaze.status().reason) == ("idle", True)
    finally:
        gaze.stop()


PLACES = st.floats(-2000, 4000)
SIDES = st.floats(1, 4000)


@given(PLACES, PLACES, st.tuples(PLACES, PLACES, SIDES, SIDES))
def test_places_in_the_picture_are_shares_of_it(x, y, picture):
    layout = ScreenLayout(SCREEN, (0.0, 0.0, 1600.0, 1000.0), picture, 640)
    found = layout.place_in_picture(x, y)
    assert found is not None
    assert found[0] * picture[2] + picture[0] == pytest.approx(x, abs=1e-6)
    assert found[1] * picture[3] + picture[1] == pytest.approx(y, abs=1e-6)
    assert layout.frame_scale == pytest.approx(640 / picture[2])


def test_places_on_the_page_are_on_the_screen_where_the_page_is():
    assert ScreenLayout(SCREEN, (100.0, 50.0, 800.0, 600.0)).place_on_screen(0.5, 0.25) == (500.0, 200.0)
    assert ScreenLayout(SCREEN, (100.0, 50.0, 800.0, 600.0)).place_in_picture(1, 1) is None
