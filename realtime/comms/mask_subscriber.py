"""Subscribes to the published stream, and returns the newest message of each topic, typed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

from realtime.comms.directory import SCHEME
from realtime.comms.messages import HealthMessage, KeyframeMessage, MaskMessage, Message, OverlayMessage, read_message
from realtime.comms.object3d import Object3dMessage
from realtime.comms.sockets.base import check_endpoint_host, find_access
from realtime.comms.stream_follower import EndpointReceiver, StreamFollower
from realtime.errors import WireError

Topic = Literal["mask", "overlay", "keyframe", "health", "object3d"]
DEFAULT_ENDPOINT = "tcp://127.0.0.1:5571"


class MaskSubscriber:
    """A subscriber that keeps the newest message of each topic; the publisher may start later.

    One CONFLATE socket per topic, so that a slow consumer receives the newest of each. Messages that do not follow
    the contract are counted in `bad` and skipped. Use it from one thread, best in a `with` block.

    gazecast://HOST:PORT/STREAM names a stream of a directory (`gazecast serve --ray`): the subscriber follows it when
    it moves to another host, which `moves` counts. `lost` counts what was published and not received, because newer
    messages came first or the stream moved.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        topics: Sequence[Topic] = ("mask",),
        *,
        stream: str | None = None,
        keys: Path | None = None,
        server_key: str | None = None,
    ) -> None:
        """Connect; raises `TransportError` for an invalid address, or a host that cannot be resolved.

        stream: the wearer whose messages are received, of a host of many; None for the newest of any. The address of a
        directory has it already. keys: folder of this machine's keys, by default $GAZECAST_KEYS, else that of
        `gazecast keys`. server_key: the publisher's public key, by default $GAZECAST_SERVER_KEY, else the one that
        `gazecast keys trust` keeps for the host; without any, no keys are used. With a directory the key is its, and it
        names those of hosts. Raises `AccessError` for keys that are missing or damaged.
        """
        self._receiver: EndpointReceiver | StreamFollower
        if endpoint.startswith(SCHEME):
            self._receiver = StreamFollower(endpoint, topics, keys=keys, server_key=server_key)
            stream = self._receiver.stream
        else:
            check_endpoint_host(endpoint)
            self._receiver = EndpointReceiver(endpoint, topics, find_access(endpoint, keys, server_key), stream)
        self._topics, self._stream = tuple(topics), stream
        self._next_seq: dict[str, int] = {}
        self._seen_moves = 0
        self.bad = self.lost = 0

    @property
    def moves(self) -> int:
        """How often the stream has moved to another host; 0 without a directory."""
        return self._receiver.moves

    @property
    def reason(self) -> str:
        """Why messages may be missing, such as a directory that does not answer; empty without a reason."""
        return self._receiver.reason

    @overload
    def newest(self, topic: Literal["mask"] = "mask", timeout_s: float = 1.0) -> MaskMessage | None: ...
    @overload
    def newest(self, topic: Literal["overlay"], timeout_s: float = 1.0) -> OverlayMessage | None: ...
    @overload
    def newest(self, topic: Literal["keyframe"], timeout_s: float = 1.0) -> KeyframeMessage | None: ...
    @overload
    def newest(self, topic: Literal["health"], timeout_s: float = 1.0) -> HealthMessage | None: ...
    @overload
    def newest(self, topic: Literal["object3d"], timeout_s: float = 1.0) -> Object3dMessage | None: ...

    def newest(self, topic: Topic = "mask", timeout_s: float = 1.0) -> Message | None:
        """Wait for the newest unread message of `topic`; None after the timeout, or if it was invalid.

        Raises `AccessError` while the publisher refuses this subscriber; a later call tries again.
        """
        if topic not in self._topics:
            raise ValueError(f"not subscribed to {topic!r}, only to {', '.join(self._topics)}")
        payload = self._receiver.receive(topic, timeout_s)
        if payload is None:
            return None
        try:
            message = read_message(topic, payload)
        except WireError:
            self.bad += 1
            return None
        if self._stream not in (None, message.stream):  # which a subscription to one stream does not let through
            self.bad += 1
            return None
        self._count_lost(topic, message.seq)
        return message

    def _count_lost(self, topic: str, seq: int) -> None:
        if self._receiver.moves != self._seen_moves:  # a moved stream counts from 0
            self._seen_moves, self._next_seq = self._receiver.moves, dict.fromkeys(self._topics, 0)
        self.lost += max(0, seq - self._next_seq.get(topic, seq))
        self._next_seq[topic] = seq + 1

    def masks(self) -> Iterator[MaskMessage]:
        """Yield each newest mask, without end; waits in between."""
        while True:
            if (message := self.newest("mask")) is not None:
                yield message

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._receiver.close()

    def __enter__(self) -> MaskSubscriber:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
