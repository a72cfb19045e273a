"""Tests the Foxglove server with a WebSocket client that only knows the protocol."""

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
from realtime.robotics.ros2.foxglove_relay import is_own_origin
from realtime.robotics.ros2.topics import TOPICS, name_ros_topic
from realtime.types import Frame
from tests.realtime.robotics.ros2.cdr_reader import CAMERA, FRAME_ID, SIZE, WALL_NS, captured_ns, mask, solid
from tests.realtime.waiting import eventually

pytest.importorskip("rosbags", reason="ROS 2 messages need rosbags: pip install -e '.[robotics]'")
pytest.importorskip("foxglove", reason="Foxglove's server needs foxglove-sdk: pip install -e '.[robotics]'")

NAMES = {name_ros_topic("eyes", topic): topic for topic in TOPICS}


def frame_result(index: int, size: tuple[int, int] = SIZE) -> FrameResult:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, : 10 + 5 * index] = (30 * index, 120, 200)
    at_ns = captured_ns(index)
    return FrameResult(Frame(image, index, index / 30, at_ns, at_ns + 4_000_000), mask(index))


def pack_object3d(index: int) -> bytes:
    return pack({"v": 1, "stream": "eyes", "seq": index, "published_ns": 0, **solid(index).to_fields()})


@pytest.fixture
def server() -> Iterator[FoxgloveServer]:
    server = FoxgloveServer("127.0.0.1:0", "eyes", WALL_NS, camera=CAMERA, camera_frame=FRAME_ID, jpeg_quality=95)
    yield server
    server.close()


