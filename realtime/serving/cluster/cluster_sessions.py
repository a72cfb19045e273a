"""Opens, closes and lists the sessions of a cluster by requests."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from realtime.comms.requests import Request
from realtime.comms.session_requests import HostedStream
from realtime.config.schema import RunConfig
from realtime.errors import ClusterError, SessionRefused
from realtime.pipeline.session_requests import Reply, pack_error
from realtime.serving.cluster.hosts import SessionOrder
from realtime.serving.cluster.supervised import read_last_line
from realtime.serving.cluster.supervisor import ClusterSupervisor
from realtime.serving.host_config import HostSettings, check_session

OPEN_S = 30.0
"""How long a host may take to open a session."""
POLL_S = 0.05


class ClusterSessions:
    """The `SessionControl` of a cluster, whose supervisor places the sessions; every method from any thread."""

    def __init__(self, supervisor: ClusterSupervisor, settings: HostSettings) -> None:
        self._supervisor, self._settings = supervisor, settings
        self._lock = threading.Lock()

    def open_session(self, config: RunConfig) -> None:
        """Open a session on a host with room, and return once it runs there.

        Raises `ClusterFull` where no host has room, `SettingsError` where it cannot run beside the others, and
        `SessionRefused` with the reason of the host that cannot open it.
        """
        stream = config.publish.stream
        with self._lock:
            check_session(config, self._supervisor.list_configs(), self._settings)
            self._supervisor.add_session(SessionOrder.of(config, is_requested=True))
        until_s = time.monotonic() + OPEN_S
        while (failure := self._supervisor.find_failure(stream)) is None:
            if time.monotonic() > until_s:
                failure = f"it was not opened within {OPEN_S:.0f} s"
                break
            time.sleep(POLL_S)
        if failure:
            self._forget(stream)
            raise SessionRefused(f"session {stream}: {failure}")

    def close_session(self, stream: str) -> None:
        """Close a session; raises `ClusterError` for none."""
        self._supervisor.remove_session(stream)

    def list_streams(self) -> list[HostedStream]:
        """Return the states of all sessions."""
        return self._supervisor.list_streams()

    def describe_engine(self) -> dict[str, Any]:
        """Return the hosts, and how many more sessions fit."""
        return self._supervisor.describe_hosts()

    def submit(self, stream: str | None, request: Request, reply: Reply) -> None:
        """Have the host of a stream answer, the only one for None; raises `SessionRefused`.

        Where the host dies the client is told so: whether it has executed the request is not known.
        """

        def pass_on(answered: Future[bytes]) -> None:
            error = answered.exception()
            reply(answered.result() if error is None else pack_error(ClusterError(read_last_line(error))))

        self._supervisor.answer(stream, request).add_done_callback(pass_on)

    def _forget(self, stream: str) -> None:
        with suppress(ClusterError):  # closed meanwhile
            self._supervisor.remove_session(stream)
