"""Tests that `object3d` is published without delaying the loop, also in a whole run."""

import sys
import threading
import time

import cv2
import numpy as np
import pytest

from calibration import CalibrationError, PinholeCamera, record
from realtime.commands.main import main
from realtime.comms.messages import read_message
from realtime.comms.object3d import Object3dMessage, ObjectPose
from realtime.config.objects import DepthSettings, ObjectSettings
from realtime.config.schema import RunConfig, load_config
from realtime.errors import SettingsError, SourceError
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.publisher import MessagePublisher
from realtime.recording.reader import RecordingReader
from realtime.robotics.object3d_observer import Object3dObserver, open_object3d
from realtime.session.run import run
from realtime.sources.depth import DepthFrame
from realtime.types import SourceStatus
from tests.realtime import scene
from tests.realtime.robotics.test_object_localizer import frame, message
from tests.realtime.waiting import eventually, promptly


class Sent:
    def __init__(self):
        self.messages = []

    def send(self, topic, payload):
        self.messages.append(read_message(topic, payload))
        return True


class SlowLocalizer:
    """A localizer that waits until `go_on` is set, and raises `error` if there is one."""

    def __init__(self):
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.error = None
        self.depth_camera = PinholeCamera(scene.SIZE, 260.0, 260.0, 159.5, 119.5)

    def locate(self, now, mask, found, missing):
        self.entered.set()
        self.go_on.wait(600)
        if self.error:
            raise self.error
        return Object3dMessage(mask.frame, 0, 1, "locked", "ray", ObjectPose("c", (0, 0, 0), (0, 0, 1)), missing)


class NoDepth:
    def __init__(self):
        self.found, self.state = None, "connecting"

    def start(self):
        pass

    def stop(self):
        pass

    def find_nearest(self, now, tolerance_s, wait_s):
        return self.found

    def status(self):
        return SourceStatus(self.state, "no device", dropped={"size": 2})


@pytest.fixture
def observer_parts():
    sent, localizer, refused = Sent(), SlowLocalizer(), []
    observer = Object3dObserver(
        lambda: localizer,
        NoDepth(),
        DepthSettings(),
        MessagePublisher(sent, "test", time.monotonic_ns),
        refuse=refused.append,
    )
    observer.start()
    yield observer, localizer, sent, refused
    localizer.go_on.set()
    with promptly():
        observer.close()
    observer.close()


def frame_result(number):
    now = frame(number)
    return FrameResult(now, message(now))


def test_a_slow_localizer_drops_masks_and_does_not_delay_the_loop(observer_parts):
    observer, localizer, sent, _ = observer_parts
    observer.on_mask(frame_result(0))
    assert localizer.entered.wait(60)
    with promptly():
        for number in range(1, 50):
            observer.on_mask(frame_result(number))
    localizer.go_on.set()
    eventually(lambda: len(sent.messages) == 2)
    assert [message.frame.index for message in sent.messages] == [0, 49]
    assert observer.drop_counts() == {"object3d.superseded": 48, "object3d.failed": 0, "depth.size": 2}
    assert observer.problem() == "depth: no device"
    assert sent.messages[0].reason == "no depth within 25 ms of this frame"


def test_a_failed_frame_is_counted_and_ends_nothing(observer_parts):
    observer, localizer, sent, refused = observer_parts
    localizer.go_on.set()
    localizer.error = RuntimeError("odd")
    observer.on_mask(frame_result(0))
    eventually(lambda: observer.drop_counts()["object3d.failed"] == 1)
    assert "object3d: odd" in observer.problem()
    localizer.error = None
    observer.on_mask(frame_result(1))
    eventually(lambda: len(sent.messages) == 1)
    eventually(lambda: "odd" not in observer.problem())
    localizer.error = CalibrationError("the camera's file is for another size")
    observer.on_mask(frame_result(2))
    eventually(lambda: refused == ["the camera's file is for another size"])


def test_depth_that_does_not_fit_is_reported_until_it_does(observer_parts):
    observer, localizer, sent, _ = observer_parts
    localizer.go_on.set()
    observer._depth.state = "running"
    for count, (number, found, expected) in enumerate([
        (0, None, ""),
        (70, None, "depth: none within 25 ms of a frame for 2 s"),
        (71, (120, 160), "depth is 160 x 120, its camera 320 x 240; align it"),
        (72, (240, 320), ""),
    ], 1):  # fmt: skip
        observer._depth.found = found and DepthFrame(np.zeros(found, np.float32), 0.0, 0)
        observer.on_mask(frame_result(number))
        eventually(lambda count=count: len(sent.messages) == count)
        assert observer.problem().startswith(expected)
        assert bool(expected) == bool(observer.problem())


def camera_file(path, size=scene.SIZE):
    camera = PinholeCamera(size, 260.0, 260.0, (size[0] - 1) / 2, (size[1] - 1) / 2)
    made = record.CalibrationRecord(
        "camera", "", "scene", size, "2026-11-22T00:00:00+00:00", {"camera": camera.to_dict()}
    )
    record.save_record(path, made)
    return path


class QuietView:
    """A view that shows nothing."""

    def __init__(self):
        self.progress = self

    def __getattr__(self, name):
        return lambda *args: None