class FoxgloveClient:
    """A client of foxglove.sdk.v1, https://github.com/foxglove/ws-protocol; CDR is decoded by rosbags."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self.channels = socket, {}
        self._topics: dict[int, str] = {}

    async def subscribe(self, *topics: str) -> None:
        while self.channels.keys() < set(NAMES):
            announced = json.loads(await self._socket.receive_str(timeout=60))
            self.channels.update({channel["topic"]: channel for channel in announced.get("channels", [])})
        subscriptions = [
            {"id": 100 + n, "channelId": self.channels[name_ros_topic("eyes", t)]["id"]} for n, t in enumerate(topics)
        ]
        self._topics = {100 + number: topic for number, topic in enumerate(topics)}
        await self._socket.send_json({"op": "subscribe", "subscriptions": subscriptions})

    async def receive(self) -> tuple[str, Any]:
        data = await self._socket.receive_bytes(timeout=60)
        code, subscription, _ = struct.unpack_from("<BIQ", data)
        assert code == 1
        topic = self._topics[subscription]
        return topic, message_types.load_types().deserialize_cdr(data[13:], TOPICS[topic])


def run_dialogue(server: FoxgloveServer, dialogue: Callable[[FoxgloveClient], Any], *protocols: str) -> None:
    protocols = protocols or ("foxglove.sdk.v1",)

    async def run() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(server.address, protocols=protocols, max_msg_size=0) as socket,
        ):
            assert socket.protocol in protocols
            await dialogue(FoxgloveClient(socket))

    asyncio.run(run())


async def wait_for_subscriptions(server: FoxgloveServer, *topics: str) -> None:
    """Wait until the subscriptions have arrived."""
    await asyncio.to_thread(eventually, lambda: all(map(server._is_wanted, topics)), "subscribed")


def can_serve(port: int) -> bool:
    try:
        FoxgloveServer(f"127.0.0.1:{port}", "eyes", WALL_NS).close()
    except TransportError:
        return False
    return True


def test_a_client_receives_every_topic_with_the_frames_stamp(server: FoxgloveServer) -> None:
    async def dialogue(client: FoxgloveClient) -> None:
        await client.subscribe(*TOPICS)
        await wait_for_subscriptions(server, *TOPICS)
        for name, channel in client.channels.items():
            assert (channel["encoding"], channel["schemaEncoding"]) == ("cdr", "ros2msg")
            kind = TOPICS[NAMES[name]]
            assert (channel["schemaName"], channel["schema"]) == (kind, message_types.definition(kind))
        server.on_mask(frame_result(2))
        server.on_message("object3d", pack_object3d(2))
        server.on_message("health", b"another topic")
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
        assert np.abs(image.astype(int) - frame_result(2).frame.image).mean() < 3

    run_dialogue(server, dialogue)
    assert not server.drop_counts()
    assert server.problem() == ""


def test_a_jpeg_is_sent_unchanged_and_only_subscribed_topics_are_sent(server: FoxgloveServer) -> None:
    frame = Frame(frame_result(0).frame.image, 0, 0.0, captured_ns(0), captured_ns(0), b"\xff\xd8 as it came")

    async def dialogue(client: FoxgloveClient) -> None:
        await client.subscribe("image/compressed", "detections_2d")
        await wait_for_subscriptions(server, "image/compressed", "detections_2d")
        server.on_mask(FrameResult(frame, mask(0)))
        assert bytes((await client.receive())[1].data) == frame.jpeg
        assert (await client.receive())[0] == "detections_2d"
        server.on_mask(frame_result(1))
        assert (await client.receive())[0] == "image/compressed"

    run_dialogue(server, dialogue)


@pytest.mark.parametrize("protocols", [["foxglove.websocket.v1"], ["foxglove.websocket.v1", "foxglove.sdk.v1"]])
def test_a_client_of_the_older_subprotocol_is_served(server: FoxgloveServer, protocols: list[str]) -> None:
    async def dialogue(client: FoxgloveClient) -> None:
        await client.subscribe("mask")
        await wait_for_subscriptions(server, "mask")
        server.on_mask(frame_result(2))
        assert (await client.receive())[0] == "mask"

    run_dialogue(server, dialogue, *protocols)


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [("https://app.foxglove.dev", True), ("file://", True), ("http://localhost:8080", True), ("http://[::1]", True),
     ("http://gaze.example", False), ("null", False), ("https://foxglove.dev.example", False), ("", False),
     ("https://evilfoxglove.dev", False), ("http://127.0.0.1.example:8765", False)],
)  # fmt: skip
def test_pages_of_other_sites_have_no_access(server: FoxgloveServer, origin: str, is_own: bool) -> None:
    async def connect(server: FoxgloveServer) -> int:
        async with aiohttp.ClientSession() as session:
            try:
                options = {"protocols": ["foxglove.sdk.v1"], "headers": {"Origin": origin}}
                await (await session.ws_connect(server.address, **options)).close()
            except aiohttp.WSServerHandshakeError as error:
                return error.status
        return 101

    assert asyncio.run(connect(server)) == (101 if is_own else 403)
    assert server.drop_counts().get("foxglove.refused_peers", 0) == (not is_own)


def test_a_handshake_without_an_origin_is_of_a_program() -> None:
    assert not is_own_origin(b"GET / HTTP/1.1\r\norigin: http://a.example\r\n\r\n")
    assert is_own_origin(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert not is_own_origin(b"GET / HTTP/1.1\r\nOrigin: file://\r\nOrigin: http://a.example\r\n\r\n")


def test_a_client_of_no_subprotocol_is_refused_and_one_of_no_words_is_ignored(server: FoxgloveServer) -> None:
    async def run() -> None:
        _, silent = await asyncio.open_connection(server.host, server.port)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(server.address)
        silent.close()

    asyncio.run(run())


def test_a_client_that_does_not_read_delays_neither_the_run_nor_the_end(server: FoxgloveServer) -> None:
    big = (1280, 720)

    async def dialogue(client: FoxgloveClient) -> None:
        await client.subscribe("mask")
        await wait_for_subscriptions(server, "mask")
        first = frame_result(0, big)
        frame = dataclasses.replace(first.result.frame, width=big[0], height=big[1])
        message = dataclasses.replace(first.result, frame=frame, mask=np.ones(big[::-1], bool))
        for _ in range(60):  # 55 MB, more than any socket holds
            server.on_mask(FrameResult(first.frame, message))
            await asyncio.to_thread(eventually, lambda: not server._results.has_value, "taken")
        await asyncio.to_thread(server.close)
        # The port is free although the client is still there.
        await asyncio.to_thread(eventually, lambda: can_serve(server.port), "the port was free")

    run_dialogue(server, dialogue)
    eventually(lambda: not server._thread.is_alive(), "ended")


def test_an_invalid_message_is_counted_and_affects_no_other(server: FoxgloveServer) -> None:
    async def dialogue(client: FoxgloveClient) -> None:
        await client.subscribe("mask")
        await wait_for_subscriptions(server, "mask")
        server.on_message("object3d", b"nonsense")
        await asyncio.to_thread(eventually, lambda: bool(server.problem()), "trouble")
        assert server.problem().startswith("foxglove: object3d: ")
        assert server.drop_counts()["foxglove.failed"] == 1
        server.on_mask(frame_result(1))
        assert (await client.receive())[0] == "mask"
        await asyncio.to_thread(eventually, lambda: not server.problem(), "no trouble")

    run_dialogue(server, dialogue)


def test_a_port_in_use_is_reported(server: FoxgloveServer) -> None:
    with pytest.raises(TransportError, match=rf"127.0.0.1:{server.port}: the port is in use.*--foxglove HOST:PORT"):
        FoxgloveServer(f"127.0.0.1:{server.port}", "eyes", WALL_NS)


@pytest.mark.parametrize("text", ["", "here", "host:", ":8765", "host:70000", "ws://host:8765", "a:b:1"])
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(TransportError, match="expected HOST:PORT"):
        parse_host_port(text)


def test_the_default_host_is_the_loopback_address() -> None:
    assert parse_host_port("8765") == ("127.0.0.1", 8765)
    assert parse_host_port("0.0.0.0:1") == ("0.0.0.0", 1)
    assert parse_host_port("[::1]:8765") == ("[::1]", 8765)


def test_a_missing_library_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "foxglove", None)
    with pytest.raises(Ros2Error, match=r"pip install -e '.\[robotics\]'"):
        FoxgloveServer("127.0.0.1:0", "eyes", WALL_NS)
