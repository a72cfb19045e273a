"""Sockets: the only module that imports zmq. Thin wrappers that never block for long, never queue without a bound.

Who binds has a context of its own, ended on `close`, because only that makes libzmq give the port back before `close`
returns. Who connects shares the process's one context. A socket belongs to one thread; `Publisher` alone has a lock.
Imports nothing of ours.
"""

from __future__ import annotations

import errno
import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

MAX_MESSAGE_BYTES = 64 * 2**20
"""The largest message taken from anybody: four times a 1920 x 1080 BGR picture, with room."""

_ADDRESS = re.compile(r"tcp://(\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):(\d{1,5}|\*)")
_MAX_PARTS = 16
_REFUSAL_S = 0.1
"""libzmq says CONNECT_RETRIED within a millisecond of losing a peer, and never after it has thrown one out."""
_REBUILD_EVERY_S = 0.5
_THROWN_OUT = (
    zmq.Event.DISCONNECTED,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
    zmq.Event.HANDSHAKE_FAILED_AUTH,
)


class TransportError(Exception):
    """An address that cannot be used, or a peer that does not answer; the message says what to do."""


class NoAnswer(TransportError):
    """The peer did not answer in time; the next request starts afresh."""


def check_endpoint(endpoint: str, *, bind: bool = False) -> str:
    """The endpoint itself; `TransportError` unless it is tcp://HOST:PORT (port 0 or * only where one may be chosen)."""
    found = _ADDRESS.fullmatch(endpoint)
    port = found.group(2) if found else ""
    usable = found is not None and (bind if port in ("*", "0") else 0 < int(port) < 65536)
    if not usable:
        raise TransportError(f"{endpoint!r} is no address; expected tcp://HOST:PORT with a port of 1 to 65535")
    return endpoint


def _ms(wait_s: float) -> int:
    """Whole milliseconds, rounded up so that a wait never turns into a busy loop."""
    return max(0, math.ceil(wait_s * 1000))