def test_from_a_clip_and_a_folder_of_depth_to_a_recording(tmp_path):
    """The disc of the scene is a board at 0.9 m before a wall at 1.6 m, and moves to the right."""
    clip, trace = scene.write_clip(tmp_path, 30)
    (tmp_path / "depth").mkdir()
    for index in range(30):
        image = np.where(scene.truth(index), 900, 1600).astype(np.uint16)
        cv2.imwrite(str(tmp_path / "depth" / f"{index:04d}.png"), image)
    flags = {
        "source": f"file:{clip}?realtime=0", "gaze": f"trace:{trace}", "engine": {"backend": "fake"},
        "objects": {"camera": str(camera_file(tmp_path / "camera.json"))},
        "depth": {"source": f"file:{tmp_path / 'depth'}"}, "publish": {"endpoint": "tcp://127.0.0.1:0"},
        "record": {"file": str(tmp_path / "run.mcap")},
    }  # fmt: skip
    run(load_config(None, flags), QuietView())
    recorded = RecordingReader(tmp_path / "run.mcap")
    messages = [read_message(entry.topic, entry.data) for entry in recorded.read_entries(("object3d",))]
    located = [message for message in messages if message.method == "depth"]
    assert len(located) > 2
    for message_ in located:
        x, _ = scene.centre(message_.frame.index)
        assert message_.place.frame_id == "scene_optical_frame"
        assert message_.place.centroid == pytest.approx(((x - 159.5) * 0.9 / 260, 0.5 * 0.9 / 260, 0.9), abs=0.03)
        assert message_.depth.apart_ms == pytest.approx(0, abs=1)
        assert message_.depth.scale_m == 0.001
        assert message_.extents[0] == pytest.approx(2 * scene.RADIUS * 0.9 / 260, rel=0.1)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("--depth", "pupil:"), "depth needs the calibration of the frames' camera: give --camera FILE"),
        (("--camera", "/nowhere.json"), "cannot read /nowhere.json"),
        (("--set", "objects.size_m=3"), "need the camera's calibration"),
        (("--set", "objects.frame_id=head"), "ends with _optical_frame"),
        (("--set", "objects.frame_id=/head_optical_frame"), "begins with no /"),
        (("--set", "objects.robot_frame=/base"), "begin with no /"),
        (("--camera", "c.json", "--set", "objects.library=open3d"), "Open3D cannot be used"),
        (("--set", "depth.camera=d.json"), "camera and colour_from_depth belong together"),
        (("--set", "objects.cloud.erode_px=-1"), "erode_px must be 0 to 50"),
    ],
)
def test_invalid_settings_are_reported_before_the_start(argv, expected, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    assert main(["run", "--source", "pupil://127.0.0.1:1", "--engine", "fake", "--publish", "tcp://127.0.0.1:0",
                 *argv]) == 2  # fmt: skip
    assert expected in capsys.readouterr().err


def test_depth_of_another_size_needs_registration(tmp_path):
    clip, _ = scene.write_clip(tmp_path, 2)
    (tmp_path / "depth").mkdir()
    cv2.imwrite(str(tmp_path / "depth" / "0.png"), np.full((10, 20), 900, np.uint16))
    from realtime.session.depth_inputs import open_depth
    from realtime.session.inputs import open_frames

    objects, source = ObjectSettings(camera=camera_file(tmp_path / "c.json")), f"file:{tmp_path / 'depth'}"
    depth = open_depth(source, open_frames(f"file:{clip}"), f"file:{clip}")
    sender = MessagePublisher(Sent(), "test", time.monotonic_ns)
    options = {"every_frame": False, "refuse": lambda why: None}
    with pytest.raises(SourceError, match="depth is 20 x 10, its camera 320 x 240; align it"):
        open_object3d(depth, DepthSettings(source), objects, sender, **options)
    beside = camera_file(tmp_path / "d.json", (20, 10))
    (tmp_path / "pose.json").write_text('{"translation_m": [0.05, 0, 0], "quaternion_xyzw": [0, 0, 0, 1]}')
    settings = DepthSettings(source, camera=beside, colour_from_depth=tmp_path / "pose.json")
    assert open_object3d(depth, settings, objects, sender, **options) is not None
    (tmp_path / "pose.json").write_text("[1]")
    with pytest.raises(SettingsError, match="translation_m and quaternion_xyzw"):
        open_object3d(depth, settings, objects, sender, **options)


class DeviceWithCamera:
    """A source of frames whose camera is known after a while."""

    camera_name = "headset"

    def __init__(self):
        self.camera = None

    def camera_model(self):
        return self.camera


def test_the_camera_that_a_device_reports_is_used_once_it_is_known():
    sent, device, config = Sent(), DeviceWithCamera(), RunConfig()
    sender = MessagePublisher(sent, "test", time.monotonic_ns)
    observer = open_object3d(None, config.depth, config.objects, sender, every_frame=False, refuse=print, device=device)
    observer.start()
    try:
        observer.on_mask(frame_result(0))
        eventually(lambda: not observer._results.has_value, "taken without a camera")
        device.camera = PinholeCamera((20, 10), 260.0, 260.0, 9.5, 4.5)
        observer.on_mask(frame_result(1))
        eventually(lambda: "capture at that resolution" in observer.problem(), "a size that does not fit is reported")
        device.camera = PinholeCamera(scene.SIZE, 260.0, 260.0, 159.5, 119.5)
        observer.on_mask(frame_result(2))
        eventually(lambda: sent.messages and not observer.problem(), "a message")
        (message_,) = sent.messages
        assert message_.frame.index == 2
        assert (message_.method, message_.place.frame_id) == ("ray", "headset_optical_frame")
        assert message_.camera == device.camera
    finally:
        observer.close()


def test_without_a_camera_nothing_is_published():
    config = RunConfig()
    assert open_object3d(None, config.depth, config.objects, None, every_frame=False, refuse=print) is None
