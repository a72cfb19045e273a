"""Tests the directory and the subscribers that follow it, over real sockets."""

from __future__ import annotations

import time

import numpy as np
import pytest

from realtime import MaskSubscriber
from realtime.commands.main import main
from realtime.comms.directory import format_stream_address
from realtime.comms.directory_client import DirectoryClient
from realtime.comms.keys import AllowedClient, KeyFolder
from realtime.comms.messages import MaskMessage
from realtime.comms.requests import pack_reply
from realtime.comms.sockets.curve import ServerAccess, make_key_pair
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.request_reply import ReplySocket
from realtime.errors import AccessError, ClusterError, WireError
from realtime.pipeline.publisher import MessagePublisher
from realtime.serving.cluster.directory_server import DirectoryServer
from realtime.serving.cluster.stream_directory import StreamDirectory
from realtime.types import FrameRef, GazeRef, KeyframeRef, TimingNs
from tests.realtime.waiting import eventually


class KnownHosts:
    def __init__(self):
        self.drained = {}

    def describe_hosts(self):
        host = {"name": "one", "state": "up", "reason": "", "spare": False, "machine": "vm", "pid": 7, "capacity": 1.0,
                "load": 0.3, "streams": ["anna", "ben"]}  # fmt: skip
        return {"hosts": [host], "waiting": {"eve": "no room"}, "fitting": 3}

    def set_draining(self, host, is_draining):
        if host != "one":
            raise ClusterError(f"there is no host {host!r}; known is one")
        self.drained[host] = is_draining


class Host:
    """Publishes masks of a stream, with the host's number as the object."""

    def __init__(self, number, stream="anna", access=None, endpoint="tcp://127.0.0.1:0"):
        self.number = number
        self.socket = PublisherSocket(endpoint, queue=1000, access=access)
        self.endpoint = self.socket.endpoint
        self.publisher = MessagePublisher(self.socket, stream, time.monotonic_ns)

    def publish(self):
        self.publisher.publish("mask", MaskMessage(
            FrameRef(0, 0.0, 6, 4), KeyframeRef(0, 0.0), GazeRef(0.0, 1.0, 1.0, 1.0, 1.0), 0.0, self.number, "locked",
            0.9, 0.9, np.eye(4, 6, dtype=bool), TimingNs(0, 0, 0, 0),
        ).to_fields())  # fmt: skip


@pytest.fixture
def opened():
    opened = []
    yield lambda each: opened.append(each) or each
    for each in reversed(opened):
        (each.socket if isinstance(each, Host) else each).close()


@pytest.fixture
def directory():
    return StreamDirectory(time.time_ns)


@pytest.fixture
def server(directory, opened):
    return opened(DirectoryServer("tcp://127.0.0.1:0", directory, KnownHosts()))


def follow(opened, endpoint, **options):
    return opened(MaskSubscriber(format_stream_address(endpoint, "anna"), **options))


def receive_from(subscriber, host, *others):
    """Publish until a mask of the host has come; return the objects of all that came."""
    seen = []

    def has_come():
        for each in (host, *others):
            each.publish()
        if (message := subscriber.newest("mask", 0.02)) is not None:
            seen.append(message.object)
        return seen and seen[-1] == host.number

    eventually(has_come, f"a mask of host {host.number}")
    return seen


def test_a_subscriber_follows_its_stream_and_never_goes_back(directory, server, opened):
    old, new = opened(Host(1)), opened(Host(2))
    directory.publish("anna", old.endpoint)
    subscriber = follow(opened, server.endpoint)
    assert set(receive_from(subscriber, old)) == {1}
    assert (subscriber.moves, subscriber.reason) == (0, "")
    directory.publish("anna", new.endpoint)
    seen = receive_from(subscriber, new, old)
    assert seen == sorted(seen)  # the old host publishes on, as one that hangs for a while does
    for _ in range(20):
        old.publish()
        new.publish()
        message = subscriber.newest("mask", 0.02)
        assert message is None or message.object == 2
    assert subscriber.moves == 1


def test_a_subscriber_may_come_before_its_stream_and_before_the_directory(directory, opened):
    placeholder = opened(ReplySocket("tcp://127.0.0.1:0"))
    endpoint = placeholder.endpoint
    placeholder.close()
    subscriber = follow(opened, endpoint)
    assert subscriber.newest("mask", 0.01) is None
    assert "has not answered yet" in subscriber.reason
    opened(DirectoryServer(endpoint, directory, KnownHosts()))
    eventually(lambda: subscriber.newest("mask", 0.02) is None and "no stream 'anna'" in subscriber.reason)
    host = opened(Host(1))
    directory.publish("anna", host.endpoint)
    receive_from(subscriber, host)


def test_it_reads_on_without_the_directory_and_follows_the_next_one(directory, server, opened):
    old, new = opened(Host(1)), opened(Host(2))
    first = directory.publish("anna", old.endpoint)
    subscriber = follow(opened, server.endpoint)
    receive_from(subscriber, old)
    server.close()
    eventually(lambda: subscriber.newest("mask", 0.02) is None and "has disconnected" in subscriber.reason)
    receive_from(subscriber, old)
    restarted = StreamDirectory(lambda: 0)  # whose clock was set back
    restarted.restore(first)
    opened(DirectoryServer(server.endpoint, restarted, KnownHosts()))
    restarted.publish("anna", new.endpoint)
    receive_from(subscriber, new)