def _bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind and return the address with the real port."""
    socket.set(zmq.IPV6, int("[" in endpoint))
    try:
        socket.bind(check_endpoint(endpoint, bind=True))
    except zmq.ZMQError as error:
        hint = {
            zmq.EADDRINUSE: "the port is in use; stop the program that holds it or choose another port",
            zmq.EADDRNOTAVAIL: "this machine has no such address; use 127.0.0.1, 0.0.0.0 or one of its own",
            errno.ENODEV: "this machine has no such address; use 127.0.0.1, 0.0.0.0 or one of its own",
        }.get(error.errno or 0, f"{error.strerror}; expected an address of this machine and a free port above 1023")
        raise TransportError(f"cannot listen on {endpoint}: {hint}") from error
    return socket.get_string(zmq.LAST_ENDPOINT)


def _connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    socket.set(zmq.IPV6, int("[" in endpoint))
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.RECONNECT_IVL, 100),
        (zmq.RECONNECT_IVL_MAX, 1000),
        (zmq.HEARTBEAT_IVL, 1000),  # a cable that is pulled sends no goodbye
        (zmq.HEARTBEAT_TIMEOUT, 3000),
    ):
        socket.set(option, value)
    try:
        socket.connect(check_endpoint(endpoint))
    except zmq.ZMQError as error:
        raise TransportError(f"cannot connect to {endpoint}: {error.strerror}; expected tcp://HOST:PORT") from error


class Publisher:
    """One bound PUB socket (an XPUB, in fact) that sends one-part messages `topic NUL payload`; any thread may send.

    A reader that is slow or stopped loses messages beyond `queue` and never slows the sender.
    """

    def __init__(self, endpoint: str, *, queue: int = 16) -> None:
        """Bind; port 0 takes a free one, which `endpoint` then names. `TransportError` where that cannot be."""
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        # XPUB is PUB on the wire, and says who subscribes to what.
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, queue)
        self._wanted: set[bytes] = set()
        try:
            self.endpoint = _bind(self._socket, endpoint)
        except TransportError:
            self.close()
            raise

    def send(self, topic: str, payload: bytes) -> bool:
        """Send to whoever listens; False when closed, as a thread may be late at stopping time."""
        message = topic.encode("ascii") + b"\0" + payload
        with self._lock:
            if self._socket.closed:
                return False
            # libzmq learns what readers have taken at most once a millisecond, unless asked; a burst of one message
            # per topic would run into the high-water mark of readers that keep up.
            self._socket.get(zmq.EVENTS)
            self._socket.send(message, zmq.NOBLOCK)
            return True

    def wanted(self, topic: str) -> bool:
        """Whether anybody subscribes to `topic` now, so that what nobody reads need not be made."""
        with self._lock:
            while not self._socket.closed and self._socket.poll(0):
                said = self._socket.recv()
                (self._wanted.add if said[:1] == b"\x01" else self._wanted.discard)(said[1:])
            message = topic.encode("ascii") + b"\0"
            return any(message.startswith(prefix) for prefix in self._wanted)

    def close(self, linger_s: float = 0.0) -> None:
        """Close and free the port before returning; wait up to `linger_s` for what was just sent to leave."""
        with self._lock:
            if not self._socket.closed:
                self._socket.close(int(linger_s * 1000))
                self._context.term()


class _Subscriber:
    """A connected SUB socket that comes back after its peer restarts or sends something beyond the limits.

    libzmq cuts off a peer that sends a part above MAXMSGSIZE or breaks the protocol, and never tries it again. The
    socket's monitor shows that, so the socket is built anew and the refusal counted.
    """

    def __init__(self, endpoint: str, prefixes: Sequence[bytes], options: Mapping[int, int]) -> None:
        self._endpoint, self._prefixes, self._options = endpoint, prefixes, options
        self.refused = 0
        self._cut_s: float | None = None
        self._built_s = 0.0
        self._build()

    def _build(self) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._poller = zmq.Poller()
        self._monitor: zmq.Socket[bytes] | None = None
        try:
            for option, value in self._options.items():
                self._socket.set(option, value)
            for prefix in self._prefixes:
                self._socket.subscribe(prefix)
            self._monitor = self._socket.get_monitor_socket()
            self._monitor.set(zmq.LINGER, 0)
            _connect(self._socket, self._endpoint)
        except TransportError:
            self.close()
            raise
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._cut_s, self._built_s = None, time.monotonic()

    def receive(self, timeout_s: float) -> list[bytes] | None:
        """The next message's parts, or None after the timeout."""
        until = time.monotonic() + timeout_s
        while True:
            wait_ms = _ms(until - time.monotonic())
            ready = dict(self._poller.poll(wait_ms if self._cut_s is None else min(wait_ms, 20)))
            if self._socket in ready:
                return self._socket.recv_multipart()
            self._watch()
            if time.monotonic() >= until:
                return None

    def _watch(self) -> None:
        """Rebuild the socket when libzmq has thrown the peer out."""
        now = time.monotonic()
        while self._monitor is not None and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event in _THROWN_OUT:
                self._cut_s = now
            elif event == zmq.Event.CONNECT_RETRIED:
                self._cut_s = None
        if self._cut_s is not None and now - self._cut_s > _REFUSAL_S and now - self._built_s > _REBUILD_EVERY_S:
            self.refused += 1
            self.close()
            self._build()

    def close(self) -> None:
        if not self._socket.closed:
            if self._monitor is not None:
                self._socket.disable_monitor()
                self._monitor.close(0)
            self._socket.close(0)


