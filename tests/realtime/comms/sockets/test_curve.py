"""Encrypted sockets for real: who is let in, what others see, and what they are told."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading

import pytest
import zmq

import realtime.comms.sockets.curve as curve
from realtime.comms.envelope import pack
from realtime.comms.keys import AllowedClient, ClientAccess, KeyFolder, KeyPair
from realtime.comms.mask_subscriber import MaskSubscriber
from realtime.comms.requests import AddressedRequest, pack_reply, pack_request, read_reply
from realtime.comms.sockets.curve import ServerAccess, make_key_pair, to_z85
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.request_reply import ReceivedRequest, ReplySocket, RequestSocket
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.errors import AccessError, WireError
from realtime.pipeline.request_server import RequestReceiver
from realtime.pipeline.session_requests import Reply
from tests.realtime.waiting import PATIENCE_S, eventually

FREE = "tcp://127.0.0.1:0"
PAYLOAD = pack({"v": 1, "stream": "gazecast", "mask": {"encoding": "packbits+zstd"}, "gaze": [1, 2], "frame": 3})
WORDS = (b"mask", b"stream", b"gaze", b"frame", b"packbits")


class Site:
    """A machine that publishes with keys, and one client that it allows."""

    def __init__(self, path) -> None:
        self.keys = KeyFolder(path / "server")
        self.server, self.client = make_key_pair(), make_key_pair()
        self.keys.write_own(self.server)
        self.keys.allow_client(AllowedClient(self.client.public, "arm"))
        self.client_access = ClientAccess(self.server.public, self.client)
        self.access = ServerAccess(self.keys)


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def publisher(site):
    with contextlib.closing(PublisherSocket(FREE, access=site.access)) as publisher:
        yield publisher


def receive(publisher: PublisherSocket, subscription: TopicSubscription) -> list[bytes]:
    got: list[bytes] = []

    def try_once() -> bool:
        publisher.send("mask", PAYLOAD)
        if (payload := subscription.receive(0.02)) is not None:
            got.append(payload)
        return bool(got)

    eventually(try_once, "a message")
    return got


def wait_for_refusal(subscription: TopicSubscription) -> str:
    with pytest.raises(AccessError) as caught:
        eventually(lambda: subscription.receive(0.2) is not None, "the refusal")
    return str(caught.value)


class Tap:
    """A relay that keeps every byte that passes, as somebody between two machines could."""

    def __init__(self, endpoint: str) -> None:
        self.seen = bytearray()
        self._target = int(endpoint.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, target in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._pump, args=(source, target), daemon=True))
                    self._threads[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.seen += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """After the client has disconnected."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)


def test_allowed_subscriber_reads_and_nothing_of_it_can_be_read_on_the_way(site, publisher) -> None:
    with contextlib.closing(Tap(publisher.endpoint)) as tap:
        subscription = TopicSubscription(tap.endpoint, "mask", newest_only=False, access=site.client_access)
        assert receive(publisher, subscription)[0] == PAYLOAD
        subscription.close()
        assert len(tap.seen) > len(PAYLOAD)
        assert [word for word in WORDS if word in tap.seen] == []


def test_the_same_relay_reads_everything_without_keys() -> None:
    """The test above can fail."""
    with contextlib.closing(PublisherSocket(FREE)) as publisher, contextlib.closing(Tap(publisher.endpoint)) as tap:
        subscription = TopicSubscription(tap.endpoint, "mask", newest_only=False)
        receive(publisher, subscription)
        subscription.close()
        assert [word for word in WORDS if word not in tap.seen] == []


