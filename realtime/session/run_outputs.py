"""Opens the outputs of one run: publisher, recording, 3D objects, robot formats and the request server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version

from realtime.comms.sockets.publisher import PublisherSocket
from realtime.config.schema import RunConfig, select_recorded_settings, to_toml
from realtime.errors import SettingsError
from realtime.infra.clock import now_ns
from realtime.infra.metrics import MetricsRegistry
from realtime.infra.service_manager import ServiceNotifier
from realtime.pipeline.control import CommandQueue, make_confirmation
from realtime.pipeline.observers import ObservedSender, PipelineObserver
from realtime.pipeline.prometheus import MetricsServer, PrometheusExporter
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.request_server import RequestServer
from realtime.pipeline.words import WordQueue
from realtime.recording.controller import RecordingController
from realtime.recording.format import RecordingInfo
from realtime.robotics.object3d_observer import Object3dObserver, open_object3d
from realtime.robotics.outputs import open_robot_outputs
from realtime.session.access import AccessObserver, choose_access, report_access
from realtime.session.depth_inputs import open_depth
from realtime.session.observers import CalibrationCheck, NewestResult, ViewObserver
from realtime.session.run_inputs import RunInputs
from realtime.session.service_observer import ServiceObserver
from realtime.session.view import RunView
from realtime.sources.base import CameraSource
from realtime.sources.names import redact_source


@dataclass(frozen=True)
class RunOutputs:
    """Holds the open outputs of a run; `observers` has all that take part beside the pipeline."""

    socket: PublisherSocket
    publisher: MessagePublisher
    recording: RecordingController
    calibration_check: CalibrationCheck
    newest: NewestResult
    commands: CommandQueue
    words: WordQueue
    observers: list[PipelineObserver]
    access: dict[str, str]
    """Who may connect, by output."""
    metrics: MetricsRegistry


def open_run_outputs(
    config: RunConfig, view: RunView, stack: ExitStack, inputs: RunInputs, stop: threading.Event
) -> RunOutputs:
    """Open the outputs and have `stack` close them.

    Raises `TransportError`, `SettingsError` or `SourceError`.
    """
    metrics = MetricsRegistry()
    access = choose_access(config.access, "publish", config.publish.endpoint)
    socket = PublisherSocket(config.publish.endpoint, access=access)
    stack.callback(socket.close, 0.1)
    report_access(access, socket.endpoint, view)
    recording = _open_recording(config, view, inputs)
    stack.callback(recording.close)
    check, newest = CalibrationCheck(inputs.calibration, inputs.gaze), NewestResult()
    observers: list[PipelineObserver] = [recording, check, ViewObserver(view, stop), AccessObserver(socket)]
    observers += [newest] if inputs.window is not None else []
    observers += [inputs.page] if inputs.page is not None else []
    publisher = MessagePublisher(ObservedSender(socket, observers), config.publish.stream, now_ns)
    commands = inputs.page.commands if inputs.page is not None else CommandQueue()
    observers += _open_pinch(config, view, stack, inputs, commands)
    if inputs.window is not None:
        inputs.window.on_confirm = lambda: commands.put(make_confirmation("key", _make_notice(view, inputs)))
    words = inputs.page.words if inputs.page is not None else WordQueue()
    outputs = RunOutputs(
        socket, publisher, recording, check, newest, commands, words, observers, {"publish": access.kind}, metrics
    )
    objects = _open_objects(config, stack, inputs, outputs)
    observers += [objects] if objects is not None else []
    observers += open_robot_outputs(config, objects, stack, view.progress.show_line)
    for output, address in (("foxglove", config.publish.foxglove), ("lerobot", config.publish.lerobot)):
        if address:
            outputs.access[output] = "open" if output in config.access.insecure else "loopback"
    if config.metrics or inputs.page is not None:
        observers += _open_metrics(config, view, stack, inputs, metrics)
    if (notifier := ServiceNotifier()).is_wanted:
        observers.append(ServiceObserver(notifier))
    if config.requests:
        access = choose_access(config.access, "requests", config.requests)
        requests = RequestServer(config.requests, config.publish.stream, commands, words, now_ns, access)
        stack.callback(requests.close)
        view.progress.show_line(f"answering requests at {requests.endpoint}")
        report_access(access, requests.endpoint, view)
        outputs.access["requests"] = access.kind
        observers.append(requests)
    return outputs


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


def _open_recording(config: RunConfig, view: RunView, inputs: RunInputs) -> RecordingController:
    """Make the recording controller, whose notices go to the terminal and the page."""
    info = RecordingInfo(
        config=to_toml(select_recorded_settings(config)), source=redact_source(config.source),
        frame_time=inputs.is_faster_than_real_time, encoding=config.publish.encoding, stream=config.publish.stream,
        program=version("gazecast"), pictures=config.record.frames != "none",
    )  # fmt: skip
    page, notice = inputs.page, _make_notice(view, inputs)
    if page is None:
        return RecordingController(config.record, info, now_ns, notice)
    recording = RecordingController(
        config.record, info, now_ns, notice, lambda on: page.recording.set_file(recording.path)
    )
    return recording


def _make_notice(view: RunView, inputs: RunInputs) -> Callable[[str], None]:
    """Return what shows a short text in the terminal and on the page."""
    page = inputs.page
    if page is None:
        return view.progress.show_line

    def show_notice(text: str) -> None:
        page.show_notice(text)
        view.progress.show_line(text)

    return show_notice


def _open_pinch(
    config: RunConfig, view: RunView, stack: ExitStack, inputs: RunInputs, commands: CommandQueue
) -> list[PipelineObserver]:
    """Start the worker that confirms by pinches, where it is enabled."""
    if not config.pinch.enabled:
        return []
    from realtime.session.pinch_input import open_pinch_worker

    worker = open_pinch_worker(
        config.pinch, config.models, commands, progress=view.progress, notice=_make_notice(view, inputs),
        every_frame=inputs.is_faster_than_real_time,
    )  # fmt: skip
    stack.callback(worker.close)
    return [worker]


def _open_objects(
    config: RunConfig, stack: ExitStack, inputs: RunInputs, outputs: RunOutputs
) -> Object3dObserver | None:
    """Start the observer that publishes `object3d`, where the camera is known, or will be."""
    device = inputs.frames if isinstance(inputs.frames, CameraSource) else None
    wants_depth = config.depth.source and (config.objects.camera is not None or device is not None)
    objects = open_object3d(
        open_depth(config.depth.source, inputs.frames, config.source, scale_m=config.depth.scale_m)
        if wants_depth
        else None,
        config.depth, config.objects, outputs.publisher,
        every_frame=inputs.is_faster_than_real_time, refuse=outputs.calibration_check.reject, device=device,
    )  # fmt: skip
    if objects is not None:
        stack.callback(objects.close)
        objects.start()
    return objects
