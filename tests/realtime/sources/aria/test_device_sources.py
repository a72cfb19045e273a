"""Project Aria's sources against processes that send, crash and send nonsense in the place of the client's bridge."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import SourceError
from realtime.session import aria_input
from realtime.session.inputs import open_frames, open_gaze
from realtime.sources.aria import bridge, process
from realtime.sources.aria.device_sources import AriaFrames, AriaGaze
from realtime.sources.aria.messages import BridgeError, read_message, read_pixels, read_point
from realtime.sources.aria.process import BridgeProcess
from realtime.types import Frame, GazeSample, SourceStatus
from tests.realtime.waiting import eventually, promptly

CHILD = Path(__file__).with_name("fake_child.py")
REAL_CLIENT = os.environ.get("GAZECAST_TEST_ARIA_PYTHON", "")


class Glasses:
    """Frames and gaze of one process, and what they gave."""

    def __init__(self, command: list[str], *, is_replay: bool) -> None:
        self.frames: list[Frame] = []
        self.samples: list[GazeSample] = []
        self.states: list[SourceStatus] = []
        shared = BridgeProcess(command, is_replay=is_replay)
        self.frame_source, self.gaze_source = AriaFrames(shared), AriaGaze(shared)
        self.gaze_source.start(self.samples.append)
        self.frame_source.start(self.frames.append, self.states.append)

    def stop(self) -> None:
        self.frame_source.stop()
        self.gaze_source.stop()


@pytest.fixture
def glasses() -> Iterator[Callable[..., Glasses]]:
    opened: list[Glasses] = []

    def begin(mode: str, *, is_replay: bool = False) -> Glasses:
        opened.append(Glasses([sys.executable, str(CHILD), mode], is_replay=is_replay))
        return opened[-1]

    yield begin
    for each in opened:
        each.stop()


def test_frames_and_gaze_come_from_one_process_on_one_clock(glasses: Callable[..., Glasses]) -> None:
    got = glasses("send")
    eventually(lambda: len(got.frames) > 20 and len(got.samples) > 20)
    frame, sample = got.frames[-1], got.samples[-1]
    assert frame.image.shape == (3, 4, 3)
    assert frame.image[0, 0, 0] == 255  # blue first
    assert [frame.index for frame in got.frames] == list(range(len(got.frames)))
    assert (sample.x, sample.y, sample.unit, sample.confidence) == (0.25, 0.5, "norm", 1.0)
    for item in (*got.frames, *got.samples):
        assert item.captured_ns <= item.received_ns
        assert abs(item.captured_ns - (item.timestamp - 1e6) * 1e9) < 5e9  # the device's clock is mapped
    assert got.frame_source.status().state == got.gaze_source.status().state == "running"
    eventually(lambda: got.frame_source.status().dropped.get("replaced"))


def test_a_crash_is_reported_and_the_process_starts_again(
    glasses: Callable[..., Glasses], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.05)
    got = glasses("crash")
    eventually(lambda: len(got.frames) > 45)
    reasons = {state.reason for state in got.states if state.state == "connecting"}
    assert reasons == {"the process of Project Aria's client has crashed (signal 9, SIGKILL): a line of the client"}
    indices = [frame.index for frame in got.frames]
    assert indices == list(range(len(indices)))


def test_a_recording_at_which_the_client_always_crashes_is_given_up(
    glasses: Callable[..., Glasses], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.05)
    got = glasses("crash at once", is_replay=True)
    eventually(lambda: got.frame_source.status().state == "failed" and got.gaze_source.status().state == "failed")
    reason = got.gaze_source.status().reason
    assert "signal 6, SIGABRT" in reason
    assert reason.endswith(": XR_CHECK failed: bad file; is the recording damaged?")
    assert "\x1b" not in reason


def test_live_glasses_are_waited_for(glasses: Callable[..., Glasses], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.01)
    got = glasses("no device")
    eventually(lambda: "no Aria glasses can be reached" in got.frame_source.status().reason)
    assert got.frame_source.status().state == "connecting"
    assert {state.reason for state in got.states} == {"no Aria glasses can be reached (timeout)"}


@pytest.mark.parametrize(
    ("mode", "state", "reason"),
    [
        ("end", "ended", ""),
        ("failed", "failed", "the client cannot play x.vrs"),
        ("noise", "connecting", "the process of Project Aria's client does not work: it sends no messages"),
        ("nothing", "connecting", "starting Project Aria's client"),
    ],
)
def test_ends_and_faults(glasses: Callable[..., Glasses], mode: str, state: str, reason: str) -> None:
    got = glasses(mode)
    for source in (got.frame_source, got.gaze_source):
        eventually(lambda source=source: source.status().state == state and reason in source.status().reason)  # type: ignore[misc]


def test_nonsense_is_counted(glasses: Callable[..., Glasses]) -> None:
    got = glasses("odd")
    eventually(lambda: len(got.frames) > 3 and len(got.samples) > 3)
    gaze, frames = got.gaze_source.status().dropped, got.frame_source.status().dropped
    assert gaze == {
        "no position": 1, "position": 4, "time": 2, "no calibration of the camera yet": 1, "unknown message": 1,
    }  # fmt: skip
    assert (frames["pixels"], frames["size"], frames["unknown message"]) == (1, 1, 1)


def test_without_gaze_the_last_position_has_no_confidence(glasses: Callable[..., Glasses]) -> None:
    got = glasses("blink")
    eventually(lambda: {sample.confidence for sample in got.samples} == {0.0, 1.0})
    assert {(sample.x, sample.y) for sample in got.samples} == {(0.25, 0.5)}


@pytest.mark.parametrize("mode", ["send", "nothing", "deaf"])
def test_stops_promptly_with_its_process(glasses: Callable[..., Glasses], mode: str) -> None:
    got = glasses(mode)
    shared = got.frame_source.process
    eventually(lambda: shared._process is not None)
    with promptly():
        got.stop()
        got.stop()
    child = shared._process
    assert child is not None
    eventually(lambda: child.poll() is not None)


def test_the_process_runs_while_one_source_does(glasses: Callable[..., Glasses]) -> None:
    got = glasses("send")
    eventually(lambda: got.frames and got.samples)
    got.frame_source.stop()
    before = len(got.samples)
    eventually(lambda: len(got.samples) > before + 5)


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_message(data: bytes) -> None:
    for text in (data, b"GCA1" + struct.pack("<II", len(data), 0) + data):
        try:
            message = read_message(io.BytesIO(text).read)
            read_point(message)
            read_pixels(message)
        except (BridgeError, EOFError):
            continue


# -- names


def test_the_client_is_found_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(aria_input.PYTHON_VARIABLE, raising=False)
    with pytest.raises(SourceError, match=r"needs Project Aria's client.*export GAZECAST_ARIA_PYTHON="):
        open_frames("aria:")
    monkeypatch.setenv(aria_input.PYTHON_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(SourceError, match="which is no program"):
        open_frames("aria:")
    monkeypatch.setenv(aria_input.PYTHON_VARIABLE, sys.executable)
    with pytest.raises(SourceError, match=r"there is no file .*expected aria:FILE\.vrs"):
        open_frames(f"aria:{tmp_path}/none.vrs")
    recording = tmp_path / "walk.vrs"
    recording.write_bytes(b"")
    for option in ("speed=0", "speed=x", "sped=1"):
        with pytest.raises(SourceError, match="expected"):
            open_frames(f"aria:{recording}?{option}")
    frames = open_frames(str(recording))
    assert isinstance(frames, AriaFrames)
    gaze = open_gaze(f"aria:{recording}", frames)
    assert isinstance(gaze, AriaGaze)
    assert gaze.process is frames.process
    assert open_gaze("aria:", None).status().state == "connecting"


def test_an_interpreter_without_the_client_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(aria_input.PYTHON_VARIABLE, sys.executable)
    source = open_frames("aria:")
    source.start(lambda frame: None)
    eventually(lambda: source.status().state == "failed")
    assert "Project Aria's client is not installed for " in source.status().reason
    source.stop()


# -- the bridge, against a client of the same interface

FAKE_CLIENT = {
    "aria/__init__.py": "",
    "aria/image_decoder.py": """
