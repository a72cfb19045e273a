"""Tests the simulated Neon with Pupil Labs' own client on the other side."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from realtime.commands.main import main
from realtime.errors import SourceError
from realtime.simulation import clip_player
from realtime.simulation.neon.companion_device import CompanionFaults, SimulatedNeon
from realtime.simulation.neon.rtsp_server import packetize_nals
from realtime.simulation.neon.scene_video import SceneEncoder, find_parameter_sets, split_nals
from realtime.simulation.wandering_gaze import GazeAim
from realtime.sources.neon import companion_api
from tests.realtime.sources.video.clips import make_folder, number_in, picture
from tests.realtime.waiting import eventually

client = pytest.importorskip("pupil_labs.realtime_api")
time_echo = pytest.importorskip("pupil_labs.realtime_api.time_echo")
SIZE, PATIENCE_S = (320, 240), 60


@pytest.fixture(autouse=True)
def system_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver that aiohttp prefers leaves a thread behind, for which the end of the tests would wait."""
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", aiohttp.ThreadedResolver)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "clip", 24, SIZE)


@pytest.fixture
def device(clip: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedNeon]:
    monkeypatch.setattr(clip_player, "_MAX_LATE_S", 1000.0)  # a busy machine does not shift the timeline
    simulated = SimulatedNeon(
        clip, port=0, size=SIZE, blink_every_s=1.0, faults=CompanionFaults(clock_offset_s=0.25, gaze_bytes=65)
    )
    simulated.start()
    yield simulated
    simulated.stop()


async def take(items: AsyncIterator[Any], count: int) -> list[Any]:
    taken = []
    async for item in items:
        taken.append(item)
        if len(taken) == count:
            break
    return taken


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, PATIENCE_S))


async def with_status(device: SimulatedNeon) -> Any:
    async with client.Device("127.0.0.1", device.port) as connected:
        return await connected.get_status()


def test_the_official_client_reads_its_status_camera_and_clock(device: SimulatedNeon) -> None:
    async def ask() -> tuple[Any, Any, Any]:
        async with client.Device("127.0.0.1", device.port) as connected:
            status, camera = await connected.get_status(), await connected.get_calibration()
            first = await anext(aiter(connected.status_updates()))
        echo = time_echo.TimeOffsetEstimator(status.phone.ip, status.phone.time_echo_port)
        return status, camera, (first, await echo.estimate(20))

    status, camera, (first, estimates) = run(ask())
    assert status.phone.device_name == first.device_name == "Simulated Neon"
    assert status.hardware.version == "2"
    assert all(
        sensor.connected
        for sensor in (
            status.direct_gaze_sensor(), status.direct_world_sensor(), status.direct_eye_events_sensor()
        )
    )  # fmt: skip
    assert camera.serial == "SIMUL1"
    assert 800 < camera.scene_camera_matrix[0, 0] < 1000
    assert estimates.time_offset_ms.median == pytest.approx(-250, abs=100)


def test_the_official_client_receives_gaze(device: SimulatedNeon) -> None:
    async def receive() -> list[Any]:
        status = await with_status(device)
        return await take(client.receive_gaze_data(status.direct_gaze_sensor().url), 50)

    samples = run(receive())
    assert {type(sample).__name__ for sample in samples} == {"EyestateGazeData"}
    assert all(sample.worn and 0 <= sample.x <= SIZE[0] for sample in samples)
    times = [sample.timestamp_unix_seconds for sample in samples]
    assert times == sorted(times)
    assert abs(times[-1] - time.time() - 0.25) < 30


def test_the_official_client_receives_frames(device: SimulatedNeon) -> None:
    async def receive() -> list[Any]:
        status = await with_status(device)
        return await take(client.receive_video_frames(status.direct_world_sensor().url), 10)

    frames = run(receive())
    numbers = [number_in(frame.bgr_buffer()) for frame in frames]
    assert frames[0].bgr_buffer().shape == (SIZE[1], SIZE[0], 3)
    for (one, frame), (other, following) in itertools.pairwise(zip(numbers, frames, strict=True)):
        steps = round((following.timestamp_unix_seconds - frame.timestamp_unix_seconds) * 24)
        assert other == (one + steps) % 24


def test_the_official_client_receives_events(device: SimulatedNeon) -> None:
    async def receive() -> set[str]:
        status = await with_status(device)
        kinds: set[str] = set()
        async for event in client.receive_eye_events_data(status.direct_eye_events_sensor().url):
            kinds.add(type(event).__name__)
            if len(kinds) == 3:
                break
        return kinds

    assert run(receive()) == {"BlinkEventData", "FixationOnsetEventData", "FixationEventData"}


def has_multicast() -> bool:
    """Whether loopback carries multicast, which containers may forbid."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        try:
            receiver.bind(("", 0))
            member = socket.inet_aton("224.0.0.251") + socket.inet_aton("127.0.0.1")
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            receiver.settimeout(2)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            sender.sendto(b"x", ("224.0.0.251", receiver.getsockname()[1]))
            return receiver.recv(1) == b"x"
        except OSError:
            return False


@pytest.mark.skipif(not has_multicast(), reason="no multicast on the loopback interface")
def test_it_is_found_in_the_network(clip: Path) -> None:
    device = SimulatedNeon(clip, port=0, size=SIZE, announce=True)
    device.start()
    wanted = f"neon://127.0.0.1:{device.port}"

    def finds() -> bool:
        try:
            return str(run(companion_api.find_address())) == wanted
        except companion_api.DeviceUnavailable as error:  # others may run in this network
            return wanted in str(error)

    try:
        eventually(finds)
    finally:
        device.stop()


def test_frames_are_cut_into_packets_that_an_official_parser_joins() -> None:
    from pupil_labs.realtime_api.streaming.nal_unit import extract_payload_from_nal_unit

    encoded = SceneEncoder(24.0, (640, 480)).encode(0.0, picture(3, (640, 480)), GazeAim(1.0, 2.0, True))
    nals = [*split_nals(encoded.picture), bytes([0x65]) + bytes(range(1, 200)) * 40]
    joined = b"".join(bytes(extract_payload_from_nal_unit(payload)) for payload in packetize_nals(nals))
    assert joined == b"".join(b"\0\0\0\1" + nal for nal in nals)
    assert len(find_parameter_sets(encoded.picture)) == 2
    assert all(len(payload) < 1400 for payload in packetize_nals(nals))


def test_pictures_are_fitted_and_the_aim_moves_with_them() -> None:
    encoded = SceneEncoder(24.0, (1600, 1200)).encode(0.0, picture(3, (200, 100)), GazeAim(100.0, 50.0, True))
    assert encoded.size == (1600, 1200)
    assert (encoded.aim.x, encoded.aim.y) == (800.0, 600.0)


@pytest.mark.parametrize("faults", [{"loss": 1.0}, {"loss": -0.1}, {"restart_s": -1.0}, {"gaze_bytes": 3}])
def test_impossible_faults_are_refused(faults: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="loss must be"):
        CompanionFaults(**faults)


def test_a_taken_port_is_named(clip: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SourceError, match="choose another --port"):
        SimulatedNeon(clip, port=taken.getsockname()[1], size=SIZE)


@pytest.mark.parametrize(
    "flags",
    [
        ("--loss", "0.1"),
        ("--announce",),
        ("--neon", "--lsl", "x"),
        ("--neon", "--loss", "2"),
        ("--neon", "--rate", "0"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    clip: Path, flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--video", str(clip), *flags]) != 0
    assert capsys.readouterr().err
