"""The device source against the device in software, a hostile one, and one that comes and goes; over real sockets."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import msgpack
import numpy as np
import pytest

from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.pupil import PupilServer
from realtime.comms.sockets.request_reply import RequestSocket
from realtime.errors import SourceError
from realtime.infra.frame_pacing import PendingFrame
from realtime.simulation.device import SimulatedTracker
from realtime.sources.pupil import connection
from realtime.sources.pupil.device_sources import PupilDepth, PupilFrames, PupilGaze
from realtime.sources.pupil.frame_formats import FormatRequests
from realtime.types import Frame, GazeSample, SourceStatus
from tests.realtime.sources.pupil.test_messages import BAD_FRAMES, BAD_GAZE, BAD_MAPS, JPEG, frame, gaze
from tests.realtime.sources.video.clips import make_folder, number_in, picture
from tests.realtime.waiting import eventually, find_threads

HOST = "127.0.0.1"


class Device:
    """A device whose every answer and message a test decides."""

    def __init__(self, port: int = 0) -> None:
        self.server = PupilServer(HOST, port)
        self.port = self.server.port
        self.asked: list[str] = []
        self.formats: list[str] = []
        self.answers: dict[str, str] = {}
        self.epoch_s = 1000.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def clock_s(self) -> float:
        return time.monotonic() + self.epoch_s

    def _run(self) -> None:
        while not self._stop.is_set():
            self.server.serve_request(self._reply, 0.02)

    def _reply(self, parts: list[bytes]) -> str:
        request = parts[0].decode()
        self.asked.append(request)
        if request.startswith("notify."):
            self.formats.append(msgpack.unpackb(parts[1]).get("format", ""))
        fixed = {"SUB_PORT": str(self.server.publish_port), "t": repr(self.clock_s())}
        return self.answers.get(request, fixed.get(request, "Unknown command."))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(60)
        self.server.close()


@contextmanager
def device(port: int = 0) -> Iterator[Device]:
    opened = Device(port)
    try:
        yield opened
    finally:
        opened.close()


class Eyes:
    """A gaze source and what it gave."""

    def __init__(self, port: int) -> None:
        self.samples: list[GazeSample] = []
        self.events: list[SourceStatus] = []
        self.source = PupilGaze(HOST, port)
        self.source.start(self.samples.append, self.events.append)

    def sees(self, opened: Device, **changes: object) -> GazeSample:
        """Send a gaze sample repeatedly until one arrives (a subscriber joins slowly)."""
        before = len(self.samples)

        def sent() -> bool:
            opened.server.send(gaze(timestamp=opened.clock_s(), **changes))
            threading.Event().wait(0.003)
            return len(self.samples) > before

        eventually(sent)
        return self.samples[-1]


@pytest.fixture
def eyes() -> Iterator[Callable[[int], Eyes]]:
    opened: list[Eyes] = []

    def open_at(port: int) -> Eyes:
        opened.append(Eyes(port))
        return opened[-1]

    yield open_at
    for each in opened:
        each.source.stop()


@pytest.fixture
def frames() -> Iterator[Callable[..., tuple[PupilFrames, list[Frame]]]]:
    opened: list[PupilFrames] = []

    def open_at(port: int, on_frame: Callable[[Frame], None] | None = None) -> tuple[PupilFrames, list[Frame]]:
        got: list[Frame] = []
        source = PupilFrames(HOST, port)
        opened.append(source)
        source.start(on_frame or got.append)
        return source, got

    yield open_at
    for source in opened:
        source.stop()


def test_frames_and_gaze_of_the_simulator(
    tmp_path: Path, eyes: Callable[[int], Eyes], frames: Callable[..., tuple[PupilFrames, list[Frame]]]
) -> None:
    trace = tmp_path / "gaze.csv"
    trace.write_text("timestamp,x,y\n" + "".join(f"{i / 100},16,12\n" for i in range(100)))
    simulator = SimulatedTracker(make_folder(tmp_path / "clip", 24), trace, port=0, blink_every_s=0)
    simulator.start()
    source, got = frames(simulator.port)
    gazer = eyes(simulator.port)
    eventually(lambda: len(got) > 24 and len(gazer.samples) > 100)

    def latency_ms() -> float:
        return float(np.median([(s.received_ns - s.captured_ns) / 1e6 for s in gazer.samples[-50:]]))

    eventually(lambda: latency_ms() < 500)  # a clock that is wrong is off by seconds
    for each in (source, gazer.source):
        eventually(lambda each=each: clock_error_s(each.status(), simulator) < 0.01)  # type: ignore[misc]
        assert each.status().state == "running"
    source.stop()
    gazer.source.stop()
    lost = sum(source.status().dropped.values())  # by a machine that is too busy for them
    assert len(got) + lost == got[-1].index - got[0].index + 1
    assert set(source.status().dropped) <= {"replaced"}
    assert [frame.index for frame in got] == sorted({frame.index for frame in got})
    assert all(number_in(frame.image) == frame.index % 24 for frame in got)
    assert got[0].size == (64, 48)
    assert all(s.to_px((64, 48)) == pytest.approx((16, 12)) and s.confidence == 1 for s in gazer.samples)
    assert gazer.source.status().dropped == {}
    assert all(s.received_ns >= s.captured_ns for s in gazer.samples)
    simulator.stop()


def clock_error_s(status: SourceStatus, simulator: SimulatedTracker) -> float:
    """Measure the error of the source's estimate of the simulator's clock; infinite before there is one."""
    if status.clock is None:
        return float("inf")
    return abs(status.clock.offset_s - (simulator.clock_s() - time.monotonic()))


def test_captured_time_is_the_devices_not_the_arrival(eyes: Callable[[int], Eyes]) -> None:
    with device() as opened:
        gazer = eyes(opened.port)
        gazer.sees(opened)
        eventually(lambda: gazer.source.status().clock is not None)

        def has_capture_time() -> bool:
            """Send an old sample; a busy machine may delay it so that the source doubts the device's clock."""
            before = len(gazer.samples)
            taken_s = opened.clock_s()
            opened.server.send(gaze(timestamp=taken_s - 0.15))
            eventually(lambda: len(gazer.samples) > before)
            clock, sample = gazer.source.status().clock, gazer.samples[before]
            assert clock is not None
            assert sample.timestamp == taken_s - 0.15
            captured_s = taken_s - opened.epoch_s - 0.15
            return abs(sample.captured_ns - captured_s * 1e9) < clock.uncertainty_ns + 1_000_000

        eventually(has_capture_time)