class ImageDecoder:
    def __init__(self, hw_accel=True):
        pass
    def decode_image(self, image_data, record):
        image_data.is_decoded = True
        return True
""",
    "aria/sdk_gen2.py": """
import threading, time
from datetime import timedelta
import numpy as np
class Gaze:
    depth = 0.0
    def __init__(self, n):
        self.yaw, self.pitch = 0.1, float("nan") if n == 3 else 0.2
        self.combined_gaze_valid = n == 4
        self.tracking_timestamp = timedelta(microseconds=1000 * n)
class Image:
    is_decoded = False
    def to_numpy_array(self):
        return np.full((4, 6, 3), 7, np.uint8) if self.is_decoded else np.zeros((0, 0), np.uint8)
class Record:
    def __init__(self, n):
        self.capture_timestamp_ns, self.camera_id = 1_000_000 * n, 64
class Calibration:
    def get_camera_calib(self, label):
        return Camera() if label == "camera-rgb" else None
class Camera:
    def get_image_size(self):
        return np.array([600, 400])
class StreamDataInterface:
    def __init__(self, enable_image_decoding):
        pass
    def register_device_calib_callback(self, call):
        self.calib = call
    def register_rgb_callback(self, call):
        self.rgb = call
    def register_eye_gaze_callback(self, call):
        self.gaze = call
