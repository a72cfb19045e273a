"""Sockets for real, on free ports."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import zmq

from realtime.comms.sockets import request_reply
from realtime.comms.sockets.curve import ServerAccess
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.pupil import PupilServer, PupilSubscription
from realtime.comms.sockets.request_reply import ReplySocket, RequestSocket
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.errors import RequestTimeout, TransportError
from tests.realtime.waiting import eventually, promptly

FREE = "tcp://127.0.0.1:0"


def reaches(publisher: PublisherSocket, subscription: TopicSubscription, topic: str = "mask") -> None:
    """Wait until the subscription has joined."""
    eventually(lambda: publisher.send(topic, b"hello") and subscription.receive(0.01) is not None)


def test_message_is_one_part_of_topic_nul_payload() -> None:
    publisher = PublisherSocket(FREE)
    feed = PupilSubscription(publisher.endpoint, ["mask"])
    got: list[list[bytes] | None] = []
    eventually(lambda: publisher.send("mask", b"\x00payload") and bool(got.append(feed.receive(0.01)) or got[-1]))
    assert got[-1] == [b"mask\0\x00payload"]
    feed.close()
    publisher.close()


def test_reconnected_reader_gets_only_the_newest_of_its_topic() -> None:
    publisher = PublisherSocket(FREE)
    away = TopicSubscription(publisher.endpoint, "mask")
    witness = TopicSubscription(publisher.endpoint, "mask", newest_only=False)
    reaches(publisher, away)
    reaches(publisher, witness)
    for i in range(100):
        publisher.send("mask", b"%d" % i)
        publisher.send("masks", b"another topic that begins alike")
        eventually(lambda i=i: witness.receive(0.1) == b"%d" % i)  # type: ignore[misc]
    got: list[bytes | None] = []
    eventually(lambda: got.append(away.receive(0.1)) or got[-1] == b"99")
    assert len([payload for payload in got if payload is not None]) <= 3
    assert away.receive(0.05) is None
    for subscription in (away, witness):
        subscription.close()
    publisher.close()


def test_bounded_subscription_keeps_order_and_loses_the_rest() -> None:
    publisher = PublisherSocket(FREE)
    subscription = TopicSubscription(publisher.endpoint, "mask", newest_only=False, queue=5)
    reaches(publisher, subscription)
    for i in range(400):
        publisher.send("mask", b"%06d" % i + bytes(200_000))
    got: list[int] = []
    while (payload := subscription.receive(60 if len(got) < 5 else 0.3)) is not None:
        if payload != b"hello":
            got.append(int(payload[:6]))
    assert got == sorted(got)
    assert 5 <= len(got) < 200  # both queues and what the system's own buffers hold, not 80 MB
    subscription.close()
    publisher.close()


def test_slow_reader_never_slows_the_publisher() -> None:
    publisher = PublisherSocket(FREE)
    asleep = TopicSubscription(publisher.endpoint, "overlay", newest_only=False, queue=1)
    reaches(publisher, asleep, "overlay")
    payload = bytes(200_000)
    with promptly():
        for _ in range(500):
            publisher.send("overlay", payload)
    asleep.close()
    publisher.close()


def test_threads_may_share_a_publisher_and_be_late() -> None:
    publisher = PublisherSocket(FREE)
    subscription = TopicSubscription(publisher.endpoint, "mask", newest_only=False)
    reaches(publisher, subscription)
    results: list[bool] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            results.append(publisher.send("mask", b"x" * 100))
        results.append(publisher.send("mask", b"late"))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(results) > 200)
    publisher.close()
    stop.set()
    for thread in threads:
        thread.join(60)
    assert results[0]
    assert not results[-1]
    subscription.close()


def test_port_is_free_as_soon_as_close_returns() -> None:
    endpoint = FREE
    for _ in range(30):
        publisher = PublisherSocket(endpoint)
        endpoint = publisher.endpoint
        subscription = TopicSubscription(endpoint, "mask")
        reaches(publisher, subscription)
        publisher.close()
        publisher.close()
        subscription.close()


def test_subscription_outlives_a_restarted_publisher() -> None:
    publisher = PublisherSocket(FREE)
    subscription = TopicSubscription(publisher.endpoint, "mask")
    reaches(publisher, subscription)
    publisher.close()
    publisher = PublisherSocket(publisher.endpoint)
    reaches(publisher, subscription)
    subscription.close()
    publisher.close()


def test_port_in_use_is_named_with_a_remedy() -> None:
    publisher = PublisherSocket(FREE)
    with pytest.raises(TransportError, match=r"cannot listen on tcp://127\.0\.0\.1:\d+: the port is in use; stop"):
        PublisherSocket(publisher.endpoint)
    port = int(publisher.endpoint.rpartition(":")[2])
    with pytest.raises(TransportError, match="in use"):
        PupilServer("127.0.0.1", port)
    publisher.close()


@pytest.mark.parametrize(
    "endpoint",
    ["", "127.0.0.1:5571", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "udp://127.0.0.1:1", "tcp://:5", "tcp://a b:5"],
)
def test_bad_address_is_refused(endpoint: str) -> None:
    with pytest.raises(TransportError, match="expected tcp://HOST:PORT"):
        PublisherSocket(endpoint)
    with pytest.raises(TransportError, match="expected tcp://HOST:PORT"):
        TopicSubscription(endpoint, "mask")
    with pytest.raises(TransportError, match="expected tcp://HOST:PORT"):
        RequestSocket(endpoint)


def test_address_of_another_machine_cannot_be_bound() -> None:
    with pytest.raises(TransportError, match="no such address"):
        PublisherSocket("tcp://192.0.2.1:5571", access=ServerAccess(is_open=True))


def test_remote_recovers_after_lost_answers() -> None:
    server = PupilServer("127.0.0.1", 0)
    remote = RequestSocket(f"tcp://127.0.0.1:{server.port}", timeout_s=0.1)
    with pytest.raises(RequestTimeout, match=r"no answer from tcp://127\.0\.0\.1:\d+ within 0.1 s"):
        remote.request("t")
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            server.serve_request(lambda parts: b"+".join(parts).decode() + "!", 0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    answers = []

    def is_answered(request: Callable[[], str]) -> bool:
        try:
            answers.append(request())
        except RequestTimeout:
            return False
        return True

    eventually(lambda: is_answered(lambda: remote.request("again")))
    eventually(lambda: is_answered(lambda: remote.send_message("notify.x", b"y")))
    assert answers == ["again!", "notify.x+y!"]
    stop.set()
    thread.join(60)
    remote.close()
    server.close()


def test_a_request_without_a_connection_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses a handshake ends the connection, which may be before the request is sent."""
    monkeypatch.setattr(request_reply, "connect", lambda socket, endpoint: None)
    remote = RequestSocket("tcp://127.0.0.1:1", timeout_s=0.1)
    for _ in range(2):
        with pytest.raises(RequestTimeout, match="takes no request"):
            remote.request("t")
    remote.close()


