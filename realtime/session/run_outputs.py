"""Opens what a process needs once besides the session of its wearer: sockets, metrics, reports of the run."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass

from realtime.comms.sockets.publisher import PublisherSocket
from realtime.config.schema import RunConfig
from realtime.errors import SettingsError
from realtime.infra.clock import now_ns
from realtime.infra.metrics import MetricsRegistry
from realtime.infra.service_manager import ServiceNotifier
from realtime.pipeline.observers import PipelineObserver
from realtime.pipeline.prometheus import MetricsServer, PrometheusExporter
from realtime.pipeline.request_server import RequestServer
from realtime.session.access import AccessObserver, choose_access, report_access
from realtime.session.observers import NewestResult, ViewObserver
from realtime.session.run_inputs import RunInputs
from realtime.session.service_observer import ServiceObserver
from realtime.session.session_outputs import SessionOutputs, make_notice, open_session_outputs
from realtime.session.view import RunView
from realtime.session.window_input import connect_keys


@dataclass(frozen=True)
class RunOutputs:
    """Holds the open outputs of a run: those of its session, its socket, and the newest result for its window."""

    session: SessionOutputs
    socket: PublisherSocket
    newest: NewestResult


def open_run_outputs(
    config: RunConfig, view: RunView, stack: ExitStack, inputs: RunInputs, stop: threading.Event
) -> RunOutputs:
    """Open the outputs and have `stack` close them.

    Raises `TransportError`, `SettingsError` or `SourceError`.
    """
    socket = open_publisher(config, view, stack)
    session, newest = open_session_outputs(config, view, stack, inputs, socket), NewestResult()
    session.access["publish"] = socket.access.kind
    observers = session.observers
    observers += [ViewObserver(view, stop), AccessObserver(socket)]
    if inputs.window is not None:
        observers.append(newest)
        notice = make_notice(view, inputs)
        connect_keys(inputs.window, session.commands, session.words, notice)
    for output, address in (("foxglove", config.publish.foxglove), ("lerobot", config.publish.lerobot)):
        if address:
            session.access[output] = "open" if output in config.access.insecure else "loopback"
    if config.metrics or inputs.page is not None:
        observers += _open_metrics(config, view, stack, inputs, session.metrics)
    if (notifier := ServiceNotifier()).is_wanted:
        observers.append(ServiceObserver(notifier))
    if config.requests:
        access = choose_access(config.access, "requests", config.requests)
        requests = RequestServer(
            config.requests, config.publish.stream, session.commands, session.words, now_ns, access
        )
        stack.callback(requests.close)
        view.progress.show_line(f"answering requests at {requests.endpoint}")
        report_access(access, requests.endpoint, view)
        session.access["requests"] = access.kind
        observers.append(requests)
    return RunOutputs(session, socket, newest)


def open_publisher(config: RunConfig, view: RunView, stack: ExitStack) -> PublisherSocket:
    """Bind the socket of the messages, and report who may connect; raises `TransportError`."""
    access = choose_access(config.access, "publish", config.publish.endpoint)
    socket = PublisherSocket(config.publish.endpoint, access=access)
    stack.callback(socket.close, 0.1)
    report_access(access, socket.endpoint, view)
    return socket


def _open_metrics(
    config: RunConfig, view: RunView, stack: ExitStack, inputs: RunInputs, metrics: MetricsRegistry
) -> list[PipelineObserver]:
    """Open the figures for Prometheus, at an address of their own and at the page's; none without the library."""
    try:
        exporter = PrometheusExporter(metrics)
    except SettingsError:
        if config.metrics:
            raise
        return []  # the page has them where it can
    if config.metrics:
        server = MetricsServer(config.metrics, exporter, is_open="metrics" in config.access.insecure)
        stack.callback(server.close)
        view.progress.show_line(f"metrics at {server.address}")
    if inputs.page is not None:
        inputs.page.render_metrics = exporter.render
    return [exporter]