def test_device_that_starts_late(eyes: Callable[[int], Eyes]) -> None:
    with device() as opened:
        port = opened.port
    gazer = eyes(port)
    eventually(lambda: "no answer" in gazer.source.status().reason)
    assert gazer.source.status().state == "connecting"
    with device(port) as opened:
        gazer.sees(opened)
        assert gazer.source.status().state == "running"
    assert [event.state for event in gazer.events] == ["connecting", "running"]


def test_device_that_restarts_on_the_same_port_with_another_feed(eyes: Callable[[int], Eyes]) -> None:
    gazer = None
    feeds, port = set(), 0
    for _ in range(3):
        with device(port) as opened:
            port = opened.port
            feeds.add(opened.server.publish_port)
            opened.epoch_s = 1000.0 * len(feeds)
            gazer = gazer or eyes(port)
            gazer.sees(opened)
            offset_s = opened.epoch_s
            source = gazer.source
            eventually(
                lambda source=source, offset_s=offset_s: (
                    (clock := source.status().clock) is not None  # type: ignore[misc]
                    and abs(clock.offset_s - offset_s) < 0.1
                )
            )
    assert len(feeds) > 1
    assert gazer is not None
    clock = gazer.source.status().clock
    assert clock is not None
    assert clock.resets == len(feeds) - 1


