"""The recorder under a disk that is slow, full or gone, and under twenty kills."""

import itertools
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import pytest
from zstandard import ZstdError

import realtime.recording.controller as controller_module
import realtime.recording.recorder as recorder_module
from realtime.comms.messages import HealthMessage
from realtime.config.recording import RecordSettings
from realtime.errors import RecordingError
from realtime.infra.clock import now_ns
from realtime.pipeline.control import UserCommand
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.tracker_log import TrackerCall
from realtime.recording.controller import RecordingController
from realtime.recording.format import FRAME, GAZE, TRACKER_CALL
from realtime.recording.reader import RecordingReader
from realtime.recording.recorder import RecordingThread
from realtime.recording.writer import RecordingFile
from realtime.types import Frame
from tests.realtime.recording import plain_recordings
from tests.realtime.waiting import eventually

PNG = RecordSettings(frames="png")


def test_queued_data_are_in_the_file_in_order(tmp_path):
    recorder = RecordingThread(tmp_path / "a.mcap", plain_recordings.ABOUT, PNG, now_ns)
    for index in range(5):
        recorder.put_frame(plain_recordings.frame(index))
        recorder.put_sample(plain_recordings.sample(index))
        recorder.put_tracker_call(TrackerCall("pause", clock_ns=(index,)))
        recorder.put_message("mask", bytes([index]))
        recorder.put_message("overlay", bytes([index]))
    recorder.update_info(engine={"backend": "fake"})
    recorder.close()
    recorder.close()
    recorder.put_frame(plain_recordings.frame(9))  # too late, and no harm
    recording = RecordingReader(recorder.path)
    assert [entry.topic for entry in recording.read_entries()] == [FRAME, GAZE, TRACKER_CALL, "mask", "overlay"] * 5
    assert [entry.data for entry in recording.read_entries(("mask",))] == [bytes([index]) for index in range(5)]
    assert recording.about.engine == {"backend": "fake"}
    assert recording.complete
    assert recorder.drop_counts == {}


def test_pictures_that_a_slow_disk_drops_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder_module, "MAX_QUEUED_BYTES", 20 * plain_recordings.frame(0).image.nbytes)
    begun, go_on, put = threading.Event(), threading.Event(), RecordingFile.write_message

    def slow(self, topic, log_ns, data):
        begun.set()
        assert go_on.wait(60)
        put(self, topic, log_ns, data)

    monkeypatch.setattr(RecordingFile, "write_message", slow)
    recorder = RecordingThread(tmp_path / "a.mcap", plain_recordings.ABOUT, PNG, now_ns)
    recorder.put_frame(plain_recordings.frame(0))
    assert begun.wait(60)
    for index in range(1, 31):  # of these 20 may wait
        recorder.put_frame(plain_recordings.frame(index))
        recorder.put_sample(plain_recordings.sample(index))
    assert recorder.drop_counts == {FRAME: 10}
    go_on.set()
    recorder.close()
    recording = RecordingReader(recorder.path)
    assert [frame.index for frame in recording.read_frames()] == list(range(21))
    assert [sample.timestamp for sample in recording.read_samples()] == [index / 100 for index in range(1, 31)]