def test_nothing_of_requests_and_replies_can_be_read_on_the_way(site) -> None:
    server = ReplySocket(FREE, access=ServerAccess(site.keys, output="requests"))
    with contextlib.closing(Tap(server.endpoint)) as tap:
        requester = RequestSocket(tap.endpoint, timeout_s=PATIENCE_S, access=site.client_access)
        asking = threading.Thread(target=lambda: requester.exchange([b"status"]))
        asking.start()
        received: list[ReceivedRequest] = []
        eventually(lambda: received.extend(filter(None, [server.receive(0.1)])) or received, "the request")
        assert received[0].payload == b"status"
        server.reply(received[0].client, PAYLOAD)
        asking.join(PATIENCE_S)
        requester.close()
        assert len(tap.seen) > len(PAYLOAD)
        assert [word for word in (*WORDS, b"status") if word in tap.seen] == []
    server.close()


def test_raw_subscribers_without_an_allowed_key_get_nothing(site, publisher) -> None:
    strangers = []
    for pair in (None, make_key_pair()):
        stranger = zmq.Context.instance().socket(zmq.SUB)
        stranger.set(zmq.LINGER, 0)
        stranger.subscribe(b"")
        if pair is not None:
            stranger.set(zmq.CURVE_SERVERKEY, to_z85(site.server.public).encode())
            stranger.set(zmq.CURVE_PUBLICKEY, bytes.fromhex(pair.public))
            stranger.set(zmq.CURVE_SECRETKEY, bytes.fromhex(pair.secret))
        stranger.connect(publisher.endpoint)
        strangers.append(stranger)
    allowed = TopicSubscription(publisher.endpoint, "mask", access=site.client_access)
    eventually(lambda: publisher.refused_peers >= 2, "both refusals")
    for _ in range(20):
        receive(publisher, allowed)
    assert [stranger.poll(100) for stranger in strangers] == [0, 0]
    for each in (allowed, *strangers):
        each.close()


def test_each_refused_subscriber_learns_why(site, publisher) -> None:
    stranger, other = make_key_pair(), make_key_pair()
    for access, reason in (
        (None, "needs a key: gazecast keys new; then gazecast keys trust 127.0.0.1 KEY"),
        (ClientAccess(site.server.public, stranger), f"does not allow this key.*gazecast keys allow {stranger.public}"),
        (ClientAccess(other.public, site.client), f"another key than .* known here, {other.public[:8]}"),
    ):
        subscription = TopicSubscription(publisher.endpoint, "mask", access=access)
        assert re.search(reason, wait_for_refusal(subscription))
        subscription.close()


def test_subscriber_with_keys_sends_nothing_to_a_publisher_without() -> None:
    pair = make_key_pair()
    with contextlib.closing(PublisherSocket(FREE)) as publisher:
        subscription = TopicSubscription(publisher.endpoint, "mask", access=ClientAccess(pair.public, pair))
        refusal = wait_for_refusal(subscription)
        assert "uses no keys" in refusal or "or uses none" in refusal
        subscription.close()


def test_client_that_is_allowed_later_reads_without_a_restart(site, publisher) -> None:
    late = make_key_pair()
    subscription = TopicSubscription(publisher.endpoint, "mask", access=ClientAccess(site.server.public, late))
    wait_for_refusal(subscription)
    site.keys.allow_client(AllowedClient(late.public))
    got: list[bytes] = []

    def is_read() -> bool:
        publisher.send("mask", PAYLOAD)
        with contextlib.suppress(AccessError):
            got.extend(filter(None, [subscription.receive(0.02)]))
        return bool(got)

    eventually(is_read, "a message")
    subscription.close()


def test_refusals_are_counted_and_logged_at_intervals_only(site, publisher, caplog, monkeypatch) -> None:
    monkeypatch.setattr(curve, "LOG_EVERY_S", 1e9)
    caplog.set_level(logging.WARNING)
    stranger = TopicSubscription(publisher.endpoint, "mask", access=ClientAccess(site.server.public, make_key_pair()))
    for count in (1, 2, 3):
        wait_for_refusal(stranger)
        eventually(lambda count=count: publisher.refused_peers >= count)
    stranger.close()
    lines = [record.getMessage() for record in caplog.records if "refused a client" in record.getMessage()]
    assert len(lines) == 1
    assert "127.0.0.1: its key" in lines[0]
    assert site.server.secret not in caplog.text


