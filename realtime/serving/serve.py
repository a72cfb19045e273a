"""Runs `gazecast serve`: opens engine, sockets and sessions of a host, and closes them again."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial

import cv2

from calibration import CalibrationError
from engines import EngineError
from realtime.comms.messages import HealthMessage
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.config.schema import RunConfig
from realtime.config.sharing import SharingSettings
from realtime.errors import GazecastError, RunFailed
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.machine import limit_memory_arenas
from realtime.infra.progress import ProgressReporter
from realtime.infra.service_manager import ServiceNotifier
from realtime.pipeline.prometheus import MetricsServer, SessionsExporter
from realtime.serving.host_config import HostConfig
from realtime.serving.host_engine import HostEngine
from realtime.serving.host_requests import HostRequests
from realtime.serving.session_host import SessionHost
from realtime.serving.shared_engine import SharedEngine
from realtime.session.access import choose_access, report_access
from realtime.session.engine import (
    CancellableProgress,
    apply_adapter,
    check_recognizer,
    list_fallback_engines,
    open_engine,
    open_recognizer,
    open_word_recognizer,
)
from realtime.session.run_outputs import open_publisher
from realtime.session.service_observer import ServiceObserver
from realtime.session.view import RunView
from realtime.sources.names import redact_source

POLL_S = 0.1


def serve(config: HostConfig, view: RunView, *, stop: threading.Event | None = None) -> None:
    """Serve until an interrupt, until `stop` is set, or until all sessions of a host without requests have ended.

    Raises `SettingsError`, `TransportError` or `EngineError` when it cannot start, KeyboardInterrupt when it is
    interrupted before that, `RunFailed` where no session could be opened. A session that cannot be opened is reported.
    """
    limit_memory_arenas()
    cv2.setNumThreads(1)  # each session tracks on one thread; the rest of the cores belongs to the engine
    stop = stop or threading.Event()
    with ExitStack() as stack:
        interrupts = stack.enter_context(InterruptHandler())
        socket = open_publisher(config.defaults, view, stack)
        engine = open_host_engine(config.defaults, config.sharing, CancellableProgress(view.progress, interrupts))
        stack.callback(engine.close)
        host = open_host(config, view, stack, socket, engine)
        for session in config.sessions:
            if stop.is_set() or interrupts.is_requested:
                return
            _open_session(host, session, view)
        host.start()
        streams = host.list_streams()
        if streams and all(each.state == "failed" for each in streams) and not config.defaults.requests:
            raise RunFailed("no session could be opened")
        view.on_ready(", ".join(each.stream for each in streams) or "no session yet", socket.endpoint)
        while not (stop.is_set() or interrupts.is_requested):
            if not (host.sessions() or config.defaults.requests):
                return
            stop.wait(POLL_S)


def open_host(
    config: HostConfig, view: RunView, stack: ExitStack, socket: PublisherSocket, engine: HostEngine
) -> SessionHost:
    """Open a host without sessions, its requests and metrics, and have `stack` close them.

    Raises `TransportError` or `SettingsError`.
    """
    notifier = ServiceNotifier()
    service = ServiceObserver(notifier) if notifier.is_wanted else None

    def observe_health(health: HealthMessage) -> None:
        view.on_health(health)
        if service is not None:
            service.on_health(health)

    defaults = config.defaults
    host = SessionHost(config.host, socket, engine, view.progress, observe_health=observe_health)
    stack.callback(host.close)
    if defaults.metrics:
        exporter = SessionsExporter(lambda: {each.stream: (each.metrics, each.health) for each in host.sessions()})
        server = MetricsServer(defaults.metrics, exporter, is_open="metrics" in defaults.access.insecure)
        stack.callback(server.close)
        view.progress.show_line(f"metrics at {server.address}")
    if defaults.requests:
        access = choose_access(defaults.access, "requests", defaults.requests)
        requests = HostRequests(defaults.requests, host, defaults, access, client_files=config.host.client_files)
        stack.callback(requests.close)
        view.progress.show_line(f"answering requests at {requests.endpoint}")
        report_access(access, requests.endpoint, view)
        host.access["requests"] = access.kind
        host.drop_counts = requests.drop_counts
    return host


def open_host_engine(config: RunConfig, sharing: SharingSettings, progress: ProgressReporter) -> HostEngine:
    """Open the engine that all sessions share; raises `EngineError`, and KeyboardInterrupt when it is cancelled."""
    config = apply_adapter(config)
    check_recognizer(config.engine, config.models)
    pair = open_engine(config.engine, config.models, None, progress)
    return HostEngine(
        SharedEngine(
            *pair,
            settings=sharing,
            fallbacks=list_fallback_engines(config.engine, config.models, ProgressReporter(), is_live=False),
        ),
        partial(open_recognizer, config.engine, config.models, progress),
        partial(open_word_recognizer, config.engine, config.models, progress),
        adapter=config.engine.adapter,
    )


def _open_session(host: SessionHost, config: RunConfig, view: RunView) -> None:
    """Open a session of the file; one that cannot be opened is reported, and none of the others' concern."""
    try:
        host.open_session(config)
    except (GazecastError, EngineError, CalibrationError, OSError) as error:
        view.progress.show_line(f"{config.publish.stream}: not opened: {error}")
        host.add_failure(config, redact_source(config.source), str(error))