class ReplaySourceConfig:
    filename, speed_multiplier = "", 0.0
class Session:
    def __init__(self, data):
        self.thread = threading.Thread(target=self.run, args=(data,)); self.thread.start()
    def run(self, data):
        print("the client prints to the standard output")
        data.gaze(Gaze(0))
        data.calib(Calibration())
        for n in range(1, 6):
            data.gaze(Gaze(n)); data.rgb(Image(), Record(n)); time.sleep(0.05)
    def is_finished(self):
        return not self.thread.is_alive()
def create_replay_source(config, data):
    if "broken" in config.filename:
        raise RuntimeError("cannot open the file")
    return None if "other" in config.filename else Session(data)
""",
    "projectaria_tools/__init__.py": "",
    "projectaria_tools/core/__init__.py": "",
    "projectaria_tools/core/mps/__init__.py": "",
    "projectaria_tools/core/mps/utils.py": """
def get_gaze_vector_reprojection(gaze, label, calibration, camera, depth_m):
    assert (label, depth_m) == ("camera-rgb", 1.0)
    return (149.5, 99.5)
""",
}


@pytest.fixture
def fake_client(tmp_path: Path) -> Path:
    """A program that runs the bridge beside a client that has the interface of the real one."""
    for name, text in FAKE_CLIENT.items():
        file = tmp_path / "client" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    program = tmp_path / "run_bridge.py"
    program.write_text(
        f"import runpy, sys\nsys.path.insert(0, {str(tmp_path / 'client')!r})\n"
        f"runpy.run_path({bridge.__file__!r}, run_name='__main__')\n"
    )
    return program


def test_the_bridge_passes_on_what_the_client_gives(fake_client: Path) -> None:
    got = Glasses([sys.executable, str(fake_client), "--replay", "walk.vrs"], is_replay=True)
    try:
        eventually(lambda: got.frame_source.status().state == got.gaze_source.status().state == "ended")
    finally:
        got.stop()
    assert [round(sample.timestamp * 1000) for sample in got.samples] == [1, 2, 3, 4, 5]
    assert [sample.confidence for sample in got.samples] == [1, 1, 0, 1, 0]
    assert {(sample.x, sample.y) for sample in got.samples} == {(0.25, 0.25)}
    assert got.gaze_source.status().dropped == {"no calibration of the camera yet": 1}
    lost = got.frame_source.status().dropped.get("replaced", 0)
    assert len(got.frames) + lost == 5
    assert got.frames[-1].image.shape == (4, 6, 3)
    assert (got.frames[-1].image == 7).all()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("broken.vrs", "cannot play broken.vrs: cannot open the file"), ("other.txt", "it plays .vrs of Aria Gen 2")],
)
def test_the_bridge_reports_what_the_client_refuses(fake_client: Path, name: str, reason: str) -> None:
    got = Glasses([sys.executable, str(fake_client), "--replay", name], is_replay=True)
    try:
        eventually(lambda: got.frame_source.status().state == "failed")
    finally:
        got.stop()
    assert reason in got.frame_source.status().reason


# -- the real client, where a variable names an interpreter that has it

needs_client = pytest.mark.skipif(not REAL_CLIENT, reason="GAZECAST_TEST_ARIA_PYTHON names no interpreter")


@needs_client
def test_the_real_client_refuses_what_is_no_recording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(aria_input.PYTHON_VARIABLE, REAL_CLIENT)
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.05)
    for name, data in (("empty.vrs", b""), ("text.vrs", b"no recording " * 1000), ("notes.txt", b"text")):
        (tmp_path / name).write_bytes(data)
        source = open_frames(f"aria:{tmp_path / name}")
        source.start(lambda frame: None)
        eventually(lambda source=source: source.status().state == "failed")  # type: ignore[misc]
        source.stop()
        assert "cannot play" in source.status().reason or "Failed to open VRS file" in source.status().reason


@needs_client
def test_the_real_client_projects_gaze() -> None:
    """A camera in the middle of the device's frame, with gaze straight ahead and to the sides."""
    code = f"""
import runpy
import numpy as np
from projectaria_tools.core import calibration, mps
bridge = runpy.run_path({bridge.__file__!r})
camera = calibration.get_linear_camera_calibration(640, 480, 500.0, "camera-rgb")
device = calibration.DeviceCalibration({{"camera-rgb": camera}})
projector = bridge["GazeProjector"]()
projector.set_calibration(device)
gaze = mps.EyeGaze()
gaze.yaw, gaze.pitch, gaze.depth = 0.0, 0.0, 2.0
print(projector.is_ready, projector.project(gaze))
"""
    done = subprocess.run([REAL_CLIENT, "-I", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "(0.5,", "0.5)"]