class Subscription:
    """Messages of one topic of a `Publisher`, used by one thread.

    `newest_only` (CONFLATE) keeps just the newest; otherwise up to `queue` wait here and those beyond are lost.
    """

    def __init__(
        self,
        endpoint: str,
        topic: str,
        *,
        newest_only: bool = True,
        queue: int = 64,
        max_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        """Connect, or wait for the publisher to appear; `TransportError` for an address that can never work."""
        self._prefix = topic.encode("ascii") + b"\0"
        options: dict[int, int] = {zmq.CONFLATE: 1} if newest_only else {zmq.RCVHWM: queue}
        self._subscriber = _Subscriber(endpoint, [self._prefix], {**options, zmq.MAXMSGSIZE: max_bytes})

    def receive(self, timeout_s: float) -> bytes | None:
        """The payload behind topic and NUL, or None after the timeout; a message of another layout is passed over."""
        until = time.monotonic() + timeout_s
        while True:
            parts = self._subscriber.receive(max(0.0, until - time.monotonic()))
            if parts is None:
                return None
            if len(parts) == 1 and parts[0].startswith(self._prefix):
                return parts[0][len(self._prefix) :]

    @property
    def refused(self) -> int:
        """How often the publisher was cut off for a message above `max_bytes`."""
        return self._subscriber.refused

    def close(self) -> None:
        """Disconnect; closing twice is fine."""
        self._subscriber.close()


class DeviceFeed:
    """Multipart messages of an eye tracker, used by one thread; beyond `queue` waiting ones new ones are lost."""

    def __init__(
        self, endpoint: str, topics: Sequence[str], *, queue: int = 64, max_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        """Connect, or wait for the device to appear. `topics` are prefixes."""
        self._max_bytes = max_bytes
        self._oversize = 0
        self._subscriber = _Subscriber(
            endpoint, [topic.encode() for topic in topics], {zmq.RCVHWM: queue, zmq.MAXMSGSIZE: max_bytes}
        )

    def receive(self, timeout_s: float) -> list[bytes] | None:
        """The next message's parts (topic, map, raw bytes ...), or None after the timeout or when it was too large."""
        parts = self._subscriber.receive(timeout_s)
        if parts is not None and (len(parts) > _MAX_PARTS or sum(map(len, parts)) > self._max_bytes):
            self._oversize += 1
            return None
        return parts

    @property
    def refused(self) -> int:
        """How many messages were above the limits; one whose single part is above them costs the connection too."""
        return self._oversize + self._subscriber.refused

    def close(self) -> None:
        """Disconnect; closing twice is fine."""
        self._subscriber.close()


class Remote:
    """Requests to a peer that answers one at a time (REQ to REP), used by one thread.

    After a timeout the socket is built anew: a REQ socket whose answer got lost would wait for it for ever.
    """

    def __init__(self, endpoint: str, *, timeout_s: float = 0.5) -> None:
        """`timeout_s` bounds every request, and so how long a thread that asks can keep its owner from stopping."""
        self._endpoint, self._timeout_s = check_endpoint(endpoint), timeout_s
        self._socket: zmq.Socket[bytes] | None = None

    def ask(self, request: str) -> str:
        """Send a text and return the answer's; `NoAnswer` after the timeout."""
        return self._exchange([request.encode()])

    def tell(self, topic: str, payload: bytes) -> str:
        """Send a message of two parts and return the answer's text; `NoAnswer` after the timeout."""
        return self._exchange([topic.encode(), payload])

    def _exchange(self, parts: list[bytes]) -> str:
        if self._socket is None:
            self._socket = zmq.Context.instance().socket(zmq.REQ)
            self._socket.set(zmq.MAXMSGSIZE, 64 * 1024)
            _connect(self._socket, self._endpoint)
        self._socket.send_multipart(parts)
        if not self._socket.poll(_ms(self._timeout_s)):
            self.close()
            raise NoAnswer(f"no answer from {self._endpoint} within {self._timeout_s:g} s")
        return self._socket.recv_multipart()[0].decode(errors="replace")

    def close(self) -> None:
        """Disconnect; the next request connects again."""
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None


class DeviceServer:
    """The sockets an eye tracker offers: a remote (REP), a feed (PUB), and a port where others may publish.

    One thread may `answer`, another `send`; join both before `close`.
    """

    def __init__(self, host: str, port: int, *, queue: int = 100) -> None:
        """Bind all three; `port` is the remote's, 0 takes a free one. `TransportError` where that cannot be."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._remote = self._context.socket(zmq.REP)
        self._feed = self._context.socket(zmq.PUB)
        self._sink = self._context.socket(zmq.SUB)  # subscribed to nothing: what is published there stays there
        self._feed.set(zmq.SNDHWM, queue)
        self._remote.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        try:
            self.port, self.publish_port, self.sink_port = (
                int(_bind(socket, f"tcp://{host}:{number}").rpartition(":")[2])
                for socket, number in ((self._remote, port), (self._feed, 0), (self._sink, 0))
            )
        except TransportError:
            self.close()
            raise

    def answer(self, reply: Callable[[list[bytes]], str], timeout_s: float) -> bool:
        """Wait for one request and answer it; False when none came."""
        if not self._remote.poll(_ms(timeout_s)):
            return False
        self._remote.send_string(reply(self._remote.recv_multipart()))
        return True

    def send(self, parts: Sequence[bytes]) -> None:
        """Publish one multipart message; a reader that is too slow loses it."""
        self._feed.send_multipart(list(parts), zmq.NOBLOCK)

    def close(self) -> None:
        """Close and free the ports before returning; closing twice is fine."""
        for socket in (self._remote, self._feed, self._sink):
            socket.close(0)
        self._context.term()
