"""Frames and gaze of simulated Tobii Pro Glasses 3 over real sockets, and what their faults make of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import SourceError
from realtime.session.inputs import open_frames, open_gaze
from realtime.simulation.tobii.glasses import GlassesFaults, SimulatedGlasses
from realtime.sources.tobii import connection, control, discovery
from realtime.types import Frame, GazeSample, SourceStatus
from tests.realtime.sources.video.clips import make_folder, number_in
from tests.realtime.waiting import eventually, promptly

SIZE, COUNT = (320, 240), 24
Simulate = Callable[..., SimulatedGlasses]


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Simulate]:
    running: list[SimulatedGlasses] = []

    def begin(faults: GlassesFaults | None = None, **options: Any) -> SimulatedGlasses:
        folder = tmp_path / "clip"
        options = {"size": SIZE, "port": 0, "faults": faults, "blink_every_s": 0, **options}
        device = SimulatedGlasses(folder if folder.exists() else make_folder(folder, COUNT, SIZE), **options)
        running.append(device)
        device.start()
        return device

    yield begin
    for device in running:
        device.stop()


class Receiver:
    """Collects what the sources give, and their states."""

    def __init__(self, device: SimulatedGlasses, *, frames: bool = True, gaze: bool = True) -> None:
        self.frames: list[Frame] = []
        self.samples: list[GazeSample] = []
        self.states: list[SourceStatus] = []
        spec = f"tobii://127.0.0.1:{device.port}"
        self.frame_source, self.gaze_source = open_frames(spec), open_gaze(spec)
        if frames:
            self.frame_source.start(self.frames.append, self.states.append)
        if gaze:
            self.gaze_source.start(self.samples.append, self.states.append)

    def stop(self) -> None:
        self.frame_source.stop()
        self.gaze_source.stop()


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    opened: list[Receiver] = []

    def begin(device: SimulatedGlasses, **options: Any) -> Receiver:
        opened.append(Receiver(device, **options))
        return opened[-1]

    yield begin
    for receiver in opened:
        receiver.stop()


def test_frames_and_gaze_are_on_one_clock(simulate: Simulate, receive: Any) -> None:
    """The clock of the glasses is wrong, and pictures are late by their encoder; gaze tells the capture of both."""
    device = simulate(GlassesFaults(clock_offset_s=-3600.25, encoder_s=0.2))
    got = receive(device)
    eventually(lambda: len(got.frames) > 20 and len(got.samples) > 100)
    epoch_s = device.clock_s() - time.monotonic()

    def is_close(item: Frame | GazeSample) -> bool:
        return abs(item.captured_ns / 1e9 - (item.timestamp - epoch_s)) < 0.1

    eventually(lambda: is_close(got.frames[-1]) and is_close(got.samples[-1]))
    assert all(item.captured_ns <= item.received_ns for item in (*got.frames, *got.samples))
    assert got.frames[-1].received_ns - got.frames[-1].captured_ns > 100_000_000
    assert {frame.size for frame in got.frames} == {SIZE}
    assert {(sample.unit, sample.confidence) for sample in got.samples} == {("norm", 1.0)}
    assert got.frame_source.status().state == got.gaze_source.status().state == "running"


def test_a_frame_has_its_own_time(simulate: Simulate, receive: Any) -> None:
    """The painted number of a frame follows from its capture time."""
    got = receive(simulate(), gaze=False)
    eventually(lambda: len(got.frames) > 15)
    first = got.frames[0]
    for frame in got.frames:
        steps = round((frame.timestamp - first.timestamp) * 24)
        assert number_in(frame.image) == (number_in(first.image) + steps) % COUNT


def test_glasses_that_send_over_udp_only(simulate: Simulate, receive: Any) -> None:
    device = simulate(GlassesFaults(is_udp=True))
    got = receive(device)
    eventually(lambda: len(got.frames) > 10 and len(got.samples) > 30)
    assert got.frame_source.status().state == got.gaze_source.status().state == "running"
    device.go_away()
    eventually(lambda: "no answer from" in got.gaze_source.status().reason)
    before = len(got.samples)
    device.come_back()
    eventually(lambda: len(got.samples) > before + 5)


def test_blinks_have_the_last_position_without_confidence(simulate: Simulate, receive: Any) -> None:
    got = receive(simulate(blink_every_s=0.5), frames=False)
    eventually(lambda: {sample.confidence for sample in got.samples} == {0.0, 1.0})
    for before, sample in zip(got.samples, got.samples[1:], strict=False):
        assert sample.confidence or (sample.x, sample.y) == (before.x, before.y)


def test_nonsense_is_counted_and_ends_nothing(simulate: Simulate, receive: Any) -> None:
    device = simulate()
    got = receive(device, frames=False)
    eventually(lambda: got.samples)
    for payload in (b"", b"\xff\x00", b'{"gaze2d":[NaN,1]}', b'{"gaze2d":"?"}', b"[" * 5000):
        device.send_data(payload)

    def counted() -> bool:
        dropped = got.gaze_source.status().dropped
        return {"no JSON", "position", "gaze2d is no pair of numbers"} <= set(dropped)

    eventually(counted)
    before = len(got.samples)
    eventually(lambda: len(got.samples) > before)


def test_glasses_that_leave_and_come_back(simulate: Simulate, receive: Any) -> None:
    device = simulate()
    got = receive(device)
    eventually(lambda: got.frames and got.samples)
    device.go_away()
    for source in (got.frame_source, got.gaze_source):
        eventually(lambda source=source: source.status().state == "connecting")  # type: ignore[misc]
        eventually(lambda source=source: "no answer from tobii://127.0.0.1" in source.status().reason)  # type: ignore[misc]
    frames, samples = len(got.frames), len(got.samples)
    device.come_back()
    eventually(lambda: len(got.frames) > frames + 5 and len(got.samples) > samples + 5)
    indices = [frame.index for frame in got.frames]
    assert indices == sorted(set(indices))
    assert all(a.captured_ns < b.captured_ns for a, b in zip(got.frames, got.frames[1:], strict=False))


@pytest.mark.parametrize(
    ("is_plugged", "reason"),
    [
        (True, "TG03B-SIMULATED (firmware 1.29.1) answers; are the glasses worn"),
        (False, "is not connected; plug it in"),
    ],
)
def test_glasses_that_fall_silent_are_asked_why(
    simulate: Simulate, receive: Any, monkeypatch: pytest.MonkeyPatch, is_plugged: bool, reason: str
) -> None:
    device = simulate(control_port=0)
    monkeypatch.setattr(control, "PORT", device.control_port)
    monkeypatch.setattr(control, "ANSWER_S", 60.0)
    device.control.is_head_unit_connected = is_plugged
    got = receive(device, frames=False)
    eventually(lambda: got.samples)
    device.is_gaze_on = False
    eventually(lambda: got.gaze_source.status().state == "waiting")
    found = got.gaze_source.status().reason
    assert "sends no usable gaze: " in found
    assert reason in found
    device.is_gaze_on = True
    eventually(lambda: got.gaze_source.status().state == "running")


def test_silent_glasses_without_control(simulate: Simulate, receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = simulate()
    monkeypatch.setattr(control, "PORT", device.port)  # answers, but is no WebSocket
    got = receive(device, gaze=False)
    eventually(lambda: got.frames)
    device.is_scene_on = device.is_gaze_on = False
    eventually(lambda: got.frame_source.status().state == "waiting")
    assert got.frame_source.status().reason.endswith("sends no usable pictures")


def test_glasses_that_tell_no_time(simulate: Simulate, receive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REPORT_NS", 300_000_000)
    got = receive(simulate(GlassesFaults(sends_reports=False)))
    eventually(lambda: len(got.frames) > 5 and len(got.samples) > 5)
    for source in (got.frame_source, got.gaze_source):
        assert source.status().dropped[connection.NO_REPORT] > 0
        assert "the times of arrival are used" in source.status().reason
    assert all(item.captured_ns == item.received_ns for item in (*got.frames, *got.samples))


def test_glasses_that_are_not_there(simulate: Simulate) -> None:
    device = simulate()
    device.stop()
    source = open_gaze(f"TOBII://127.0.0.1:{device.port}")
    assert source.status().state == "connecting"
    states: list[SourceStatus] = []
    source.start(lambda sample: None, states.append)
    eventually(lambda: states and "switch the glasses on" in states[-1].reason)
    with promptly():
        source.stop()
        source.stop()
    assert len({state.reason for state in states}) == 1


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, "no Tobii Pro Glasses 3 found in this network"),
        (
            {"TG03B-1": "10.0.0.1", "TG03B-2": "10.0.0.2"},
            "2 glasses found; name one of them: tobii://10.0.0.1 (TG03B-1)",
        ),
    ],
)
def test_the_only_glasses_in_the_network(monkeypatch: pytest.MonkeyPatch, found: dict[str, str], reason: str) -> None:
    monkeypatch.setattr(discovery, "list_glasses", lambda stop: found)
    source = open_frames("tobii:")
    source.start(lambda frame: None)
    eventually(lambda: reason in source.status().reason)
    source.stop()


def test_glasses_found_by_their_service(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    device = simulate()
    monkeypatch.setattr(discovery, "list_glasses", lambda stop: {"TG03B-1": "127.0.0.1"})
    monkeypatch.setattr(connection, "DEFAULT_PORT", device.port)
    source, samples = open_gaze("tobii:"), []
    source.start(samples.append)
    eventually(lambda: samples)
    source.stop()


@pytest.mark.parametrize("spec", ["tobii://", "tobii:"])
def test_without_zeroconf_the_glasses_must_be_named(monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    monkeypatch.setattr("realtime.session.tobii_input.has_discovery", lambda: False)
    with pytest.raises(SourceError, match=r"pip install -e '.\[tobii\]', or name tobii://HOST"):
        open_frames(spec)


@pytest.mark.parametrize("spec", ["tobii://h:0", "tobii://127.0.0.1/live", "tobii://a b"])
def test_addresses_that_are_none(spec: str) -> None:
    with pytest.raises(SourceError, match="expected tobii://HOST:PORT"):
        open_gaze(spec)