def test_another_wearer_on_a_reused_port_is_never_shown(directory, server, opened):
    old = Host(1)
    directory.publish("anna", old.endpoint)
    subscriber = follow(opened, server.endpoint)
    receive_from(subscriber, old)
    old.socket.close()
    other = opened(Host(9, stream="berta", endpoint=old.endpoint))
    again = Host(2)
    again.publisher = MessagePublisher(other.socket, "anna", time.monotonic_ns)
    assert set(receive_from(subscriber, again, other)) == {2}
    again.socket.close()


def test_what_a_move_loses_is_counted(directory, server, opened):
    old, new = opened(Host(1)), opened(Host(2))
    directory.publish("anna", old.endpoint)
    subscriber = follow(opened, server.endpoint)
    receive_from(subscriber, old)
    for _ in range(5):
        new.publish()  # to nobody
    lost = subscriber.lost
    directory.publish("anna", new.endpoint)
    receive_from(subscriber, new)
    assert subscriber.lost >= lost + 5


def test_a_directory_that_answers_nonsense_changes_nothing(opened):
    liar = opened(ReplySocket("tcp://127.0.0.1:0"))
    subscriber = follow(opened, liar.endpoint)
    location = {"stream": "anna", "endpoint": "tcp://127.0.0.1:1", "epoch": 1, "server_key": ""}
    answers = [b"\xc1", pack_reply(), pack_reply(location={**location, "stream": "berta"}),
               pack_reply(location={**location, "endpoint": "tcp://a b:1"}),
               pack_reply(location={**location, "endpoint": "tcp://127.0.0.1:99999"})]  # fmt: skip

    def has_answered():
        assert subscriber.newest("mask", 0.01) is None
        if (request := liar.receive(0.01)) is not None:
            liar.reply(request.client, answers.pop())
        return not answers

    eventually(has_answered)
    eventually(lambda: subscriber.newest("mask", 0.01) is None and "has not answered" not in subscriber.reason)
    assert subscriber.moves == 0


def test_the_directory_refuses_what_it_does_not_know(server, opened):
    client = opened(DirectoryClient(server.endpoint, timeout_s=60))
    assert client.list_streams() == []
    assert client.find_stream("anna") is None
    assert client.list_hosts()["hosts"][0]["streams"] == ["anna", "ben"]
    client.drain_host("one")
    with pytest.raises(WireError, match="there is no host 'two'; known is one"):
        client.resume_host("two")
    assert server.refused == 1


def test_keys_decide_who_asks_and_who_drains(directory, opened, tmp_path):
    machine, guest = KeyFolder(tmp_path / "machine"), KeyFolder(tmp_path / "guest")
    for folder in (machine, guest):
        folder.write_own(make_key_pair())
    access = ServerAccess(machine, output="directory")
    server = opened(DirectoryServer("tcp://127.0.0.1:0", directory, KnownHosts(), access))
    host = opened(Host(1, access=ServerAccess(machine)))
    directory.publish("anna", host.endpoint, machine.read_own().public)
    options = {"keys": guest.path, "server_key": machine.read_own().public}
    subscriber = follow(opened, server.endpoint, **options)
    with pytest.raises(AccessError, match="does not allow this key"):
        eventually(lambda: subscriber.newest("mask", 0.1))
    machine.allow_client(AllowedClient(guest.read_own().public, "guest"))
    eventually(lambda: _is_allowed(subscriber))
    receive_from(subscriber, host)
    client = opened(DirectoryClient(server.endpoint, timeout_s=60, **options))
    with pytest.raises(WireError, match="--may control"):
        client.drain_host("one")
    machine.allow_client(AllowedClient(guest.read_own().public, "guest", ("control",)))
    client.drain_host("one")
    directory.publish("ben", host.endpoint, machine.read_own().public)
    machine.allow_client(AllowedClient(guest.read_own().public, "guest", ("control",), ("anna",)))
    assert client.list_streams() == ["anna"]
    assert client.find_stream("anna") is not None
    for ask in (lambda: client.find_stream("ben"), client.list_hosts, lambda: client.drain_host("one")):
        with pytest.raises(WireError, match="this key may only ask for the streams anna"):
            ask()


def _is_allowed(subscriber):
    try:
        subscriber.newest("mask", 0.05)
    except AccessError:
        return False
    return subscriber.reason == ""


def test_the_command_lists_hosts_and_drains_one(server, capsys):
    assert main(["hosts", server.endpoint, "--drain", "one"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "one        up        30% of 1     vm:7  anna, ben",
        "eve does not run: no room",
        "3 more wearers fit, by the measured cost of those that run",
    ]
    assert main(["hosts", server.endpoint, "--resume", "two"]) == 2
    assert "there is no host 'two'; known is one" in capsys.readouterr().err
