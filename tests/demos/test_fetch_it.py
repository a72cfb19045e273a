"""Tests where the gripper stops with a simulated table and a run, and its motion alone."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from realtime import Requester
from realtime.comms.object3d import Object3dMessage, ObjectPose
from realtime.config.schema import load_config
from realtime.errors import RequestTimeout
from realtime.infra.progress import ProgressReporter
from realtime.session.run import run
from realtime.simulation.device import SimulatedTracker
from realtime.simulation.table_scene import BOARD, BOXES, TableClip, write_calibrations
from realtime.types import Confirmation, FrameRef
from tests.realtime.waiting import eventually

DEMOS = Path(__file__).parents[2] / "demos"
NEAR_M = 0.01
"""How far from the true centre the gripper may stop, with masks of the fake engine; 1 to 4 mm are usual."""


class View:
    """Stores the endpoint of the run."""

    def __init__(self):
        self.progress, self.endpoint, self.lines = ProgressReporter(), "", []
        self.progress.show_line = self.lines.append

    def on_ready(self, source, endpoint):
        self.endpoint = endpoint

    def on_health(self, health):
        pass


def fetch(*flags):
    command = [sys.executable, str(DEMOS / "fetch_it.py"), *map(str, flags)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def test_the_gripper_stops_at_the_selected_object(tmp_path):
    camera, robot = write_calibrations(tmp_path)
    device, stop, view = SimulatedTracker(TableClip(), port=0, blink_every_s=0), threading.Event(), View()
    config = load_config(None, {
        "source": f"pupil://127.0.0.1:{device.port}", "engine": {"backend": "fake"}, "requests": "tcp://127.0.0.1:0",
        "publish": {"endpoint": "tcp://127.0.0.1:0"}, "depth": {"source": "pupil:", "wait_ms": 500.0},
        "objects": {"camera": camera, "robot": robot, "board": BOARD, "robot_by_board": True},
        "tracker": {"dwell": {"steps": False}},
    })  # fmt: skip
    thread = threading.Thread(target=run, args=(config, view), kwargs={"stop": stop})
    device.start()
    thread.start()
    try:
        eventually(lambda: view.endpoint, "the run")
        answers = next(line for line in view.lines if "answering" in line).split()[-1]
        out = tmp_path / "fetch.png"
        done = fetch("--stream", view.endpoint, "--requests", answers, "--look", 0.3, "--once", "--out", out)
        with Requester(answers, timeout_s=60) as requester:
            assert not requester.status()["held"]  # the object was released
    finally:
        stop.set()
        thread.join(60)
        device.stop()
    assert done.returncode == 0, done.stderr
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row["frame_id"] == "base"
    away_m = [float(np.linalg.norm(row["at_m"] - box.base_from_box.translation_m)) for box in BOXES]
    nearest = BOXES[int(np.argmin(away_m))]
    assert min(away_m) < NEAR_M
    assert row["width_m"] == pytest.approx(min(nearest.sides_m[:2]), abs=NEAR_M)
    assert cv2.imread(str(out)).shape == (440, 1260, 3)


@pytest.fixture
def demo(monkeypatch):
    """The demo's modules, imported as the demo imports them."""
    monkeypatch.syspath_prepend(str(DEMOS))
    import fetch_it
    import gripper

    now_s = [0.0]
    monkeypatch.setattr(gripper.time, "monotonic", lambda: now_s[0])
    yield SimpleNamespace(fetch=fetch_it, arm=gripper, now_s=now_s)
    for name in ("fetch_it", "gripper"):
        monkeypatch.delitem(sys.modules, name)


def make_object3d(x_m, state="held", *, robot=True, number=1, confirmed=None):
    """A box of 12 x 7 x 6 cm that lies on its largest side, in the camera's frame, and with `robot` in the base."""
    base = ObjectPose("base", position=(x_m, 0.1, 0.03), orientation=(0.0, 0.0, 0.0, 1.0)) if robot else None
    seen = ObjectPose("c_optical_frame", position=(0.0, 0.0, 0.8), orientation=(1.0, 0.0, 0.0, 0.0))
    return Object3dMessage(
        FrameRef(1, 0.0, 640, 480), 0, number, state, "depth", seen, extents=(0.12, 0.07, 0.06), robot=base,
        confirmed=confirmed and Confirmation("pinch", confirmed, 5),
    )  # fmt: skip