@pytest.mark.parametrize("set_to_s", [123_456.5, -99_999.5])
def test_clock_set_by_another_client(tmp_path: Path, eyes: Callable[[int], Eyes], set_to_s: float) -> None:
    trace = tmp_path / "gaze.csv"
    trace.write_text("timestamp,x,y\n" + "".join(f"{i / 100},16,12\n" for i in range(100)))
    simulator = SimulatedTracker(make_folder(tmp_path / "clip", 24), trace, port=0)
    simulator.start()
    gazer = eyes(simulator.port)
    eventually(lambda: len(gazer.samples) > 20 and gazer.source.status().clock is not None)
    other = RequestSocket(f"tcp://{HOST}:{simulator.port}", timeout_s=60)
    assert other.request(f"T {set_to_s}") == "Timesync successful."
    other.close()
    eventually(lambda: abs(gazer.samples[-1].timestamp - set_to_s) < 100)
    eventually(lambda: (clock := gazer.source.status().clock) is not None and clock.resets == 1)
    count = len(gazer.samples)
    eventually(lambda: len(gazer.samples) > count + 20)
    # No sample, not even the first after the jump, is taken for one of another hour.
    assert max(abs(s.received_ns - s.captured_ns) for s in gazer.samples) < 60e9
    simulator.stop()


def test_we_never_set_the_devices_clock(
    eyes: Callable[[int], Eyes], frames: Callable[..., tuple[PupilFrames, list[Frame]]]
) -> None:
    with device() as opened:
        gazer = eyes(opened.port)
        frames(opened.port)
        gazer.sees(opened)
        eventually(lambda: "notify.frame_publishing.set_format" in opened.asked)  # no frame came for two seconds
        assert set(opened.asked) == {"SUB_PORT", "t", "notify.frame_publishing.set_format"}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"SUB_PORT": "Unknown command."}, "answers SUB_PORT with 'Unknown command.'; is it a Pupil device?"),
        ({"SUB_PORT": "99999"}, "answers SUB_PORT with '99999'"),
        ({"SUB_PORT": "٣"}, "answers SUB_PORT with"),
        ({"SUB_PORT": "9" * 5000}, "answers SUB_PORT with '9999"),
        ({}, "answers, but sends no usable 'gaze.' messages"),
    ],
)
def test_state_names_the_missing_part(eyes: Callable[[int], Eyes], answers: dict[str, str], reason: str) -> None:
    with device() as opened:
        opened.answers = answers
        gazer = eyes(opened.port)
        eventually(lambda: reason in gazer.source.status().reason)
        assert gazer.source.status().state == ("connecting" if answers else "waiting")


