"""Encrypts sockets with CURVE (https://rfc.zeromq.org/spec/26/), and decides who may connect.

A server has a key pair, and lets in the clients whose public keys its `KeyFolder` allows; a client has a key pair and
knows the server's public key. libzmq asks for each client by ZAP (https://rfc.zeromq.org/spec/27/) within the context.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import socket as sockets
import threading
import time
from dataclasses import dataclass

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from realtime.comms.hosts import check_host, is_loopback
from realtime.comms.keys import ClientAccess, KeyFolder, KeyPair, Permission, explain_exposure
from realtime.comms.sockets.base import split_endpoint
from realtime.errors import AccessError

log = logging.getLogger(__name__)
_monitors = itertools.count()
DOMAIN = b"gazecast"
USER_ID = "User-Id"
"""The metadata of a message that names its client's public key."""
LOG_EVERY_S = 10.0
HANDSHAKE_MS = 10_000
"""A peer that does not finish its handshake for so long is disconnected."""
MECHANISM_MISMATCH, CRYPTOGRAPHIC = 0x11000002, 0x11000001
"""Values of HANDSHAKE_FAILED_PROTOCOL: one side has no keys; a client that has another public key of the server."""
_FAILED_PEER = {MECHANISM_MISMATCH: "it has no key", CRYPTOGRAPHIC: "it has another key of this machine"}
_FAILURES = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL,
    zmq.Event.HANDSHAKE_FAILED_AUTH,
)
_ABORTS = 3
"""Handshakes that a server of another key breaks off before a client gives up; one may be a server that just ended."""


def check_curve() -> None:
    """Raise `AccessError` where libzmq cannot encrypt."""
    if not zmq.has("curve"):
        raise AccessError("this libzmq was built without encryption (libsodium); install pyzmq's own wheel instead")


def make_key_pair() -> KeyPair:
    """Make a new key pair; raises `AccessError` where libzmq cannot encrypt."""
    check_curve()
    return KeyPair(*(z85.decode(key).hex() for key in zmq.curve_keypair()))


def to_z85(key: str) -> str:
    """Convert a key from hex to the form that ZeroMQ's other bindings expect."""
    return z85.encode(bytes.fromhex(key)).decode()


def set_own_keys(socket: zmq.Socket[bytes], own: KeyPair) -> None:
    """Set the key pair of a socket; raises `AccessError` where the two do not belong together."""
    check_curve()
    secret = bytes.fromhex(own.secret)
    if z85.decode(zmq.curve_public(z85.encode(secret))).hex() != own.public:
        raise AccessError("the key of this machine is damaged: its public part is not that of its secret")
    socket.set(zmq.CURVE_SECRETKEY, secret)
    socket.set(zmq.CURVE_PUBLICKEY, bytes.fromhex(own.public))


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """Decides how a socket that binds lets peers in.

    keys: the key of this machine and those that it allows; None without keys, which only loopback has by default.
    is_open: without keys beyond loopback, too. output: the name of the socket in errors and settings.
    """

    keys: KeyFolder | None = None
    is_open: bool = False
    output: str = "publish"

    @property
    def kind(self) -> str:
        """The kind, as `health` names it: loopback, keys or open."""
        return "open" if self.is_open else "loopback" if self.keys is None else "keys"

    def check(self, endpoint: str) -> None:
        """Raise `AccessError` for an address that others can reach, without keys."""
        host = split_endpoint(endpoint, bind=True)[0]
        if self.keys is None and not self.is_open and not is_loopback(host):
            if host != "*":
                check_host(host)  # of a misspelt one
            raise AccessError(explain_exposure(endpoint, self.output))

    def allows(self, client_key: str | None, needed: Permission | None) -> bool:
        """Return whether a client may make a request; needed: what it takes beyond reading."""
        if self.keys is None:
            return needed is None or not self.is_open
        with contextlib.suppress(AccessError):  # of a file that was damaged meanwhile
            client = self.keys.find_client(client_key or "")
            return client is not None and (needed is None or needed in client.may)
        return False

    def find_streams(self, client_key: str | None) -> tuple[str, ...] | None:
        """Return the streams that a client may read and ask about; None for all."""
        if self.keys is None:
            return None
        with contextlib.suppress(AccessError):  # of a file that was damaged meanwhile
            client = self.keys.find_client(client_key or "")
            if client is not None:
                return client.streams or None
        return ()


