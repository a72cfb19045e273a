"""Subscribes to the published stream, and returns the newest message of each topic, typed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

from realtime.comms.messages import HealthMessage, KeyframeMessage, MaskMessage, Message, OverlayMessage, read_message
from realtime.comms.object3d import Object3dMessage
from realtime.comms.sockets.base import check_endpoint_host, find_access
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.errors import WireError

Topic = Literal["mask", "overlay", "keyframe", "health", "object3d"]
DEFAULT_ENDPOINT = "tcp://127.0.0.1:5571"


class MaskSubscriber:
    """A subscriber that keeps the newest message of each topic; the publisher may start later.

    One CONFLATE socket per topic, so that a slow consumer receives the newest of each. Messages that do not follow
    the contract are counted in `bad` and skipped. Use it from one thread, best in a `with` block.
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

        stream: the wearer whose messages are received, of a host of many; None for the newest of any. keys: folder of
        this machine's keys, by default $GAZECAST_KEYS, else that of `gazecast keys`. server_key: the publisher's public
        key, by default $GAZECAST_SERVER_KEY, else the one that `gazecast keys trust` keeps for the host; without any,
        no keys are used. Raises `AccessError` for keys that are missing or damaged.
        """
        check_endpoint_host(endpoint)
        access = find_access(endpoint, keys, server_key)
        self._subscriptions = {
            topic: TopicSubscription(endpoint, topic, stream=stream, access=access) for topic in topics
        }
        self.bad = 0

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
        if topic not in self._subscriptions:
            raise ValueError(f"not subscribed to {topic!r}, only to {', '.join(self._subscriptions)}")
        payload = self._subscriptions[topic].receive(timeout_s)
        if payload is None:
            return None
        try:
            return read_message(topic, payload)
        except WireError:
            self.bad += 1
            return None

    def masks(self) -> Iterator[MaskMessage]:
        """Yield each newest mask, without end; waits in between."""
        while True:
            if (message := self.newest("mask")) is not None:
                yield message

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        for subscription in self._subscriptions.values():
            subscription.close()

    def __enter__(self) -> MaskSubscriber:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