def test_a_device_without_jpeg_is_asked_for_other_formats(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ASK_AFTER_NS", 100_000_000)
    with device() as opened:
        source, got = frames(opened.port)
        eventually(lambda: "jpeg,bgr,gray,jpeg" in ",".join(opened.formats))
        eventually(lambda: "choose the format of the Frame Publisher in Pupil Capture" in source.status().reason)
        eventually(lambda: opened.server.send(frame(bytes(64 * 48 * 3), format="bgr")) is None and len(got) > 0)
        eventually(lambda: source.status().state == "running")


def test_a_pause_asks_for_the_format_that_came_and_for_no_other(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ASK_AFTER_NS", 100_000_000)
    with device() as opened:
        _, got = frames(opened.port)
        eventually(lambda: opened.server.send(frame(bytes(64 * 48 * 3), format="bgr")) is None and len(got) > 0)

        def is_asked_for_again() -> bool:
            if opened.formats and opened.formats[-1] != "bgr":  # on its way, or the device was slow and is new again
                opened.server.send(frame(bytes(64 * 48 * 3), format="bgr"))
            return opened.formats[-3:] == ["bgr"] * 3

        eventually(is_asked_for_again)


def test_depth_never_changes_the_format_of_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ASK_AFTER_NS", 0)
    with device() as opened:
        source = PupilDepth(HOST, opened.port, same_clock=True)
        source.start()
        try:
            eventually(lambda: source.status().state == "waiting")
            assert not opened.formats
        finally:
            source.stop()


def test_formats_are_asked_for_in_turn_the_last_usable_one_first() -> None:
    formats = FormatRequests()
    assert [formats.next_format() for _ in range(4)] == ["jpeg", "bgr", "gray", "jpeg"]
    formats.on_usable("bgr")
    assert [formats.next_format() for _ in range(3)] == ["bgr"] * 3
    formats.on_connect()
    assert [formats.next_format() for _ in range(4)] == ["bgr", "jpeg", "gray", "bgr"]
    formats.on_usable("yuv")
    formats.on_unusable()
    assert [formats.next_format() for _ in range(4)] == ["yuv", "jpeg", "bgr", "gray"]


def test_the_reason_stays_the_same_while_the_values_change(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]],
) -> None:
    with device() as opened:
        source, _ = frames(opened.port)
        numbers = itertools.count()
        eventually(
            lambda: (
                opened.server.send(frame(index=f"number {next(numbers)}")) is None
                and "index must be a whole number" in source.status().reason
            )
        )
        reason, seen = source.status().reason, opened.asked.count("t")
        eventually(lambda: opened.server.send(frame(index="other")) is None and opened.asked.count("t") > seen + 2)
        eventually(lambda: opened.server.send(frame(index="more")) is None and source.status().reason == reason)


def test_index_and_position_of_other_senders_are_read(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]], eyes: Callable[[int], Eyes]
) -> None:
    with device() as opened:
        _, got = frames(opened.port)
        gazer = eyes(opened.port)
        eventually(lambda: opened.server.send(frame(index=7.0)) is None and got)
        eventually(lambda: opened.server.send(gaze(norm_pos=[0.25, 0.25, 0.0])) is None and gazer.samples)
        assert got[0].index == 7
        assert (gazer.samples[0].x, gazer.samples[0].y) == (0.25, 0.75)


def test_a_format_that_cannot_be_used_is_named(frames: Callable[..., tuple[PupilFrames, list[Frame]]]) -> None:
    with device() as opened:
        source, _ = frames(opened.port)
        eventually(
            lambda: (
                opened.server.send(frame(format="h264")) is None
                and "sends no usable 'frame.world' messages: format is 'h264', expected jpeg" in source.status().reason
            )
        )


@pytest.mark.parametrize("behind_s", [0.0, 5000.0])
def test_times_that_stand_still_or_are_of_another_clock_are_reported_and_not_used(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]], behind_s: float
) -> None:
    with device() as opened:
        source, got = frames(opened.port)
        frozen_s = opened.clock_s()
        index = itertools.count()

        def sent() -> bool:
            timestamp = opened.clock_s() - behind_s if behind_s else frozen_s
            opened.server.send(frame(timestamp=timestamp, index=next(index)))
            threading.Event().wait(0.01)
            return "the times of their arrival are used" in source.status().reason

        eventually(sent)
        reason = "s behind the device's clock" if behind_s else "stand still at"
        assert (source.status().state, reason in source.status().reason) == ("running", True)
        before = len(got)
        eventually(lambda: sent() and len(got) > before)
        assert got[-1].captured_ns == got[-1].received_ns


@pytest.mark.parametrize("answer", ["soon", "nan", "1e999", "1e300", "", "9" * 5000])
def test_senseless_time_is_counted_and_gaze_goes_on(eyes: Callable[[int], Eyes], answer: str) -> None:
    with device() as opened:
        opened.answers = {"t": answer}
        gazer = eyes(opened.port)
        sample = gazer.sees(opened)
        assert sample.captured_ns == sample.received_ns
        eventually(lambda: gazer.source.status().dropped.get("clock answer", 0) > 0)
        assert gazer.source.status().clock is None


