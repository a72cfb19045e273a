"""Tests frames and gaze of a simulated Neon over real sockets, and what its faults make of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calibration.gaze.view import CameraView, FlatView
from realtime.commands.calibrate.gaze import load_view
from realtime.errors import SourceError
from realtime.session.inputs import open_frames, open_gaze
from realtime.simulation import clip_player
from realtime.simulation.neon.companion_device import CompanionFaults, SimulatedNeon
from realtime.sources.base import CameraSource
from realtime.sources.neon import companion_api
from realtime.types import Frame, GazeSample, SourceStatus
from tests.realtime.sources.video.clips import make_folder, number_in
from tests.realtime.waiting import eventually, find_threads

SIZE, COUNT = (320, 240), 24
Simulate = Callable[..., SimulatedNeon]


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulate]:
    monkeypatch.setattr(clip_player, "_MAX_LATE_S", 1000.0)  # a busy machine does not shift the timeline
    running: list[SimulatedNeon] = []

    def begin(faults: CompanionFaults | None = None, **options: Any) -> SimulatedNeon:
        folder = tmp_path / "clip"
        options = {"size": SIZE, "port": 0, "faults": faults, **options}
        device = SimulatedNeon(folder if folder.exists() else make_folder(folder, COUNT, SIZE), **options)
        running.append(device)
        device.start()
        return device

    yield begin
    for device in running:
        device.stop()


class Receiver:
    """Collects what the sources of a device give, and their states."""

    def __init__(self, spec: str, *, frames: bool = True, gaze: bool = True) -> None:
        self.frames: list[Frame] = []
        self.samples: list[GazeSample] = []
        self.states: list[SourceStatus] = []
        self.frame_source = open_frames(spec)
        self.gaze_source = open_gaze(spec, self.frame_source)
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

    def begin(device: SimulatedNeon | str, **options: Any) -> Receiver:
        spec = device if isinstance(device, str) else f"neon://127.0.0.1:{device.port}"
        opened.append(Receiver(spec, **options))
        return opened[-1]

    yield begin
    for receiver in opened:
        receiver.stop()


def clock_errors_ms(device: SimulatedNeon, items: list[Any]) -> list[float]:
    """Errors of the mapped capture times; the device runs on this computer, so that the true ones are known."""
    return [abs(item.captured_ns / 1e9 - (item.timestamp - device.epoch_s)) * 1e3 for item in items]


def test_frames_and_gaze_come_with_capture_times_on_the_host(simulate: Simulate, receive: Any) -> None:
    device = simulate(CompanionFaults(clock_offset_s=0.25))
    got = receive(device)
    eventually(lambda: len(got.frames) > 20 and len(got.samples) > 300)
    eventually(lambda: max(clock_errors_ms(device, got.frames[-10:])) < 100)
    eventually(lambda: max(clock_errors_ms(device, got.samples[-100:])) < 100)
    assert all(item.captured_ns <= item.received_ns for item in (*got.frames, *got.samples))
    assert {frame.size for frame in got.frames} == {SIZE}
    assert {(sample.unit, sample.confidence) for sample in got.samples} == {("px", 1.0)}
    assert got.frame_source.status().state == got.gaze_source.status().state == "running"
    assert got.gaze_source.status().clock is not None


def test_a_frame_has_its_own_time_not_that_of_the_next(simulate: Simulate, receive: Any) -> None:
    """The painted number of a frame follows from its capture time."""
    got = receive(simulate(), gaze=False)
    eventually(lambda: len(got.frames) > 15)
    first = got.frames[0]
    for frame in got.frames:
        steps = round((frame.timestamp - first.timestamp) * 24)
        assert number_in(frame.image) == (number_in(first.image) + steps) % COUNT


def test_onsets_and_blinks_come_with_the_gaze(simulate: Simulate, receive: Any, tmp_path: Path) -> None:
    got = receive(simulate(blink_every_s=1.0), frames=False)
    eventually(lambda: {s.event.kind for s in got.samples if s.event} == {"saccade", "fixation", "blink"})
    for sample in got.samples:
        if sample.event is not None:
            assert abs(sample.event.start_ns - sample.received_ns) < 10e9
            assert sample.event.kind != "blink" or sample.event.end_ns > sample.event.start_ns


@pytest.mark.parametrize("length", [17, 105, 121])
def test_gaze_of_any_form_is_used(simulate: Simulate, receive: Any, length: int) -> None:
    got = receive(simulate(CompanionFaults(gaze_bytes=length)), frames=False)
    eventually(lambda: len(got.samples) > 50)
    assert all(0 < sample.x < SIZE[0] for sample in got.samples)
    assert not {"truncated", "no position", "out of range"} & got.gaze_source.status().dropped.keys()


def test_lost_packets_damage_frames_which_are_counted_and_not_shown(simulate: Simulate, receive: Any) -> None:
    got = receive(simulate(CompanionFaults(loss=0.1)))
    eventually(lambda: got.frame_source.status().dropped.get("damaged", 0) > 2 and len(got.frames) > 10)
    assert got.frame_source.status().dropped["lost packets"] > 0
    assert got.frame_source.status().state == "running"


def test_a_device_that_comes_late_and_restarts(simulate: Simulate, receive: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    got = receive(f"neon://127.0.0.1:{port}")
    eventually(lambda: {status.reason for status in got.states} >= {
        f"no answer from http://127.0.0.1:{port}; start the Companion app there"
    })  # fmt: skip
    device = simulate(port=port)
    eventually(lambda: len(got.frames) > 5 and len(got.samples) > 50)
    device.go_away()
    eventually(lambda: got.frame_source.status().state == got.gaze_source.status().state == "connecting")
    frames, samples = len(got.frames), len(got.samples)
    device.come_back()
    eventually(lambda: len(got.frames) > frames + 5 and len(got.samples) > samples + 50)
    assert all(frame.received_ns - frame.captured_ns < 1.1e9 for frame in got.frames), "nothing stale is shown"
    captured = [frame.captured_ns for frame in got.frames]
    assert captured == sorted(set(captured))
    assert [frame.index for frame in got.frames] == list(range(len(got.frames)))
    assert got.frame_source.status().state == got.gaze_source.status().state == "running"


def test_the_reason_while_a_restarted_device_is_away_is_steady(simulate: Simulate, receive: Any) -> None:
    device = simulate()
    got = receive(device, gaze=False)
    eventually(lambda: len(got.frames) > 3)
    got.states.clear()
    device.go_away()
    eventually(lambda: got.states)
    threading.Event().wait(1.2)
    assert [status.state for status in got.states if status.state != "running"] == ["connecting"]


def test_a_scene_camera_that_is_unplugged_is_named_while_gaze_goes_on(simulate: Simulate, receive: Any) -> None:
    device = simulate(CompanionFaults(has_scene_camera=False))
    got = receive(device)
    eventually(lambda: len(got.samples) > 50)
    eventually(lambda: "scene camera is not connected" in got.frame_source.status().reason)
    assert got.frame_source.status().state == "waiting"
    device.sensors.add("world")
    eventually(lambda: len(got.frames) > 3)
    assert got.frame_source.status().reason == ""


def test_streams_without_sender_reports_are_explained(simulate: Simulate, receive: Any) -> None:
    got = receive(simulate(CompanionFaults(sends_reports=False)))
    for source in (got.frame_source, got.gaze_source):
        eventually(lambda source=source: "no sender report yet" in source.status().reason)
        assert source.status().state == "waiting"
        assert source.status().dropped["before the first sender report"] > 0
    assert not got.frames
    assert not got.samples


def test_without_time_echo_the_times_of_arrival_are_used(simulate: Simulate, receive: Any) -> None:
    got = receive(simulate(CompanionFaults(has_time_echo=False, clock_offset_s=5.0)))
    eventually(lambda: "no Time Echo" in got.frame_source.status().reason)
    assert got.frame_source.status().state == "running"
    assert all(item.captured_ns == item.received_ns for item in (*got.frames, *got.samples))


def test_a_clock_that_is_set_does_not_age_what_is_seen(simulate: Simulate, receive: Any) -> None:
    device = simulate()
    got = receive(device)
    eventually(lambda: len(got.samples) > 300 and len(got.frames) > 20)
    device.set_clock(-30.0)
    eventually(lambda: (clock := got.gaze_source.status().clock) is not None and clock.resets > 0)
    frames, samples = len(got.frames), len(got.samples)
    eventually(lambda: len(got.samples) > samples + 400 and len(got.frames) > frames + 20)
    eventually(lambda: max(clock_errors_ms(device, got.samples[-50:])) < 100)
    eventually(lambda: max(clock_errors_ms(device, got.frames[-5:])) < 100)


def test_a_neon_reports_its_camera_and_an_invisible_none(simulate: Simulate, receive: Any) -> None:
    neon, invisible = receive(simulate()), receive(simulate(CompanionFaults(is_invisible=True)))
    assert isinstance(neon.frame_source, CameraSource)
    eventually(lambda: neon.frame_source.camera_model() is not None)
    camera = neon.frame_source.camera_model()
    assert camera.size == (1600, 1200)
    assert len(camera.coefficients) == 8
    eventually(lambda: len(invisible.samples) > 50 and len(invisible.frames) > 3)
    assert invisible.frame_source.camera_model() is None
    assert all(sample.event is None for sample in invisible.samples)


def test_a_gaze_calibration_uses_the_camera_that_the_device_reports(simulate: Simulate) -> None:
    spec = f"neon://127.0.0.1:{simulate().port}"
    view = load_view(None, (1600, 1200), spec)
    assert isinstance(view, CameraView)
    assert view.camera.fx == pytest.approx(891)
    assert isinstance(load_view(None, (640, 480), spec), FlatView)
    invisible = simulate(CompanionFaults(is_invisible=True))
    assert isinstance(load_view(None, (1600, 1200), f"neon://127.0.0.1:{invisible.port}"), FlatView)


async def _answer_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<p>hello</p>\0\xff$\0\0")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.fixture
def nonsense_port() -> Iterator[int]:
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        server = await asyncio.start_server(_answer_nonsense, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        async with server:
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(60)
    yield ports[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(60)
    loop.close()


def test_a_server_that_is_no_neon_is_named(nonsense_port: int, receive: Any) -> None:
    got = receive(f"neon://127.0.0.1:{nonsense_port}")
    eventually(lambda: "not as a Neon's Companion app does" in got.frame_source.status().reason)
    assert got.frame_source.status().state == "connecting"


def phone(**changes: Any) -> dict[str, Any]:
    return {"model": "Phone", "data": {
        "device_id": "x", "device_name": "x", "ip": "127.0.0.1", "battery_level": 1, "battery_state": "OK",
        "memory": 1, "memory_state": "OK", **changes,
    }}  # fmt: skip


def gaze_sensor(**changes: Any) -> dict[str, Any]:
    data = {"sensor": "gaze", "conn_type": "DIRECT", "connected": True, "ip": "127.0.0.1", "port": 1, **changes}
    return {"model": "Sensor", "data": data}


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, 7, [None], [{"model": "Phone"}], [{"model": "Other", "data": {}}, phone()],
        [phone(time_echo_port=123456), gaze_sensor()], [phone(time_echo_port="x"), gaze_sensor()],
        [phone(ip=None, time_echo_port=1), gaze_sensor(port="x")], [phone(), gaze_sensor(port=99999, ip=7)],
        [phone(), gaze_sensor(protocol="http")], [phone(device_name=None), gaze_sensor(connected="yes", params=[])],
    ],
)  # fmt: skip
def test_a_status_of_nonsense_is_survived_in_silence(
    simulate: Simulate, receive: Any, answer: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    device = simulate()
    describe = device._server.describe
    asked = []
    device._server.describe = lambda host: asked.append(1) or answer  # type: ignore[method-assign,func-returns-value]
    got = receive(device, frames=False)
    eventually(lambda: len(asked) > 1)
    device._server.describe = describe  # type: ignore[method-assign]
    eventually(lambda: len(got.samples) > 20)
    assert got.gaze_source.status().state == "running"
    assert capfd.readouterr() == ("", "")


def test_streams_of_nonsense_are_survived_in_silence(
    simulate: Simulate, receive: Any, nonsense_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    device = simulate()
    device._server.rtsp_port = nonsense_port
    got = receive(device)
    eventually(lambda: "its gaze does not come" in got.gaze_source.status().reason)
    eventually(lambda: "its scene camera does not come" in got.frame_source.status().reason)
    assert capfd.readouterr() == ("", "")


def test_threads_end_with_stop(simulate: Simulate, receive: Any) -> None:
    before = find_threads()
    device = simulate()
    got = receive(device)
    eventually(lambda: got.frames and got.samples)
    got.stop()
    device.stop()
    eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("neon") and t not in before])


# -- names and discovery ----------------------------------------------------------------------------------------------


def found(*present: tuple[str, str, int]) -> Any:
    class Network(contextlib.AsyncExitStack):
        devices = tuple(
            SimpleNamespace(name=f"PI monitor:{name}:id._http._tcp.local.", addresses=[host], port=port)
            for name, host, port in present
        )

        async def wait_for_new_device(self, timeout_seconds: float) -> Any:
            return next(iter(self.devices), None)

    return lambda: SimpleNamespace(Network=Network)


def test_the_only_device_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion_api, "load_client", found(("Anna", "10.0.0.5", 8081), ("Anna", "10.0.0.5", 8081)))
    assert asyncio.run(companion_api.find_address()) == companion_api.CompanionAddress("10.0.0.5", 8081)


def test_of_several_devices_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion_api, "load_client", found(("Ben", "10.0.0.6", 8080), ("Anna", "10.0.0.5", 8080)))
    with pytest.raises(companion_api.DeviceUnavailable) as caught:
        asyncio.run(companion_api.find_address())
    assert str(caught.value) == (
        "2 devices found; name one of them: neon://10.0.0.5:8080 (Anna), neon://10.0.0.6:8080 (Ben)"
    )


def test_no_device_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion_api, "load_client", found())
    with pytest.raises(companion_api.DeviceUnavailable, match="no Neon found in this network"):
        asyncio.run(companion_api.find_address())


@pytest.mark.parametrize("spec", ["neon://", "neon:", "NEON:"])
def test_names_without_a_host_look_for_the_device(spec: str) -> None:
    assert open_frames(spec).status().reason == "looking for a Neon in the network"


@pytest.mark.parametrize("spec", ["neon://127.0.0.1:x", "neon://127.0.0.1/path", "neon://127.0.0.1:99999"])
def test_a_bad_address_is_named(spec: str) -> None:
    with pytest.raises(SourceError, match="is no device; expected neon://HOST:PORT"):
        open_gaze(spec)


def test_the_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pupil_labs.realtime_api", None)
    with pytest.raises(SourceError, match=r"pip install -e '\.\[neon\]'"):
        open_frames("neon:")
