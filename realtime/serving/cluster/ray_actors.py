"""Runs hosts and the directory as actors of Ray, which starts and restarts their processes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from realtime.comms.requests import Request
from realtime.comms.sockets.curve import ServerAccess
from realtime.config.cluster import ClusterSettings
from realtime.infra.threads import run_to_end
from realtime.serving.cluster.cluster_sessions import ClusterSessions
from realtime.serving.cluster.directory_server import DirectoryServer
from realtime.serving.cluster.engine_host import EngineHost
from realtime.serving.cluster.hosts import HostReport, SessionOrder
from realtime.serving.cluster.stream_directory import StreamDirectory
from realtime.serving.cluster.supervisor import ClusterSupervisor
from realtime.serving.host_config import HostConfig
from realtime.serving.host_requests import HostRequests

STEP_S = 0.05
CALLS = 32
"""Calls that an actor executes at once: one waits for as long as it lives, an opening source may take seconds."""
log = logging.getLogger(__name__)


class HostActor(EngineHost):
    """An `EngineHost` in a process of its own."""

    def __init__(self, config: HostConfig, settings: ClusterSettings) -> None:
        """Open the engine and the socket, at the address of this machine in the cluster."""
        import ray

        super().__init__(ray.util.get_node_ip_address(), config, settings)

    def await_death(self) -> None:
        """Wait for ever: a call that fails tells that this process has died."""
        threading.Event().wait()


class ActorHandle:
    """Reaches a `HostActor`, as a `HostHandle`; used by one thread, but for `answer`."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._life: Any = None
        self._reported: Future[HostReport] | None = None

    def report(self) -> Future[HostReport]:
        """Report the host and its sessions."""
        self._reported = self._actor.report.remote().future()
        assert self._reported is not None
        return self._reported

    def open(self, order: SessionOrder) -> Future[str]:
        """Open a session and return where it is published."""
        opened: Future[str] = self._actor.open.remote(order).future()
        return opened

    def mark(self, stream: str, epoch: int) -> None:
        """Let the host remember the epoch of a session."""
        self._actor.mark.remote(stream, epoch)

    def close(self, stream: str) -> Future[None]:
        """Close a session."""
        closed: Future[None] = self._actor.close.remote(stream).future()
        return closed

    def answer(self, stream: str, request: Request) -> Future[bytes]:
        """Have a session answer a request about its wearer."""
        answered: Future[bytes] = self._actor.answer.remote(stream, request).future()
        return answered

    def is_lost(self) -> bool:
        """Return whether the process that answered last has died since the last call."""
        if self._life is None:
            reported = self._reported
            if reported is not None and reported.done() and reported.exception() is None:
                self._life = self._actor.await_death.remote()
            return False
        if not self._ray.wait([self._life], timeout=0)[0]:
            return False
        self._life = self._reported = None
        return True


class DirectoryActor:
    """Supervises the hosts, and answers where their streams are, in a process of its own.

    Where it dies, hosts and subscribers go on, and Ray starts it again: it then takes over what the hosts report.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        spares: Sequence[str],
        orders: Sequence[SessionOrder],
        config: HostConfig,
        settings: ClusterSettings,
    ) -> None:
        """hosts: names of the actors, which are found anew after a restart.

        Raises `TransportError` where the address of the directory, or of requests, cannot be used.
        """
        import ray

        from realtime.session.access import choose_access

        directory = StreamDirectory(time.time_ns)
        handles = {name: ActorHandle(ray, ray.get_actor(name)) for name in hosts}
        self._supervisor = ClusterSupervisor(handles, orders, directory, spares=spares)
        defaults = config.defaults
        access: ServerAccess = choose_access(defaults.access, "directory", settings.directory)
        self._server = DirectoryServer(settings.directory, directory, self._supervisor, access)
        self._access = {"directory": access.kind}
        self._requests: HostRequests | None = None
        if defaults.requests:
            sessions = ClusterSessions(self._supervisor, config.host)
            access = choose_access(defaults.access, "requests", defaults.requests)
            self._requests = HostRequests(
                defaults.requests, sessions, defaults, access, client_files=config.host.client_files
            )
            self._access["requests"] = access.kind
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="gazecast-supervisor", daemon=True)
        self._thread.start()

    def describe(self) -> dict[str, Any]:
        """Return hosts, and sessions that do not run, with addresses, access and drops of directory and requests."""
        described = self._supervisor.describe_hosts()
        requests, refused = self._requests, self._server.refused_peers
        dropped = {"directory.refused_peers": refused} if refused else {}
        return {
            **described, "directory": self._server.endpoint, "requests": requests and requests.endpoint,
            "access": self._access, "dropped": {**dropped, **(requests.drop_counts() if requests else {})},
            "has_ended": requests is None and self._supervisor.has_ended(),
        }  # fmt: skip

    def close(self) -> None:
        """Stop within a second."""
        self._stopping.set()
        self._thread.join(1.0)
        self._server.close()
        if self._requests is not None:
            self._requests.close()

    def _supervise(self) -> None:
        step_until(self._stopping, self._supervisor.step)


def step_until(stopping: threading.Event, step: Callable[[float], None]) -> None:
    """Step until `stopping` is set, also after an error: without steps no session is placed or moved any more."""

    def step_all() -> None:
        while not stopping.wait(STEP_S):
            step(time.monotonic())

    run_to_end(step_all, stopping.is_set, lambda error: log.error("supervisor: %s", error, exc_info=error))