def test_hostile_gaze_is_counted_by_reason_and_good_gaze_goes_on(eyes: Callable[[int], Eyes]) -> None:
    attacks = [(parts, reason) for parts, reason in BAD_GAZE] + [([b"gaze.", data], why) for data, why in BAD_MAPS]
    with device() as opened:
        gazer = eyes(opened.port)
        gazer.sees(opened)
        for parts, reason in attacks:
            before = gazer.source.status().dropped.get(reason, 0)
            opened.server.send(parts)
            eventually(lambda b=before, r=reason: gazer.source.status().dropped.get(r, 0) == b + 1)  # type: ignore[misc]
        assert gazer.sees(opened).confidence == 0.9
        assert sum(gazer.source.status().dropped.values()) == len(attacks)


def test_hostile_frames_are_counted_by_reason_and_good_frames_go_on(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]],
) -> None:
    attacks = [*BAD_FRAMES, *(([b"frame.world", data, JPEG], why) for data, why in BAD_MAPS)]
    with device() as opened:
        source, got = frames(opened.port)
        eventually(lambda: opened.server.send(frame()) is None and len(got) > 0)
        eventually(lambda: source.status().state == "running")
        known = sum(source.status().dropped.values())
        for parts, reason in attacks:
            before = source.status().dropped.get(reason, 0)
            opened.server.send(parts)
            eventually(lambda b=before, r=reason: source.status().dropped.get(r, 0) >= b + 1)  # type: ignore[misc]
        assert sum(source.status().dropped.values()) - known >= len(attacks)
        count = len(got)
        eventually(lambda: opened.server.send(frame(index=99)) is None and len(got) > count)
        assert got[-1].index == 99
        assert source.status().dropped["lost on the way"] == 99 - 7 - 1


def test_a_frame_that_is_older_than_the_last_is_dropped_and_a_restarted_count_is_not(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]],
) -> None:
    with device() as opened:
        source, got = frames(opened.port)
        at = opened.clock_s()
        eventually(lambda: opened.server.send(frame(index=50, timestamp=at)) is None and len(got) > 0)
        opened.server.send(frame(index=49, timestamp=at - 0.03))
        eventually(lambda: source.status().dropped.get("out of order", 0) == 1)
        eventually(lambda: opened.server.send(frame(index=1, timestamp=at + 1)) is None and got[-1].index == 1)
        eventually(lambda: opened.server.send(frame(index=2, timestamp=at - 900)) is None and got[-1].index == 2)
        assert 49 not in [each.index for each in got]


def test_frames_change_size_and_format(frames: Callable[..., tuple[PupilFrames, list[Frame]]]) -> None:
    grey = picture(3, (32, 20))[:, :, 0]
    big = cv2.imencode(".jpg", picture(4, (320, 200)))[1].tobytes()
    kinds = [
        (frame(index=1), (64, 48), 5),
        (frame(grey.tobytes(), index=2, width=32, height=20, format="gray"), (32, 20), 3),
        (frame(big, index=3, width=320, height=200), (320, 200), 4),
        (frame(picture(6).tobytes(), index=4, format="bgr"), (64, 48), 6),
    ]
    with device() as opened:
        _, got = frames(opened.port)
        for parts, size, number in kinds:
            index = msgpack.unpackb(parts[1])["index"]
            eventually(
                lambda p=parts, i=index: opened.server.send(p) is None and bool(got) and got[-1].index == i  # type: ignore[misc]
            )
            assert got[-1].size == size
            assert number_in(got[-1].image) == number
            assert got[-1].image.shape[2] == 3