class AccessGuard:
    """Lets in the clients whose keys are allowed, and counts the others, on a thread of its own."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], endpoint: str, keys: KeyFolder
    ) -> None:
        """Encrypt a socket before it binds; raises `AccessError` without a key of this machine."""
        set_own_keys(socket, keys.read_own())
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.ZAP_DOMAIN, DOMAIN)
        socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        self._socket, self._keys = socket, keys
        self.endpoint = endpoint
        """Names the socket in the log."""
        self._zap = context.socket(zmq.REP)
        self._zap.set(zmq.LINGER, 0)
        self._zap.bind("inproc://zeromq.zap.01")
        self._monitor = _open_monitor(socket)
        self.refused = 0
        """Handshakes that failed, of peers without a key, with a wrong one, and of other programs."""
        self._peers: dict[int, str] = {}
        self._failure = self._rejection = ""
        self._logged_s = -math.inf
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, name="gazecast-access", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop before the socket is closed, on the thread that closes it; safe to call twice."""
        self._is_closing = True
        if self._thread.is_alive():
            self._socket.disable_monitor()  # which the thread receives as an event
            self._thread.join(1.0)

    # -- the guard's thread -------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        poller = zmq.Poller()
        for each in (self._zap, self._monitor):
            poller.register(each, zmq.POLLIN)
        while not self._is_closing:
            try:
                self._serve_ready(poller)
                break
            except Exception as error:  # such as no memory
                self._on_error(error)
        self._zap.close(0)
        self._monitor.close(0)

    def _serve_ready(self, poller: zmq.Poller) -> None:
        """Answer and note what comes, until the socket is closed."""
        while True:
            ready = dict(poller.poll())
            if self._zap in ready:
                self._answer(self._zap.recv_multipart())
            if self._monitor in ready and not self._note_event():
                return

    def _on_error(self, error: Exception) -> None:
        """Log an error, and answer the client that waits: a REP socket receives nothing until then."""
        log.warning("%s: %s", self.endpoint, error)
        with contextlib.suppress(zmq.ZMQError):
            self._zap.send_multipart([b"1.0", b"1", b"500", b"no memory", b"", b""])

    def _answer(self, parts: list[bytes]) -> None:
        """Answer libzmq whether a client with this key may connect."""
        version, request, _, address, _, _, *credentials = parts
        key = credentials[0].hex() if credentials else ""
        try:
            is_allowed, reason = self._keys.find_client(key) is not None, f"its key {key} is not allowed"
        except AccessError as error:
            is_allowed, reason = False, str(error)
        if not is_allowed:
            self._rejection = f"{address.decode(errors='replace')}: {reason}"
        status = (b"200", b"OK", key.encode()) if is_allowed else (b"400", b"the key is not allowed", b"")
        self._zap.send_multipart([version, request, *status, b""])

    def _note_event(self) -> bool:
        """Process one event of the socket; False once it is closed."""
        event = recv_monitor_message(self._monitor)
        kind, value = event["event"], event["value"]
        if kind == zmq.Event.ACCEPTED:
            self._peers[value] = _peer_address(value)
        elif kind in _FAILURES:
            self.refused += 1
            self._failure = _FAILED_PEER.get(value, "it ended the handshake, or is no ZeroMQ client")
            if kind == zmq.Event.HANDSHAKE_FAILED_AUTH:
                self._failure = self._rejection
        elif kind == zmq.Event.DISCONNECTED:  # right behind the failure, and with the connection that it was
            address = self._peers.pop(value, "")
            if self._failure:
                self._log_refusal(address)
            self._failure = ""
        return bool(kind != zmq.Event.MONITOR_STOPPED)

    def _log_refusal(self, address: str) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now_s
            peer = "" if self._failure is self._rejection else f"{address or 'unknown address'}: "
            log.warning("refused a client of %s: %s%s (%d so far)", self.endpoint, peer, self._failure, self.refused)


def open_guard(
    context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes], endpoint: str, access: ServerAccess
) -> AccessGuard | None:
    """Check the address of a socket before it binds, and guard it where it has keys; raises `AccessError`."""
    access.check(endpoint)
    return AccessGuard(context, socket, endpoint, access.keys) if access.keys is not None else None


def _open_monitor(socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """Return the socket that receives another one's events.

    Its name is of its own: that of pyzmq is a file number, which a socket that was left open and collected gives back
    before its monitor has gone.
    """
    monitor: zmq.Socket[bytes] = socket.get_monitor_socket(addr=f"inproc://gazecast-monitor-{next(_monitors)}")
    return monitor


class HandshakeMonitor:
    """Watches the handshakes of a client's socket, and explains why its server refuses it."""

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, access: ClientAccess | None) -> None:
        """Set the keys of a socket before it connects; raises `AccessError`."""
        self._socket, self._endpoint, self._access = socket, endpoint, access
        self.refusal = ""
        """Why the server refuses; empty as long as it does not."""
        self._aborts = 0
        if access is not None:
            set_own_keys(socket, access.own)
            socket.set(zmq.CURVE_SERVERKEY, bytes.fromhex(access.server_key))
        self.socket = _open_monitor(socket)
        self.socket.set(zmq.LINGER, 0)

    def read_events(self) -> list[int]:
        """Return the events since the last call, and update `refusal`."""
        found: list[int] = []
        while self.socket.poll(0):
            event = recv_monitor_message(self.socket)
            found.append(event["event"])
            self._note_event(event["event"], event["value"])
        return found

    def close(self) -> None:
        """Stop watching, before the socket is closed."""
        self._socket.disable_monitor()
        self.socket.close(0)

    def _note_event(self, kind: int, value: int) -> None:
        access, endpoint = self._access, self._endpoint
        if kind == zmq.Event.HANDSHAKE_SUCCEEDED:
            self.refusal, self._aborts = "", 0
        elif kind == zmq.Event.HANDSHAKE_FAILED_AUTH and access is not None:
            self.refusal = f"{endpoint} does not allow this key; run there: gazecast keys allow {access.own.public}"
        elif kind == zmq.Event.HANDSHAKE_FAILED_PROTOCOL and value == MECHANISM_MISMATCH:
            host = split_endpoint(endpoint)[0]
            self.refusal = (
                f"{endpoint} needs a key: gazecast keys new; then gazecast keys trust {host} KEY, with the KEY that "
                "`gazecast keys show` prints there"
                if access is None
                else f"{endpoint} uses no keys, though one of it is known here; nothing was sent"
            )
        elif kind in _FAILURES and access is not None:
            self._aborts += 1
            if self._aborts >= _ABORTS:
                self.refusal = (
                    f"{endpoint} has another key than the one that is known here, {access.server_key[:8]}..., or uses "
                    "none; compare it with `gazecast keys show` there"
                )


def _peer_address(descriptor: int) -> str:
    """Return the address of a connection's peer; empty when it is closed already."""
    with contextlib.suppress(OSError), sockets.socket(fileno=os.dup(descriptor)) as copy:
        return str(copy.getpeername()[0])
    return ""
