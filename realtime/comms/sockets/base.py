"""Binds and connects sockets, with the limits and address checks that all of them share."""

from __future__ import annotations

import errno
import math
import re
from pathlib import Path

import zmq

from realtime.comms.hosts import check_host
from realtime.comms.keys import ClientAccess, find_client_access
from realtime.errors import TransportError

MAX_MESSAGE_BYTES = 64 * 2**20
"""Ten times the 6.2 MB of a 1920 x 1080 BGR image."""

_ADDRESS = re.compile(r"tcp://(\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):(\d{1,5}|\*)")


def check_endpoint(endpoint: str, *, bind: bool = False) -> str:
    """Return the endpoint if it is tcp://HOST:PORT, else raise `TransportError`.

    bind: port 0 or *, which take a free port, are allowed.
    """
    found = _ADDRESS.fullmatch(endpoint)
    port = found.group(2) if found else ""
    usable = found is not None and (bind if port in ("*", "0") else 0 < int(port) < 65536)
    if not usable:
        raise TransportError(f"{endpoint!r} is no address; expected tcp://HOST:PORT with a port of 1 to 65535")
    return endpoint


def split_endpoint(endpoint: str, *, bind: bool = False) -> tuple[str, str]:
    """Return host, without brackets, and port of tcp://HOST:PORT; raises `TransportError` as `check_endpoint`."""
    found = _ADDRESS.fullmatch(check_endpoint(endpoint, bind=bind))
    assert found is not None
    return found[1].strip("[]"), found[2]


def check_endpoint_host(endpoint: str) -> None:
    """Raise `TransportError` where the endpoint's host cannot be resolved."""
    if found := _ADDRESS.fullmatch(endpoint):
        check_host(found.group(1))


def find_access(endpoint: str, keys: Path | None, server_key: str | None) -> ClientAccess | None:
    """Find the keys for an endpoint, as `find_client_access` does for its host and port."""
    return find_client_access(*split_endpoint(endpoint), keys=keys, server_key=server_key)


def whole_ms(wait_s: float) -> int:
    """Convert to whole milliseconds, rounded up so that a wait never becomes a busy loop."""
    return max(0, math.ceil(wait_s * 1000))


def bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind and return the endpoint with the real port; raises `TransportError`."""
    socket.set(zmq.IPV6, int("[" in endpoint))
    try:
        socket.bind(check_endpoint(endpoint, bind=True))
    except zmq.ZMQError as error:
        if error.errno == errno.ENODEV:  # of a name that is no network interface
            check_endpoint_host(endpoint)
        hint = {
            zmq.EADDRINUSE: "the port is in use; stop the program that holds it or choose another port",
            zmq.EADDRNOTAVAIL: "this machine has no such address; use 127.0.0.1, 0.0.0.0 or one of its own",
            errno.ENODEV: "this machine has no such address; use 127.0.0.1, 0.0.0.0 or one of its own",
        }.get(error.errno or 0, f"{error.strerror}; expected an address of this machine and a free port above 1023")
        raise TransportError(f"cannot listen on {endpoint}: {hint}") from error
    return socket.get_string(zmq.LAST_ENDPOINT)


def connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Connect, with heartbeats that detect a lost peer; raises `TransportError`."""
    socket.set(zmq.IPV6, int("[" in endpoint))
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.RECONNECT_IVL, 100),
        (zmq.RECONNECT_IVL_MAX, 1000),
        (zmq.HEARTBEAT_IVL, 1000),  # an unplugged cable closes no connection
        (zmq.HEARTBEAT_TIMEOUT, 3000),
    ):
        socket.set(option, value)
    try:
        socket.connect(check_endpoint(endpoint))
    except zmq.ZMQError as error:
        raise TransportError(f"cannot connect to {endpoint}: {error.strerror}; expected tcp://HOST:PORT") from error