def test_consumer_that_is_slow_gets_the_newest_frame(frames: Callable[..., tuple[PupilFrames, list[Frame]]]) -> None:
    go, seen = threading.Event(), []

    def slow(got: Frame) -> None:
        seen.append(got.index)
        go.wait(600)

    with device() as opened:
        source, _ = frames(opened.port, slow)
        eventually(lambda: opened.server.send(frame(index=0)) is None and bool(seen))
        for index in range(1, 4):
            opened.server.send(frame(index=index))
        witness, got = frames(opened.port)
        eventually(lambda: opened.server.send(frame(index=4)) is None and bool(got))
        go.set()
        eventually(lambda: seen[-1] == 4)
        assert source.status().dropped["replaced"] >= 3
        assert len(seen) <= 4
        assert witness.status().state == "running"


def test_a_busy_reader_decodes_what_it_reads_and_what_it_cannot_decode_is_counted(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]],
) -> None:
    with device() as opened:
        source, got = frames(opened.port)
        eventually(lambda: opened.server.send(frame(index=1)) is None and bool(got))
        source.pacing.may_defer = lambda: True
        eventually(lambda: opened.server.send(frame(index=2)) is None and got[-1].index == 2)
        deferred = got[-1]
        assert isinstance(deferred, PendingFrame)
        assert (deferred._decoded, deferred.size) == (None, (64, 48))
        assert number_in(deferred.image) == 5
        eventually(lambda: opened.server.send(frame(JPEG[: len(JPEG) // 2], index=3)) is None and got[-1].index == 3)
        counted = sum(source.status().dropped.values())
        with pytest.raises(SourceError):
            got[-1].image  # noqa: B018 - reading it decodes it
        assert sum(source.status().dropped.values()) > counted
        eventually(lambda: opened.server.send(frame(index=4)) is None and got[-1].index == 4)
        first = next(each for each in got if each.index == 4)
        assert not isinstance(first, PendingFrame)  # until one was decoded, which those after it may find
        source.pacing.admit = lambda: False
        received, count = source.status().received, len(got)
        eventually(lambda: opened.server.send(frame(index=5)) is None and source.status().received > received)
        assert len(got) == count


def test_a_busy_reader_receives_all_gaze(eyes: Callable[[int], Eyes]) -> None:
    with device() as opened:
        mine = eyes(opened.port)
        mine.sees(opened)
        mine.source.pacing.may_defer = lambda: True
        count = len(mine.samples)
        for _ in range(20):
            opened.server.send(gaze(timestamp=opened.clock_s()))
        eventually(lambda: len(mine.samples) >= count + 20)


def test_oversize_frame_is_counted_and_frames_go_on(
    frames: Callable[..., tuple[PupilFrames, list[Frame]]], monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(connection, "MAX_MESSAGE_BYTES", 100_000)
    with device() as opened:
        source, got = frames(opened.port)
        eventually(lambda: opened.server.send(frame()) is None and len(got) > 0)
        opened.server.send(frame(bytes(200_000)))
        eventually(lambda: source.status().dropped.get("oversize", 0) == 1)
        count = len(got)
        eventually(lambda: opened.server.send(frame()) is None and len(got) > count)


def test_consumer_that_raises_is_named_in_the_state() -> None:
    def broken(sample: GazeSample) -> None:
        raise ZeroDivisionError("mine")

    with device() as opened:
        source = PupilGaze(HOST, opened.port)
        source.start(broken)
        eventually(lambda: opened.server.send(gaze()) is None and source.status().state == "failed")
        assert "ZeroDivisionError: mine" in source.status().reason
        source.stop()


def test_stop_ends_all_threads_without_a_device() -> None:
    before = find_threads()
    publisher = PublisherSocket(f"tcp://{HOST}:0")  # a port that is held, where no remote answers
    source = PupilFrames(HOST, int(publisher.endpoint.rpartition(":")[2]))
    source.start(lambda frame: None)
    eventually(lambda: "no answer" in source.status().reason)
    source.stop()
    source.stop()
    eventually(lambda: find_threads() <= before, "the end of all threads")
    publisher.close()