def test_a_request_without_a_peer_times_out() -> None:
    publisher = PublisherSocket(FREE)
    publisher.close()
    remote = RequestSocket(publisher.endpoint, timeout_s=0.1)
    for _ in range(3):
        with promptly(), pytest.raises(RequestTimeout):
            remote.request("t")
    remote.close()


@pytest.mark.parametrize(
    "huge", [[b"gaze.", bytes(20_000)], [b"gaze.", bytes(6_000), bytes(6_000)], [b"gaze."] + [b"x"] * 40]
)
def test_message_beyond_limits_is_counted_and_others_still_arrive(huge: list[bytes]) -> None:
    server = PupilServer("127.0.0.1", 0)
    feed = PupilSubscription(f"tcp://127.0.0.1:{server.publish_port}", ["gaze."], max_bytes=10_000)

    def small_arrives() -> bool:
        server.send([b"gaze.2d", b"small"])
        return feed.receive(0.01) == [b"gaze.2d", b"small"]

    eventually(small_arrives)
    for times in (1, 2):
        server.send(huge)
        eventually(lambda times=times: feed.receive(0.01) is None and feed.refused >= times)  # type: ignore[misc]
        eventually(small_arrives)
        assert feed.refused == times
    feed.close()
    server.close()


def test_peer_that_speaks_no_zeromq_is_survived() -> None:
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(60)
    port = listener.getsockname()[1]
    feed = PupilSubscription(f"tcp://127.0.0.1:{port}", ["gaze."])
    callers = []

    def serve() -> None:
        while len(callers) < 2:
            caller, _ = listener.accept()
            caller.sendall(b"\xff" * 200)
            callers.append(caller)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    eventually(lambda: feed.receive(0.02) is None and len(callers) == 2)  # it comes back and asks again
    assert feed.refused >= 1
    feed.close()
    thread.join(60)
    for caller in (*callers, listener):
        caller.close()


def test_a_client_that_asks_much_at_once_gets_every_reply() -> None:
    answers, context = ReplySocket("tcp://127.0.0.1:0"), zmq.Context()
    try:
        client = context.socket(zmq.DEALER)
        client.connect(answers.endpoint)
        requests = [str(number).encode() for number in range(300)]
        for request in requests:
            client.send_multipart([b"", request])
        for _ in requests:
            asked = answers.receive(60)
            assert asked is not None
            answers.reply(asked.client, asked.payload)
        eventually(lambda: answers.receive(0.01) is None and not answers._held)
        assert [client.recv_multipart()[1] for _ in requests] == requests
        assert answers.unread == 0
    finally:
        context.destroy(0)
        answers.close()


def test_a_client_that_never_reads_loses_its_own_replies_only() -> None:
    """Answers may be as large as a minute of masks: a thousand that wait would be the machine's memory."""
    answers, context = ReplySocket("tcp://127.0.0.1:0"), zmq.Context()
    greedy = context.socket(zmq.DEALER)
    try:
        greedy.set(zmq.RCVHWM, 1)
        greedy.connect(answers.endpoint)
        for _ in range(30):
            greedy.send_multipart([b"", b"all of it"])
        for _ in range(30):
            asked = answers.receive(60)
            assert asked is not None
            answers.reply(asked[0], bytes(2 << 20))
        assert answers.unread > 10
        polite = context.socket(zmq.REQ)
        polite.connect(answers.endpoint)
        polite.send(b"a little")
        asked = answers.receive(60)
        assert asked is not None
        answers.reply(asked[0], b"here")
        assert polite.poll(60_000)
    finally:
        context.destroy(0)
        answers.close()
