"""Answers the requests of other programs to a host: about its sessions, and about one wearer by the stream's name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from realtime.comms.requests import AddressedRequest, Request, pack_reply
from realtime.comms.session_requests import CloseSessionRequest, HostedStream, OpenSessionRequest, SessionsRequest
from realtime.comms.sockets.curve import ServerAccess
from realtime.config.schema import RunConfig
from realtime.errors import SessionRefused
from realtime.infra.output import escape_controls
from realtime.pipeline.request_server import RequestReceiver
from realtime.pipeline.session_requests import Reply, pack_error
from realtime.serving.host_config import read_session
from realtime.sources.names import parse_source

MAX_CHANGES = 16
"""Sessions that are opened or closed at once by requests; each has a thread, because a source may hang."""
CLIENT_KEYS = ("stream", "source", "gaze", "word", "tracker")
"""Settings of a session that every client may choose: none names a file of the host."""
_FILES_HINT = "where all programs of this machine may do that: gazecast serve --set host.client_files=true"


class SessionControl(Protocol):
    """Opens, closes and lists sessions: a `SessionHost`, or a cluster; every method from any thread."""

    def open_session(self, config: RunConfig) -> None:
        """Open a session; raises the reason where that is refused, or fails."""

    def close_session(self, stream: str) -> None:
        """Close a session; raises `GazecastError` for none."""

    def list_streams(self) -> list[HostedStream]:
        """Return the states of all sessions."""

    def describe_engine(self) -> dict[str, Any]:
        """Return what the sessions share, and how many fit."""

    def submit(self, stream: str | None, request: Request, reply: Reply) -> None:
        """Have the session of a stream answer, the only one for None; raises `SessionRefused`. From one thread."""


class HostRequests:
    """A server of requests to a host or cluster, from its construction to `close`."""

    def __init__(
        self,
        endpoint: str,
        host: SessionControl,
        defaults: RunConfig,
        access: ServerAccess | None = None,
        *,
        client_files: bool = False,
    ) -> None:
        """Bind and start to answer; raises `TransportError`.

        defaults: of sessions that are opened. client_files: as of `HostSettings`.
        """
        self._host, self._defaults, self._client_files = host, defaults, client_files
        self._access = access or ServerAccess(output="requests")
        self._changes = threading.BoundedSemaphore(MAX_CHANGES)
        self._receiver = RequestReceiver(endpoint, self._route, self._access)
        self.endpoint = self._receiver.endpoint

    def close(self) -> None:
        """Stop within half a second; idempotent."""
        self._receiver.close()

    def drop_counts(self) -> dict[str, int]:
        """Return the numbers of refused requests, refused clients and of replies that no client read."""
        return {name: count for name, count in self._receiver.drop_counts().items() if count}

    def _route(self, addressed: AddressedRequest, client_key: str | None, reply: Reply) -> None:
        request = addressed.request
        if isinstance(request, SessionsRequest):
            allowed = self._access.find_streams(client_key)
            sessions = [each for each in self._host.list_streams() if allowed is None or each.stream in allowed]
            described = [{**asdict(each), "reason": escape_controls(each.reason)} for each in sessions]
            reply(pack_reply(sessions=described, engine=self._host.describe_engine()))
        elif isinstance(request, OpenSessionRequest):
            config = self._read_session(request, client_key)
            self._change(lambda: self._host.open_session(config), config.publish.stream, reply)
        elif isinstance(request, CloseSessionRequest):
            self._change(lambda: self._host.close_session(request.stream), request.stream, reply)
        else:
            self._host.submit(addressed.stream, request, reply)

    def _read_session(self, request: OpenSessionRequest, client_key: str | None) -> RunConfig:
        """Read the settings of a session that a client may open; raises `SettingsError` or `SessionRefused`."""
        config = read_session(self._defaults, request.session, "session.open")
        if self._client_files and client_key is None:
            return config
        hint = f"; {_FILES_HINT}" if client_key is None else ""
        if foreign := [key for key in request.session if key not in CLIENT_KEYS]:
            names = ", ".join(map(repr, foreign))
            raise SessionRefused(f"a client may not choose {names:.80}, only {', '.join(CLIENT_KEYS)}{hint}")
        for spec in filter(None, (str(request.session.get(key, "")) for key in ("source", "gaze"))):
            if parse_source(spec).names_file:
                raise SessionRefused(f"a client may not open files of the host, such as {spec!r:.80}{hint}")
        return config

    def _change(self, change: Callable[[], None], stream: str, reply: Reply) -> None:
        """Open or close a session on a thread of its own, which replies."""
        if not self._changes.acquire(blocking=False):
            raise SessionRefused("too many sessions are being opened and closed already; ask again later")

        def run() -> None:
            try:
                change()
                reply(pack_reply(stream=stream))
            except Exception as error:  # one request that fails must not be the last
                reply(pack_error(error))
            finally:
                self._changes.release()

        threading.Thread(target=run, name=f"gazecast-session {stream}", daemon=True).start()
