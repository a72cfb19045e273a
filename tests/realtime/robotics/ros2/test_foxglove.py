"""Foxglove's server, as a WebSocket client that only knows the protocol finds it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from realtime.comms.envelope import pack
from realtime.errors import Ros2Error, TransportError
from realtime.pipeline.observers import FrameResult
from realtime.robotics.ros2 import message_types
from realtime.robotics.ros2.foxglove import FoxgloveServer, parse_host_port
from realtime.robotics.ros2.topics import TOPICS, name_ros_topic
from realtime.types import Frame
from tests.realtime.robotics.ros2.cdr_reader import CAMERA, FRAME_ID, SIZE, WALL_NS, captured_ns, mask, solid
from tests.realtime.waiting import eventually

pytest.importorskip("rosbags", reason="ROS 2 messages need rosbags: pip install -e '.[robotics]'")
pytest.importorskip("foxglove", reason="Foxglove's server needs foxglove-sdk: pip install -e '.[robotics]'")

NAMES = {name_ros_topic("eyes", topic): topic for topic in TOPICS}


def shown(index: int, size: tuple[int, int] = SIZE) -> FrameResult:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, : 10 + 5 * index] = (30 * index, 120, 200)
    at_ns = captured_ns(index)
    return FrameResult(Frame(image, index, index / 30, at_ns, at_ns + 4_000_000), mask(index))


def space(index: int) -> bytes:
    return pack({"v": 1, "stream": "eyes", "seq": index, "published_ns": 0, **solid(index).to_fields()})


@pytest.fixture
def server() -> Iterator[FoxgloveServer]:
    server = FoxgloveServer("127.0.0.1:0", "eyes", WALL_NS, camera=CAMERA, camera_frame=FRAME_ID, jpeg_quality=95)
    yield server
    server.close()


class Client:
    """Speaks foxglove.sdk.v1, https://github.com/foxglove/ws-protocol; CDR is decoded by rosbags."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self.channels = socket, {}
        self._topics: dict[int, str] = {}

    async def subscribe(self, *topics: str) -> None:
        while self.channels.keys() < set(NAMES):
            said = json.loads(await self._socket.receive_str(timeout=60))
            self.channels.update({channel["topic"]: channel for channel in said.get("channels", [])})
        wanted = [
            {"id": 100 + n, "channelId": self.channels[name_ros_topic("eyes", t)]["id"]} for n, t in enumerate(topics)
        ]
        self._topics = {100 + number: topic for number, topic in enumerate(topics)}
        await self._socket.send_json({"op": "subscribe", "subscriptions": wanted})

    async def receive(self) -> tuple[str, Any]:
        data = await self._socket.receive_bytes(timeout=60)
        code, subscription, _ = struct.unpack_from("<BIQ", data)
        assert code == 1
        topic = self._topics[subscription]
        return topic, message_types.load_types().deserialize_cdr(data[13:], TOPICS[topic])


def talk(server: FoxgloveServer, dialogue: Callable[[Client], Any]) -> None:
    async def run() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(server.address, protocols=["foxglove.sdk.v1"], max_msg_size=0) as socket,
        ):
            assert socket.protocol == "foxglove.sdk.v1"
            await dialogue(Client(socket))

    asyncio.run(run())


async def wanted(server: FoxgloveServer, *topics: str) -> None:
    """Subscriptions take a moment to arrive."""
    await asyncio.to_thread(eventually, lambda: all(map(server._is_wanted, topics)), "subscribed")


def can_serve(port: int) -> bool:
    try:
        FoxgloveServer(f"127.0.0.1:{port}", "eyes", WALL_NS).close()
    except TransportError:
        return False
    return True