def test_with_frame_time_nothing_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder_module, "MAX_QUEUED_BYTES", 1)
    recorder = RecordingThread(tmp_path / "a.mcap", replace(plain_recordings.ABOUT, frame_time=True), PNG, now_ns)
    for index in range(40):
        recorder.put_frame(plain_recordings.frame(index))
    recorder.close()
    assert [frame.index for frame in RecordingReader(recorder.path).read_frames()] == list(range(40))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_ends_the_recording_and_nothing_else(small_disk):
    reported, states, tenths = [], [], itertools.count()
    controller = RecordingController(
        PNG, plain_recordings.ABOUT, lambda: next(tenths) * 100_000_000, reported.append, states.append
    )
    path = controller.start(small_disk)
    image, index = plain_recordings.frame(0, (200, 150)).image, 0
    while controller.path is not None and index < 100:  # 90 kB each
        controller.on_frame(Frame(image, index, 0.0, 0, index))
        index += 1
        eventually(lambda: controller.path is None or not controller._recorder._items, "the queue to empty")
    eventually(lambda: reported, "a notice")
    assert "No space left on device" in reported[0]
    assert str(path) in reported[0]
    assert controller.problem() == reported[0]
    assert states == [True, False]
    assert controller.stop() is None
    frames = [frame.index for frame in RecordingReader(path).read_frames()]
    assert frames == list(range(len(frames)))
    assert 10 <= len(frames) < index < 100
    path.unlink()  # there is room again
    again = controller.start(small_disk / "b.mcap")
    assert controller.problem() == ""
    controller.on_frame(plain_recordings.frame(0))
    assert controller.stop() == again
    assert RecordingReader(again).complete


def test_a_recording_that_begins_late_has_it_in_its_metadata(tmp_path):
    changes, now = [], datetime(2026, 5, 4, 3, 2, 1).astimezone()
    controller = RecordingController(
        RecordSettings(folder=tmp_path), plain_recordings.ABOUT, now_ns, on_change=changes.append, now=lambda: now
    )
    controller.on_frame(plain_recordings.frame(0))
    path = controller.start()
    assert path == tmp_path / "gazecast-20260504-030201.mcap"
    assert controller.start() == path  # it is going already
    controller.on_health(HealthMessage("running", "", {}, {}, {}, 1.0, {"backend": "fake"}))
    controller.on_frame(plain_recordings.frame(1))
    assert controller.stop() == path
    assert controller.stop() is None
    recording = RecordingReader(path)
    assert not recording.about.from_start
    assert recording.about.engine == {"backend": "fake"}
    assert [frame.index for frame in recording.read_frames()] == [1]
    assert changes == [True, False]
    assert controller.start() == tmp_path / "gazecast-20260504-030201-2.mcap"  # within the same second
    controller.stop()
    with pytest.raises(RecordingError, match="exists; give the recording another name"):
        controller.start(path)
    (tmp_path / "typo").touch()
    with pytest.raises(RecordingError, match="typo is no folder"):
        controller.start(tmp_path / "typo")


def test_of_concurrent_commands_the_newest_counts(tmp_path, monkeypatch):
    waiting = []
    late = SimpleNamespace(Thread=lambda target, **how: SimpleNamespace(start=lambda: waiting.append(target)))
    controller = RecordingController(RecordSettings(folder=tmp_path / "page"), plain_recordings.ABOUT, now_ns)
    monkeypatch.setattr(controller_module, "threading", late)
    for on in (True, False) * 20:
        controller.on_command(UserCommand("record", on), FrameResult(plain_recordings.frame(0), None))
    assert len(waiting) == 1  # however often a page asks, one thread waits
    waiting[0]()
    assert controller.path is None
    controller.on_command(UserCommand("record", True), FrameResult(plain_recordings.frame(0), None))
    waiting[0]()
    assert controller.path is not None
    controller.on_command(UserCommand("record", True), FrameResult(plain_recordings.frame(0), None))
    controller.close()
    waiting[-1]()  # which comes after the run has ended
    assert controller.path is None
    assert len(list((tmp_path / "page").iterdir())) == 1


def test_a_removed_file_ends_the_recording_with_the_reason(tmp_path):
    reported, tenths = [], itertools.count()
    controller = RecordingController(PNG, plain_recordings.ABOUT, lambda: next(tenths) * 100_000_000, reported.append)
    path = controller.start(tmp_path / "new")  # a name without an ending is a folder
    assert path.parent == tmp_path / "new"
    shutil.rmtree(path.parent)
    controller.on_frame(plain_recordings.frame(0))
    assert controller.stop() is None
    assert controller.problem() == reported[0]
    assert reported[0].endswith(f"{path}: the file was removed")


