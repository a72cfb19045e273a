"""Answers where streams are published, on a thread."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import Any, Protocol

from realtime.comms.directory import (
    MAX_QUESTION_BYTES,
    DirectoryQuestion,
    DrainRequest,
    HostsQuestion,
    ResumeRequest,
    StreamQuestion,
    StreamsQuestion,
    read_question,
    required_permission,
)
from realtime.comms.requests import pack_refusal, pack_reply
from realtime.comms.sockets.curve import ServerAccess
from realtime.comms.sockets.request_reply import ClientId, ReceivedRequest, ReplySocket
from realtime.errors import AccessError, ClusterError, WireError
from realtime.serving.cluster.stream_directory import StreamDirectory

RECEIVE_S = 0.02
MAX_WAITING = 10_000
"""Clients whose replies are held back; more are answered at once."""
STOP_S = 1.0


class HostControl(Protocol):
    """Reports the hosts, and carries out what is requested of them; from any thread."""

    def describe_hosts(self) -> dict[str, Any]:
        """Return the fields of the reply to `hosts`."""

    def set_draining(self, host: str, is_draining: bool) -> None:
        """Begin or end draining; raises `ClusterError` for an unknown host."""


class DirectoryServer:
    """A server of a `StreamDirectory`, between `__init__` and `close`."""

    def __init__(
        self, endpoint: str, directory: StreamDirectory, control: HostControl, access: ServerAccess | None = None
    ) -> None:
        """Bind and serve; raises `TransportError`. access: who may connect; by default all of this machine."""
        self._directory, self._control = directory, control
        self._access = access or ServerAccess(output="directory")
        self._socket = ReplySocket(endpoint, max_bytes=MAX_QUESTION_BYTES, access=self._access)
        self.endpoint = self._socket.endpoint
        self.refused = 0
        """Requests that were refused."""
        self._waiting: dict[ClientId, tuple[StreamQuestion, float]] = {}
        self._seen_version = -1
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="gazecast-directory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop within a second, and free the port; idempotent."""
        self._stopping.set()
        self._thread.join(STOP_S)

    @property
    def refused_peers(self) -> int:
        """Number of handshakes that failed."""
        return self._socket.refused_peers

    def _serve(self) -> None:
        """Receive questions and answer them; the body of the thread."""
        try:
            while not self._stopping.is_set():
                received = self._socket.receive(RECEIVE_S)
                if received is not None:
                    self._receive(received)
                self._answer_waiting()
        finally:
            self._socket.close()

    def _receive(self, received: ReceivedRequest) -> None:
        client = received.client
        self._waiting.pop(client, None)
        try:
            question = read_question(received.payload)
            self._check_permission(question, received.client_key)
            if isinstance(question, StreamQuestion) and self._must_wait(question):
                self._waiting[client] = (question, time.monotonic() + question.wait_s)
                return
            reply = pack_reply(**self._answer(question, self._access.find_streams(received.client_key)))
        except Exception as error:  # one request that fails must not be the last
            self.refused += 1
            is_expected = isinstance(error, WireError | ClusterError | AccessError)
            reply = pack_refusal(str(error) if is_expected else f"{type(error).__name__}: {error}")
        self._socket.reply(client, reply)

    def _check_permission(self, question: DirectoryQuestion, client_key: str | None) -> None:
        if not self._access.allows(client_key, required_permission(question)):
            raise AccessError("this client may only ask for streams and hosts; on the directory's machine: "
                              f"gazecast keys allow {client_key or 'KEY'} --may control")  # fmt: skip
        streams = self._access.find_streams(client_key)
        is_own = isinstance(question, StreamsQuestion) or (
            isinstance(question, StreamQuestion) and question.stream in (streams or ())
        )
        if streams is not None and not is_own:
            raise AccessError(f"this key may only ask for the streams {', '.join(streams)}")

    def _must_wait(self, question: StreamQuestion) -> bool:
        if not question.wait_s or len(self._waiting) >= MAX_WAITING:
            return False
        location = self._directory.find(question.stream)
        return location is None or location.epoch <= question.after

    def _answer_waiting(self) -> None:
        """Answer those whose stream has moved, or whose time is over."""
        now_s, version = time.monotonic(), self._directory.version
        has_changed = version != self._seen_version
        self._seen_version = version
        done = [
            client
            for client, (question, until_s) in self._waiting.items()
            if now_s >= until_s or (has_changed and not self._must_wait(question))
        ]
        for client in done:
            question, _ = self._waiting.pop(client)
            self._socket.reply(client, pack_reply(**self._answer(question)))

    def _answer(self, question: DirectoryQuestion, allowed: tuple[str, ...] | None = None) -> dict[str, Any]:
        """Return the fields of the reply. allowed: the streams that its client may know; None for all."""
        match question:
            case StreamQuestion(stream):
                location = self._directory.find(stream)
                return {"location": None if location is None else asdict(location)}
            case StreamsQuestion():
                known = self._directory.list_streams()
                return {"streams": [name for name in known if allowed is None or name in allowed]}
            case HostsQuestion():
                return self._control.describe_hosts()
            case DrainRequest(host) | ResumeRequest(host):
                self._control.set_draining(host, isinstance(question, DrainRequest))
                return {"host": host}
