"""Holds sessions and their engine for a cluster, in the process that is a host."""

from __future__ import annotations

import os
import platform
import threading
import uuid
from concurrent.futures import Future
from contextlib import ExitStack, suppress

import cv2

from realtime.comms.keys import KeyFolder
from realtime.comms.requests import Request
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.config.cluster import ClusterSettings
from realtime.errors import SessionRefused, TransportError
from realtime.infra.event_log import log
from realtime.infra.machine import limit_memory_arenas
from realtime.infra.progress import ProgressReporter
from realtime.pipeline.prometheus import SessionsExporter
from realtime.pipeline.session_requests import pack_error
from realtime.serving.cluster.hosts import HostReport, SessionOrder, SessionReport
from realtime.serving.host_config import HostConfig
from realtime.serving.hosted_session import HostedSession
from realtime.serving.serve import open_host_engine
from realtime.serving.session_host import SessionHost
from realtime.session.access import choose_access

CAPACITY = 1.0
"""Of a host: the device that its engine has."""
EXPECTED_SESSIONS = 16
"""How many sessions a host is taken to hold before its engine was measured."""
ENDED = ("ended", "failed")
ANSWER_S = 30.0
"""How long a request about a wearer may take, such as a segmentation on a busy host."""


class LoggedProgress(ProgressReporter):
    """A progress reporter that writes lines to the log, which Ray keeps for each process."""

    def show_line(self, text: str) -> None:
        """Log one line of text."""
        log.info("%s", text)


class EngineHost:
    """A host of a cluster, from its construction to `close`; every method from any thread."""

    def __init__(self, address: str, config: HostConfig, settings: ClusterSettings) -> None:
        """Open the engine and the socket. address: of this machine, where others reach it.

        Raises `EngineError` or `TransportError`.
        """
        limit_memory_arenas()
        cv2.setNumThreads(1)  # each session tracks on one thread; the rest of the cores belongs to the engine
        self._incarnation = uuid.uuid4().hex
        self._epochs: dict[str, int] = {}
        self._orders: dict[str, SessionOrder] = {}  # of requested sessions
        self._exporter: SessionsExporter | None = None
        self._lock, self._submitting = threading.Lock(), threading.Lock()
        progress = LoggedProgress()
        with ExitStack() as stack:
            self._socket = _open_socket(address, config, settings)
            stack.callback(self._socket.close)
            engine = open_host_engine(config.defaults, config.sharing, progress)
            stack.callback(engine.close)
            self._share = engine.share
            self._host = SessionHost(config.host, self._socket, engine, progress)
            stack.callback(self._host.close)
            self._host.start()
            self._stack = stack.pop_all()
        keys = self._socket.access.keys
        self._server_key = _read_public_key(keys) if keys is not None else ""

    def open(self, order: SessionOrder) -> str:
        """Open a session, in place of one of its name, and return where it is published."""
        self.close(order.stream)
        self._host.open_session(order.config, is_admitted=order.is_admitted)
        if order.is_requested:
            with self._lock:
                self._orders[order.stream] = order
        return self._socket.endpoint

    def close(self, stream: str) -> None:
        """Close a session; one that is not there is fine."""
        with self._lock:
            self._epochs.pop(stream, None)
            self._orders.pop(stream, None)
        with suppress(SessionRefused):
            self._host.close_session(stream)

    def mark(self, stream: str, epoch: int) -> None:
        """Remember the epoch of a session."""
        with self._lock:
            self._epochs[stream] = epoch

    def answer(self, stream: str, request: Request) -> bytes:
        """Have a session answer a request about its wearer, and return the packed reply; it may wait for a frame."""
        answered: Future[bytes] = Future()
        try:
            with self._submitting:
                self._host.submit(stream, request, answered.set_result)
            return answered.result(ANSWER_S)
        except Exception as error:  # of one request
            return pack_error(error)

    def report(self) -> HostReport:
        """Report the host and its sessions."""
        cost = CAPACITY / (self._share.admit(0).fits or EXPECTED_SESSIONS)
        running = {session.stream: session for session in self._host.sessions()}
        reports = {stream: self._report_session(session, cost) for stream, session in running.items()}
        for each in self._host.list_streams():
            if each.stream not in running and each.state in ENDED:
                ending = f"{each.state}: {each.reason}" if each.reason else each.state
                reports[each.stream] = SessionReport(self._socket.endpoint, ending=ending)
        return HostReport(self._incarnation, CAPACITY, cost, platform.node(), os.getpid(), self._server_key, reports)

    def render_metrics(self) -> bytes:
        """Return the figures of all sessions as Prometheus' text; raises `SettingsError` without its library."""
        with self._lock:
            if self._exporter is None:
                self._exporter = SessionsExporter(
                    lambda: {each.stream: (each.metrics, each.health) for each in self._host.sessions()}
                )
        return self._exporter.render()

    def shut_down(self) -> None:
        """Close sessions, engine and socket; idempotent."""
        self._stack.close()

    def _report_session(self, session: HostedSession, cost: float) -> SessionReport:
        masks = session.metrics.totals().events.get("masks", 0)
        with self._lock:
            epoch, order = self._epochs.get(session.stream, 0), self._orders.get(session.stream)
        return SessionReport(self._socket.endpoint, epoch, cost, masks, order=order)


def _open_socket(address: str, config: HostConfig, settings: ClusterSettings) -> PublisherSocket:
    """Bind the first free port; raises `TransportError` where there is none."""
    host = f"[{address}]" if ":" in address else address
    for port in settings.ports:
        endpoint = f"tcp://{host}:{port}"
        access = choose_access(config.defaults.access, "publish", endpoint)
        try:
            return PublisherSocket(endpoint, access=access)
        except TransportError:
            if port == settings.ports[-1]:
                raise
    raise AssertionError("there is at least one port")


def _read_public_key(keys: KeyFolder) -> str:
    return keys.read_own().public