CHILD = """
import itertools, mmap, os, struct, sys, time
from pathlib import Path
from realtime.recording.recorder import RecordingThread
from realtime.config.recording import RecordSettings
from realtime.types import Frame
from tests.realtime.recording import plain_recordings
folder, count, parent = Path(sys.argv[1]), int(sys.argv[2]), os.getpid()

for number in range(count):
    if os.fork():
        continue
    with open(folder / f"{number}.progress", "r+b") as file:
        progress = mmap.mmap(file.fileno(), 16)
    image, clock_ns = plain_recordings.frame(number).image, 0
    recorder = RecordingThread(folder / f"{number}.mcap", plain_recordings.ABOUT, RecordSettings(), lambda: clock_ns)
    for index in itertools.count():
        clock_ns = index * 50_000_000
        recorder.put_frame(Frame(image, index, 0.0, clock_ns, clock_ns))
        while recorder._items:
            time.sleep(0.0005)
        progress[:] = struct.pack("<qq", index, os.getpid())
        if os.getppid() != parent:
            os._exit(1)
sys.stdin.read()
"""


def test_a_killed_recorder_loses_a_second_at_most(tmp_path):
    """Every file opens and holds all frames up to a second before the kill, by the recorder's clock."""
    kills, random_ = 20, random.Random(5)
    for number in range(kills):
        (tmp_path / f"{number}.progress").write_bytes(bytes(16))

    def read_progress(number):
        """Return (index of the last frame that the recorder has taken, process)."""
        return struct.unpack("<qq", (tmp_path / f"{number}.progress").read_bytes())

    with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), str(kills)], stdin=subprocess.PIPE) as parent:
        last_frames = {number: random_.randrange(24, 60) for number in range(kills)}

        def has_killed_all():
            for number, last_frame in list(last_frames.items()):
                index, process = read_progress(number)
                if index >= last_frame:
                    os.kill(process, signal.SIGKILL)
                    del last_frames[number]
            return not last_frames

        eventually(has_killed_all, "frames in every recording")
        parent.stdin.close()
    for number in range(kills):
        recording = RecordingReader(tmp_path / f"{number}.mcap")
        frames = [frame.index for frame in recording.read_frames()]
        assert not recording.complete
        assert frames == list(range(len(frames)))
        assert frames[-1] >= read_progress(number)[0] - 20, f"kill {number}"


def test_without_memory_a_message_is_dropped_or_another_file_begun(tmp_path, monkeypatch):
    """A message that cannot be packed is dropped; one that was written in part ends the file."""
    monkeypatch.setattr(recorder_module, "FLUSH_NS", 0)
    recorder = RecordingThread(tmp_path / "a.mcap", plain_recordings.ABOUT, PNG, now_ns)
    recorder.put_message("health", b"")
    put, failures = RecordingFile.write_message, [MemoryError(), ZstdError("Allocation error : not enough memory")]

    def write(self, topic, log_ns, data):
        put(self, topic, log_ns, data)
        if topic == "mask" and failures:
            raise failures.pop()

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(RecordingFile, "write_message", write)
    with monkeypatch.context() as patched:
        patched.setattr(recorder_module, "pack_sample", fail)
        recorder.put_sample(plain_recordings.sample(1))
    eventually(lambda: recorder.drop_counts == {GAZE: 1}, "a dropped sample")
    for index in range(3):
        recorder.put_message("mask", bytes([index]))
        name = f"a-{index + 2}.mcap" if index < 2 else "a-3.mcap"
        eventually(lambda name=name: recorder.path.name == name, "another file")
    recorder.close()
    assert not recorder.failure
    last = RecordingReader(recorder.path)
    assert [entry.data for entry in last.read_entries(("mask",))] == [bytes([2])]
    assert last.complete
    assert not last.about.from_start
    first = RecordingReader(tmp_path / "a.mcap")
    assert [entry.topic for entry in first.read_entries()] == ["health"]
    assert not first.complete
