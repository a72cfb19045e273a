"""A subscription to one stream of many on a socket."""

from __future__ import annotations

import pytest

from realtime.comms.envelope import pack
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.subscription import FILTERED_QUEUE, TopicSubscription
from realtime.comms.stream_filter import MAX_FIELDS, stream_prefixes
from tests.realtime.waiting import eventually


def make_message(stream: str, fields: int) -> bytes:
    return pack({"v": 1, "stream": stream, "seq": 0, "published_ns": 0, **{f"f{n}": n for n in range(fields - 4)}})


@pytest.mark.parametrize("fields", [4, 15, 16, 24, MAX_FIELDS])
@pytest.mark.parametrize("stream", ["a", "anna", "x" * 32, "x" * 64])
def test_the_prefixes_are_those_of_the_messages_of_one_stream(stream: str, fields: int) -> None:
    prefixes = stream_prefixes("mask", stream)
    assert (b"mask\0" + make_message(stream, fields)).startswith(prefixes)
    for topic, other in ((b"mask\0", stream + "a"), (b"mask\0", "b" + stream[1:]), (b"masks\0", stream)):
        assert not (topic + make_message(other, fields)).startswith(prefixes)


def test_a_busy_subscriber_gets_the_newest_message_of_its_stream_alone() -> None:
    publisher = PublisherSocket("tcp://127.0.0.1:0", queue=4 * FILTERED_QUEUE)
    subscription = TopicSubscription(publisher.endpoint, "mask", stream="anna")
    try:
        eventually(lambda: publisher.has_subscriber("mask", "anna"), "the subscription")
        assert not publisher.has_subscriber("mask", "ben")
        assert not publisher.has_subscriber("overlay")
        for count in range(4, 20):
            publisher.send("mask", make_message("ben", count))
            publisher.send("mask", make_message("anna", count))
        last = make_message("anna", 19)
        eventually(lambda: subscription.receive(1.0) == last, "the newest")
        for count in range(2 * FILTERED_QUEUE):  # more than it keeps
            publisher.send("mask", pack({"v": 1, "stream": "anna", "seq": count, "published_ns": 0}))

        def has_recovered() -> bool:
            publisher.send("mask", last)
            return subscription.receive(0.1) == last

        eventually(has_recovered, "a message that is new")
        assert subscription.receive(0.0) in (None, last)
    finally:
        subscription.close()
        publisher.close()
