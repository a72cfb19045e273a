"""Asks a directory where streams are published."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from realtime.comms.directory import (
    DEFAULT_DIRECTORY,
    MAX_DIRECTORY_BYTES,
    StreamLocation,
    read_location,
)
from realtime.comms.keys import ClientAccess
from realtime.comms.requests import pack_request, read_reply
from realtime.comms.sockets.base import check_endpoint, find_access
from realtime.comms.sockets.request_reply import RequestSocket
from realtime.errors import AccessError, TransportError, WireError

WAIT_S = 2.0
"""How long the directory may hold its reply back."""
GRACE_S = 2.0
"""How much later than that the reply may come; then the request is sent anew."""
RETRY_S = 0.5
"""The time before the next request after a failed one."""


class LocationWatch:
    """Watches where one stream is published, without blocking; used by one thread.

    A location that is not newer than the last one, by its epoch, is ignored.
    """

    def __init__(self, endpoint: str, stream: str, access: ClientAccess | None = None) -> None:
        """Raises `TransportError` for an invalid address."""
        self._stream = stream
        self._remote = RequestSocket(endpoint, timeout_s=GRACE_S, max_bytes=MAX_DIRECTORY_BYTES, access=access)
        self._endpoint, self._epoch = endpoint, 0
        self._asked_s: float | None = None
        self._next_s = 0.0
        self.reason = f"{endpoint} has not answered yet"
        """Why the location is not known, or may be out of date; empty while the directory answers."""
        self.bad = 0
        """Replies that were refused."""

    def poll(self, timeout_s: float = 0.0) -> StreamLocation | None:
        """Return a newer location, waiting up to `timeout_s` for one; None without.

        Raises `AccessError` where the directory refuses this client; a later call tries again.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            now_s = time.monotonic()
            if self._asked_s is None and now_s < self._next_s:
                if self._next_s > until_s:
                    time.sleep(max(0.0, until_s - now_s))
                    return None
                time.sleep(self._next_s - now_s)
            if (location := self._exchange(max(0.0, until_s - time.monotonic()))) is not None:
                return location
            if time.monotonic() >= until_s:
                return None

    def close(self) -> None:
        """Disconnect."""
        self._remote.close()

    def _exchange(self, timeout_s: float) -> StreamLocation | None:
        """Ask unless a reply is awaited, and wait for it."""
        try:
            if self._asked_s is None:
                self._remote.send([pack_request("stream", stream=self._stream, after=self._epoch, wait_s=WAIT_S)])
                self._asked_s = time.monotonic()
            reply = self._remote.receive(min(timeout_s, WAIT_S + GRACE_S))
        except AccessError as error:
            self._give_up(str(error))
            raise
        except TransportError as error:
            self._give_up(str(error))
            return None
        if reply is not None:
            self._asked_s = None
            return self._read(reply)
        if self._remote.has_lost_peer:
            self._give_up(f"{self._endpoint} has disconnected")
        elif time.monotonic() - self._asked_s > WAIT_S + GRACE_S:
            self._give_up(f"{self._endpoint} does not answer")
        return None

    def _read(self, reply: bytes) -> StreamLocation | None:
        try:
            location = read_location(read_reply(reply), self._stream)
            if location is not None:
                check_endpoint(location.endpoint)
        except (WireError, TransportError) as error:
            self.bad += 1
            self.reason, self._next_s = str(error), time.monotonic() + RETRY_S
            return None
        if location is not None and location.epoch > self._epoch:
            self._epoch, self.reason = location.epoch, ""
            return location
        self.reason = "" if self._epoch else f"{self._endpoint} knows no stream {self._stream!r}"
        self._next_s = time.monotonic() + 0.1  # a directory that does not hold its replies back
        return None

    def _give_up(self, reason: str) -> None:
        """Drop the request; the next one is sent a little later."""
        self._remote.close()
        self.reason, self._asked_s, self._next_s = reason, None, time.monotonic() + RETRY_S


class DirectoryClient:
    """A client of a directory, for one thread; best used in a `with` block.

    Every call raises `WireError` with the reason when it was refused, `RequestTimeout` without a reply in time,
    `AccessError` when the directory refuses this client.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_DIRECTORY,
        *,
        timeout_s: float = 5.0,
        keys: Path | None = None,
        server_key: str | None = None,
    ) -> None:
        """Connect; raises `TransportError` for an invalid address. keys, server_key: as of `MaskSubscriber`."""
        access = find_access(endpoint, keys, server_key)
        self._remote = RequestSocket(endpoint, timeout_s=timeout_s, max_bytes=MAX_DIRECTORY_BYTES, access=access)

    def find_stream(self, stream: str) -> StreamLocation | None:
        """Find where a stream is published; None for nowhere."""
        return read_location(self._request("stream", stream=stream), stream)

    def list_streams(self) -> list[str]:
        """List the names of all streams."""
        return [str(name) for name in self._request("streams").get("streams", ())]

    def list_hosts(self) -> dict[str, Any]:
        """Return the hosts with their streams, and the streams that wait, with reasons."""
        return self._request("hosts")

    def drain_host(self, host: str) -> None:
        """Move the streams of a host to the others, one by one; it takes no new ones."""
        self._request("host.drain", host=host)

    def resume_host(self, host: str) -> None:
        """Let a host take streams again."""
        self._request("host.resume", host=host)

    def close(self) -> None:
        """Disconnect."""
        self._remote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, ask: str, **fields: Any) -> dict[str, Any]:
        return read_reply(self._remote.exchange([pack_request(ask, **fields)]))