def test_a_client_gets_every_topic_with_the_frames_stamp(server: FoxgloveServer) -> None:
    async def dialogue(client: Client) -> None:
        await client.subscribe(*TOPICS)
        await wanted(server, *TOPICS)
        for name, channel in client.channels.items():
            assert (channel["encoding"], channel["schemaEncoding"]) == ("cdr", "ros2msg")
            kind = TOPICS[NAMES[name]]
            assert (channel["schemaName"], channel["schema"]) == (kind, message_types.definition(kind))
        server.on_mask(shown(2))
        server.on_message("object3d", space(2))
        server.on_message("health", b"is not for it")
        got = dict([await client.receive() for _ in TOPICS])
        assert got.keys() == TOPICS.keys()
        for topic, message in got.items():
            header = message.transforms[0].header if topic == "/tf" else message.header
            assert header.stamp.sec * 10**9 + header.stamp.nanosec == captured_ns(2) + WALL_NS
            assert header.frame_id == ("base_link" if topic == "/tf" else FRAME_ID)
        pixels = got["mask"].data.reshape(SIZE[::-1])
        np.testing.assert_array_equal(pixels, mask(2).mask * np.uint8(255))
        np.testing.assert_array_equal(got["object/points"].data.view("<f4").reshape(-1, 3), solid(2).points)
        image = cv2.imdecode(got["image/compressed"].data, cv2.IMREAD_COLOR)
        assert np.abs(image.astype(int) - shown(2).frame.image).mean() < 3

    talk(server, dialogue)
    assert not server.drop_counts()
    assert server.problem() == ""


def test_a_jpeg_goes_on_as_it_came_and_nobody_gets_what_he_did_not_ask_for(server: FoxgloveServer) -> None:
    frame = Frame(shown(0).frame.image, 0, 0.0, captured_ns(0), captured_ns(0), b"\xff\xd8 as it came")

    async def dialogue(client: Client) -> None:
        await client.subscribe("image/compressed", "detections_2d")
        await wanted(server, "image/compressed", "detections_2d")
        server.on_mask(FrameResult(frame, mask(0)))
        assert bytes((await client.receive())[1].data) == frame.jpeg
        assert (await client.receive())[0] == "detections_2d"
        server.on_mask(shown(1))
        assert (await client.receive())[0] == "image/compressed"

    talk(server, dialogue)


def test_a_client_that_does_not_read_delays_neither_the_run_nor_the_end(server: FoxgloveServer) -> None:
    big = (1280, 720)

    async def dialogue(client: Client) -> None:
        await client.subscribe("mask")
        await wanted(server, "mask")
        first = shown(0, big)
        frame = dataclasses.replace(first.result.frame, width=big[0], height=big[1])
        message = dataclasses.replace(first.result, frame=frame, mask=np.ones(big[::-1], bool))
        for _ in range(60):  # 55 MB, more than any socket holds
            server.on_mask(FrameResult(first.frame, message))
            await asyncio.to_thread(eventually, lambda: not server._results.has_value, "taken")
        await asyncio.to_thread(server.close)
        # The port is free although the client is still there.
        await asyncio.to_thread(eventually, lambda: can_serve(server.port), "the port was free")

    talk(server, dialogue)
    eventually(lambda: not server._thread.is_alive(), "ended")


def test_what_cannot_be_said_is_counted_and_costs_only_itself(server: FoxgloveServer) -> None:
    async def dialogue(client: Client) -> None:
        await client.subscribe("mask")
        await wanted(server, "mask")
        server.on_message("object3d", b"nonsense")
        await asyncio.to_thread(eventually, lambda: bool(server.problem()), "trouble")
        assert server.problem().startswith("foxglove: object3d: ")
        assert server.drop_counts()["foxglove.failed"] == 1
        server.on_mask(shown(1))
        assert (await client.receive())[0] == "mask"
        await asyncio.to_thread(eventually, lambda: not server.problem(), "no trouble")

    talk(server, dialogue)


def test_a_port_in_use_is_told(server: FoxgloveServer) -> None:
    with pytest.raises(TransportError, match=rf"127.0.0.1:{server.port}: the port is in use.*--foxglove HOST:PORT"):
        FoxgloveServer(f"127.0.0.1:{server.port}", "eyes", WALL_NS)


@pytest.mark.parametrize("text", ["", "here", "host:", ":8765", "host:70000", "ws://host:8765", "a:b:1"])
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(TransportError, match="expected HOST:PORT"):
        parse_host_port(text)


def test_addresses_are_this_machines_own_unless_told_otherwise() -> None:
    assert parse_host_port("8765") == ("127.0.0.1", 8765)
    assert parse_host_port("0.0.0.0:1") == ("0.0.0.0", 1)
    assert parse_host_port("[::1]:8765") == ("[::1]", 8765)


def test_a_missing_library_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foxglove", None)
    with pytest.raises(Ros2Error, match=r"pip install -e '.\[robotics\]'"):
        FoxgloveServer("127.0.0.1:0", "eyes", WALL_NS)
