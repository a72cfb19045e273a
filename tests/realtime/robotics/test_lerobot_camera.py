"""Tests the LeRobot camera with a plain SUB socket that has LeRobot's options, and with LeRobot itself where it is."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import zmq

from realtime.errors import TransportError
from realtime.media.overlay import draw_overlay
from realtime.pipeline.observers import FrameResult
from realtime.robotics import lerobot_camera
from realtime.robotics.lerobot_camera import LeRobotCamera
from realtime.types import Frame
from tests.realtime.robotics.ros2.cdr_reader import SIZE, WALL_NS, captured_ns, mask
from tests.realtime.waiting import eventually


def frame_result(index: int) -> FrameResult:
    image = np.full((SIZE[1], SIZE[0], 3), 40 + 40 * index, np.uint8)
    return FrameResult(Frame(image, index, index / 30, captured_ns(index), captured_ns(index)), mask(index))


@pytest.fixture
def camera() -> Iterator[LeRobotCamera]:
    camera = LeRobotCamera("tcp://127.0.0.1:0", "gaze", WALL_NS, jpeg_quality=95)
    yield camera
    camera.close()


@pytest.fixture
def reader(camera: LeRobotCamera) -> Iterator[zmq.Socket[bytes]]:
    """A socket with the options of LeRobot's `ZMQCamera`."""
    with zmq.Context() as context, context.socket(zmq.SUB) as reader:
        reader.setsockopt_string(zmq.SUBSCRIBE, "")
        reader.setsockopt(zmq.RCVTIMEO, 60_000)
        reader.setsockopt(zmq.CONFLATE, True)
        reader.setsockopt(zmq.LINGER, 0)
        reader.connect(camera.endpoint)
        eventually(lambda: camera._publisher.has_subscribers, "subscribed")
        yield reader


def test_a_frame_has_its_mask_drawn_and_its_time_of_capture(camera: LeRobotCamera, reader: zmq.Socket[bytes]) -> None:
    for index in (0, 1):
        camera.on_mask(frame_result(index))
        message = json.loads(reader.recv_string())
        assert message.keys() == {"timestamps", "images"}
        assert message["timestamps"] == {"gaze": (captured_ns(index) + WALL_NS) / 1e9}
        packed = base64.b64decode(message["images"]["gaze"], validate=True)
        rgb = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)  # as LeRobot's camera does
        image = rgb[..., ::-1]
        truth = draw_overlay(frame_result(index).frame.image, mask(index))
        assert np.abs(image.astype(int) - truth).mean() < 8
        assert np.abs(image.astype(int) - frame_result(index).frame.image).mean() > 10


READ_RED = """
import sys
from lerobot.cameras.zmq import ZMQCamera, ZMQCameraConfig
host, port = sys.argv[1].removeprefix("tcp://").split(":")
camera = ZMQCamera(ZMQCameraConfig(server_address=host, port=int(port), camera_name="gaze", timeout_ms=60_000))
camera.connect()
print(*camera.read()[-4, -4])
camera.disconnect()
"""


@pytest.mark.skipif(
    "GAZECAST_LEROBOT_PYTHON" not in os.environ, reason="GAZECAST_LEROBOT_PYTHON names no Python with lerobot"
)
def test_red_arrives_as_red_in_lerobots_own_camera(camera: LeRobotCamera) -> None:
    red = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    red[..., 2] = 255
    with subprocess.Popen(
        [os.environ["GAZECAST_LEROBOT_PYTHON"], "-c", READ_RED, camera.endpoint], stdout=subprocess.PIPE, text=True
    ) as reader:
        pause = threading.Event()
        while reader.poll() is None:
            camera.on_mask(FrameResult(Frame(red, 0, 0.0, captured_ns(0), captured_ns(0)), None))
            pause.wait(0.05)
        assert reader.stdout is not None
        r, g, b = map(int, reader.stdout.read().split())
    assert (r > 240, g < 16, b < 16) == (True, True, True)


def test_nothing_is_drawn_without_subscribers(camera: LeRobotCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lerobot_camera, "draw_overlay", lambda *args: pytest.fail("drawn"))
    camera.on_mask(frame_result(0))
    eventually(lambda: not camera._results.has_value, "taken")
    camera.close()
    assert camera.problem() == ""
    eventually(lambda: not camera._thread.is_alive(), "ended")


def test_a_port_in_use_is_reported(camera: LeRobotCamera) -> None:
    with pytest.raises(TransportError, match="in use"):
        LeRobotCamera(camera.endpoint, "gaze", WALL_NS)
