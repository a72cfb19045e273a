"""Reads what subscribers of a publisher subscribe to, and grants each the streams that its key may read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import zmq

from realtime.comms.sockets.curve import USER_ID, ServerAccess
from realtime.comms.stream_filter import narrow_prefix


class SubscriptionTable:
    """A table of the prefixes that are subscribed to, of an XPUB socket that is not bound yet; one thread at a time.

    With keys libzmq leaves to this table what it applies (XPUB_MANUAL), so that nothing is sent before `update`.
    """

    def __init__(self, socket: zmq.Socket[bytes], access: ServerAccess) -> None:
        self._socket, self._access = socket, access
        self._counts: Counter[bytes] = Counter()
        self.prefixes = frozenset[bytes]()
        self.is_manual = access.keys is not None
        if self.is_manual:
            socket.set(zmq.XPUB_MANUAL, 1)

    def update(self) -> None:
        """Read the changes since the last call."""
        has_changed = False
        while not self._socket.closed and self._socket.poll(0):
            change, has_changed = self._socket.recv(copy=False), True
            is_new, prefix = change.bytes[:1] == b"\x01", change.bytes[1:]
            if self.is_manual:
                with suppress(zmq.ZMQError):  # of a connection that has ended, whose prefixes libzmq removes itself
                    for each in self._grant(str(change.get(USER_ID)), prefix):
                        self._socket.set(zmq.SUBSCRIBE if is_new else zmq.UNSUBSCRIBE, each)
            self._counts[prefix] += 1 if is_new else -1
            if self._counts[prefix] <= 0:
                del self._counts[prefix]
        if has_changed:
            self.prefixes = frozenset(self._counts)

    def _grant(self, client_key: str, prefix: bytes) -> Sequence[bytes]:
        """Return the prefixes that a client receives that subscribes to one."""
        streams = self._access.find_streams(client_key)
        return [prefix] if streams is None else narrow_prefix(prefix, streams)
