import numpy as np
import pytest

import realtime
from realtime.comms.mask_subscriber import MaskSubscriber
from realtime.comms.messages import KeyframeMessage, MaskMessage
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.errors import TransportError
from realtime.pipeline.publisher import MessagePublisher
from realtime.types import FrameRef, GazeRef, KeyframeRef, TimingNs
from tests.realtime.waiting import eventually


def mask_fields(index):
    return MaskMessage(
        FrameRef(index, 0.0, 6, 4), KeyframeRef(0, 0.0), GazeRef(0.0, 1.0, 1.0, 1.0, 1.0), 0.0, 1, "locked", 0.9, 0.9,
        np.eye(4, 6, dtype=bool), TimingNs(0, 0, 0, 0),
    ).to_fields()  # fmt: skip


@pytest.fixture
def publisher():
    publisher = PublisherSocket("tcp://127.0.0.1:0", queue=100)
    yield publisher
    publisher.close()


@pytest.fixture
def broadcast(publisher):
    return MessagePublisher(publisher, "s", lambda: 1)


def joined(publisher, *topics):
    eventually(lambda: all(publisher.has_subscriber(topic) for topic in topics), "the subscription")


def test_it_is_public():
    assert realtime.MaskSubscriber is MaskSubscriber


def test_a_reader_that_was_away_gets_the_newest_of_each_topic(publisher, broadcast):
    with MaskSubscriber(publisher.endpoint, ("mask", "keyframe")) as subscriber:
        joined(publisher, "mask", "keyframe")
        broadcast.publish("keyframe", KeyframeMessage(FrameRef(5, 0.0, 6, 4), 80.0).to_fields())
        for index in range(50):
            broadcast.publish("mask", mask_fields(index))
        seen = []
        eventually(lambda: seen.append(subscriber.newest("mask", 0.05)) or (seen[-1] and seen[-1].frame.index == 49))
        assert subscriber.newest("keyframe", 60).frame.index == 5
        assert subscriber.newest("mask", 0) is None


def test_bad_messages_are_counted_and_passed_over(publisher, broadcast):
    with MaskSubscriber(publisher.endpoint) as subscriber:
        joined(publisher, "mask")
        publisher.send("mask", b"\xc1 not msgpack")
        eventually(lambda: subscriber.newest("mask", 0.05) is None and subscriber.bad == 1)
        broadcast.publish("mask", mask_fields(7))
        assert next(subscriber.masks()).frame.index == 7


def test_an_unsubscribed_topic_is_refused(publisher):
    with (
        MaskSubscriber(publisher.endpoint) as subscriber,
        pytest.raises(ValueError, match="not subscribed to 'health', only to mask"),
    ):
        subscriber.newest("health")


def test_an_address_that_can_never_work_is_refused():
    with pytest.raises(TransportError, match="expected tcp://HOST:PORT"):
        MaskSubscriber("udp://nowhere")


def test_a_publisher_knows_the_subscribed_topics(publisher):
    assert not publisher.has_subscriber("overlay")
    with MaskSubscriber(publisher.endpoint, ("overlay",)):
        joined(publisher, "overlay")
        assert not publisher.has_subscriber("mask")
    eventually(lambda: not publisher.has_subscriber("overlay"), "the unsubscription")