def test_requests_know_the_key_of_their_client_and_what_it_may(site) -> None:
    server = ReplySocket(FREE, access=ServerAccess(site.keys, output="requests"))
    requester = RequestSocket(server.endpoint, timeout_s=PATIENCE_S, access=site.client_access)
    replies: list[str] = []
    asking = threading.Thread(target=lambda: replies.append(requester.request("hello")))
    asking.start()
    received = None
    while received is None:
        received = server.receive(0.1)
    assert (received.payload, received.client_key) == (b"hello", site.client.public)
    server.reply(received.client, b"welcome")
    asking.join(PATIENCE_S)
    assert replies == ["welcome"]
    for pair in (None, ClientAccess(site.server.public, make_key_pair())):
        stranger = RequestSocket(server.endpoint, timeout_s=PATIENCE_S, access=pair)
        with pytest.raises(AccessError, match="needs a key" if pair is None else "does not allow this key"):
            stranger.request("hello")
        stranger.close()
    requester.close()
    server.close()


def make_message(stream: str) -> bytes:
    return pack({"v": 1, "stream": stream, "mask": None, "gaze": [1, 2], "frame": 3})


def test_a_key_for_one_stream_receives_no_other_one(site, publisher) -> None:
    guest = make_key_pair()
    site.keys.allow_client(AllowedClient(guest.public, "guest", streams=("anna",)))
    guest_access = ClientAccess(site.server.public, guest)

    def subscribe(access: ClientAccess, stream: str | None) -> TopicSubscription:
        return TopicSubscription(publisher.endpoint, "mask", newest_only=False, stream=stream, access=access)

    both, own, all_of_guest, foreign = opened = (
        subscribe(site.client_access, None), subscribe(guest_access, "anna"), subscribe(guest_access, None),
        subscribe(guest_access, "ben"),
    )  # fmt: skip
    seen: dict[TopicSubscription, set[bytes]] = {each: set() for each in opened}

    def have_read() -> bool:
        for stream in ("ben", "anna"):
            publisher.send("mask", make_message(stream))
        for each in opened:
            while (payload := each.receive(0.01)) is not None:
                seen[each].add(payload)
        return len(seen[both]) == 2 and bool(seen[own]) and bool(seen[all_of_guest])

    eventually(have_read, "all messages")
    for _ in range(10):
        have_read()
    assert seen[own] == seen[all_of_guest] == {make_message("anna")}
    assert seen[foreign] == set()
    assert (site.access.find_streams(guest.public), site.access.find_streams(site.client.public)) == (("anna",), None)
    assert publisher.has_subscriber("mask")
    for each in opened:
        each.close()
    eventually(lambda: not publisher.has_subscribers, "the end of all subscriptions")


def test_a_key_for_one_stream_makes_requests_about_it_only(site) -> None:
    site.keys.allow_client(AllowedClient(site.client.public, "arm", ("control",), ("anna",)))
    answered: list[str | None] = []

    def route(addressed: AddressedRequest, client_key: str | None, reply: Reply) -> None:
        answered.append(addressed.stream)
        reply(pack_reply())

    server = RequestReceiver(FREE, route, site.access)
    client = RequestSocket(server.endpoint, timeout_s=PATIENCE_S, access=site.client_access)
    try:
        for stream in ({"stream": "ben"}, {}):
            with pytest.raises(WireError, match="this key is for requests about anna only"):
                read_reply(client.exchange([pack_request("hold", **stream)]))
        read_reply(client.exchange([pack_request("hold", stream="anna")]))
        assert answered == ["anna"]
    finally:
        client.close()
        server.close()