class Stream:
    """A stream whose messages are 0.02 s apart; None after the last."""

    def __init__(self, messages, now_s):
        self.messages, self.now_s = messages, now_s

    def newest(self, topic, timeout_s):
        self.now_s[0] += 0.02
        return next(self.messages, None)


def test_a_grasp_comes_from_above_and_closes_on_the_shorter_side(demo):
    grasp = demo.arm.Grasp.of(make_object3d(0.4))
    np.testing.assert_allclose(grasp.centre_m, [0.4, 0.1, 0.03])
    np.testing.assert_allclose(grasp.above_m, [0.4, 0.1, 0.06 + demo.arm.STANDOFF_M])
    assert grasp.width_m == 0.07
    np.testing.assert_allclose(sorted(grasp.fingers_m[:, 1]), [0.065, 0.135])
    seen = demo.arm.Grasp.of(make_object3d(0.4, robot=False))
    np.testing.assert_allclose(seen.above_m, [0, 0, 0.8 - 0.03 - demo.arm.STANDOFF_M], atol=1e-9)  # towards the camera
    assert demo.arm.Grasp.of(make_object3d(0.4, robot=False), "base") is None  # frames are not mixed on the way


def test_a_moving_object_is_followed_smoothly(demo):
    arm, places = (
        demo.arm.Gripper(),
        iter([make_object3d(0.4)] * 20 + [make_object3d(0.5)] * 20 + [make_object3d(0.45)] * 200),
    )
    grasp = demo.fetch.follow_object(Stream(places, demo.now_s), arm, demo.arm.Grasp.of(make_object3d(0.4)), "centre_m")
    np.testing.assert_allclose(arm.path_m[-1], [0.45, 0.1, 0.03], atol=1e-9)
    assert grasp.centre_m[0] == 0.45
    assert arm.plans == 3
    steps_m_s = np.diff(arm.path_m, axis=0) / 0.02
    assert np.linalg.norm(steps_m_s, axis=1).max() < 2 * demo.arm.MOST_M_S
    assert np.abs(np.diff(steps_m_s, axis=0)).max() < 0.1  # no leap in speed, neither where plans change


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([make_object3d(0.4)] * 5 + [make_object3d(0.4, "lost")], "object 1 was lost"),
        ([make_object3d(0.4)] * 5 + [make_object3d(0.4, number=2)], "object 1 was lost"),
        ([make_object3d(0.9)] * 5, "nothing was received of object 1 for 1 s"),
        (
            [make_object3d(0.9)] * 5 + [make_object3d(0.9, robot=False)] * 200,
            "nothing was received of object 1 for 1 s",
        ),
    ],
)
def test_a_lost_object_ends_the_grasp(demo, messages, reason):
    with pytest.raises(LookupError, match=reason):
        demo.fetch.follow_object(
            Stream(iter(messages), demo.now_s), demo.arm.Gripper(), demo.arm.Grasp.of(make_object3d(0.9)), "centre_m"
        )


def test_the_gripper_goes_home_when_the_run_ends(demo, monkeypatch, capsys):
    def gone():
        raise RequestTimeout("no answer")

    monkeypatch.setattr(demo.arm.time, "sleep", lambda seconds: demo.now_s.__setitem__(0, demo.now_s[0] + seconds))
    arm = demo.arm.Gripper()
    stream = Stream(iter([make_object3d(0.4, "locked")] * 9), demo.now_s)
    dying = SimpleNamespace(hold=lambda object_id: object_id, snapshot=lambda: None, release=gone)
    assert not demo.fetch.fetch_object(stream, dying, arm, 0.0, None)
    assert "nothing was received of object 1" in capsys.readouterr().err
    assert arm.goal_m is demo.arm.HOME_M
    assert not arm.move()


def test_each_confirmation_is_fetched_once(demo):
    confirmed = [
        make_object3d(0.4, number=number, confirmed=count) for number, count in ((2, 1), (2, 1), (2, 2), (3, 3))
    ]
    stream, fetched = Stream(iter([*[make_object3d(0.4, "locked")] * 90, *confirmed]), demo.now_s), set()
    objects = [demo.fetch.wait_for_grasp(stream, 1.0, fetched).message.object for _ in range(3)]
    assert objects == [2, 2, 3]
    assert fetched == {1, 2, 3}


def test_a_missing_run_is_reported():
    done = fetch("--stream", "nowhere")
    assert done.returncode == 1
    assert "'nowhere' is no address" in done.stderr
    assert "Traceback" not in done.stderr