def test_what_a_client_may_follows_its_line_in_the_file(site) -> None:
    access, key = ServerAccess(site.keys), site.client.public
    assert access.allows(key, None)
    assert not access.allows(key, "control")
    assert not access.allows("00" * 32, None)
    site.keys.allow_client(AllowedClient(key, "arm", ("control",)))
    assert (access.allows(key, "control"), access.allows(key, "pictures")) == (True, False)
    site.keys.remove_client("arm")
    assert not access.allows(key, None)
    (site.keys.path / "clients.toml").write_text("damaged")
    assert not access.allows(key, None)
    assert ServerAccess().allows(None, "control")
    stranger = ServerAccess(is_open=True)
    assert (stranger.allows(None, None), stranger.allows(None, "control"), stranger.allows(None, "pictures")) == (
        True, False, False,
    )  # fmt: skip


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0", "tcp://192.0.2.1:5571"])
def test_address_beyond_loopback_is_refused_with_the_lines_that_make_keys(endpoint) -> None:
    for build, output in ((PublisherSocket, "publish"), (ReplySocket, "requests")):
        with pytest.raises(AccessError) as caught:
            build(endpoint)
        assert all(line in str(caught.value) for line in ("gazecast keys new", "gazecast keys allow KEY", "127.0.0.1"))
        assert f"--insecure {output}" in str(caught.value)


def test_address_beyond_loopback_is_used_with_keys_or_when_it_shall_be_open(site) -> None:
    for access in (site.access, ServerAccess(is_open=True)):
        PublisherSocket("tcp://0.0.0.0:0", access=access).close()


def test_key_whose_halves_do_not_belong_together_is_refused(site) -> None:
    site.keys.write_own(KeyPair(site.client.public, site.server.secret), replace=True)
    with pytest.raises(AccessError, match="is damaged: its public part"):
        PublisherSocket(FREE, access=site.access)


def test_libzmq_without_encryption_says_so(site, monkeypatch) -> None:
    monkeypatch.setattr(zmq, "has", lambda name: False)
    with pytest.raises(AccessError, match="built without encryption"):
        PublisherSocket(FREE, access=site.access)


def test_port_is_free_after_a_guarded_socket_is_closed(site) -> None:
    first = PublisherSocket(FREE, access=site.access)
    first.close()
    PublisherSocket(first.endpoint, access=site.access).close()
    assert not [thread for thread in threading.enumerate() if thread.name == "gazecast-access"]


def test_mask_subscriber_finds_its_keys_by_environment(site, publisher, tmp_path, monkeypatch) -> None:
    own = KeyFolder(tmp_path / "client")
    own.write_own(site.client)
    monkeypatch.setenv("GAZECAST_KEYS", str(own.path))
    monkeypatch.delenv("GAZECAST_SERVER_KEY", raising=False)
    own.trust_server("127.0.0.1", site.server.public)
    with MaskSubscriber(publisher.endpoint, ("health",)) as subscriber:
        eventually(lambda: publisher.send("health", b"") and publisher.has_subscriber("health"))
        eventually(lambda: publisher.send("health", b"") and (subscriber.newest("health", 0.02) or subscriber.bad))
    wrong = MaskSubscriber(publisher.endpoint, keys=own.path, server_key=make_key_pair().public)
    with wrong, pytest.raises(AccessError, match="another key"):
        wrong.newest(timeout_s=PATIENCE_S)


def test_a_client_that_was_left_open_does_not_keep_the_next_one_from_connecting() -> None:
    with contextlib.ExitStack() as stack:
        for number in range(512):  # names of monitors by file number, which an open one may still hold
            taken = stack.enter_context(zmq.Context.instance().socket(zmq.PAIR))
            taken.bind(f"inproc://monitor.s-{number}")
        server = stack.enter_context(contextlib.closing(RequestReceiver(FREE, lambda request, key, reply: reply(b""))))
        client = stack.enter_context(contextlib.closing(RequestSocket(server.endpoint, timeout_s=PATIENCE_S)))
        assert client.exchange([pack_request("status")]) == b""
