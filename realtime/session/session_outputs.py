"""Opens the outputs of one wearer's session: publisher, recording, pinches, 3D objects, robot formats."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol

from realtime.config.schema import RunConfig, select_recorded_settings, to_toml
from realtime.correction.live_writer import LiveCorrectionWriter
from realtime.infra.clock import now_ns
from realtime.infra.metrics import MetricsRegistry
from realtime.pipeline.control import CommandQueue
from realtime.pipeline.observers import ObservedSender, PipelineObserver
from realtime.pipeline.publisher import MessagePublisher, MessageSender
from realtime.pipeline.words import WordQueue
from realtime.recording.controller import RecordingController
from realtime.recording.format import RecordingInfo
from realtime.robotics.object3d_observer import Object3dObserver, open_object3d
from realtime.robotics.outputs import open_robot_outputs
from realtime.session.depth_inputs import open_depth
from realtime.session.observers import CalibrationCheck
from realtime.session.run_inputs import RunInputs
from realtime.session.view import RunView
from realtime.sources.base import CameraSource
from realtime.sources.names import redact_source


class SubscribedSender(MessageSender, Protocol):
    """A sender that knows which topics are read."""

    def has_subscriber(self, topic: str) -> bool:
        """Return whether a topic has a subscriber, so that unread messages need not be made."""


@dataclass(frozen=True)
class SessionOutputs:
    """Holds the open outputs of a session.

    observers: all that take part beside the pipeline; those that are added before the start, too. access: who may
    connect, by output.
    """

    sender: SubscribedSender
    publisher: MessagePublisher
    recording: RecordingController
    calibration_check: CalibrationCheck
    commands: CommandQueue
    words: WordQueue
    observers: list[PipelineObserver]
    access: dict[str, str] = field(default_factory=dict)
    metrics: MetricsRegistry = field(default_factory=MetricsRegistry)


def open_session_outputs(
    config: RunConfig, view: RunView, stack: ExitStack, inputs: RunInputs, sender: SubscribedSender
) -> SessionOutputs:
    """Open the outputs and have `stack` close them; raises `TransportError`, `SettingsError` or `SourceError`.

    sender: sends what the session publishes; it stays open.
    """
    recording = _open_recording(config, view, inputs)
    stack.callback(recording.close)
    check = CalibrationCheck(inputs.calibration, inputs.gaze)
    corrections = LiveCorrectionWriter(lambda: recording.path if recording.has_pictures else None)
    stack.callback(corrections.close)
    observers: list[PipelineObserver] = [recording, check, corrections]
    page = inputs.page
    outputs = SessionOutputs(
        sender, MessagePublisher(ObservedSender(sender, observers), config.publish.stream, now_ns), recording, check,
        page.commands if page is not None else CommandQueue(), page.words if page is not None else WordQueue(),
        observers,
    )  # fmt: skip
    observers += [page] if page is not None else []
    observers += _open_pinch(config, view, stack, inputs, outputs.commands)
    objects = _open_objects(config, stack, inputs, outputs)
    observers += [objects] if objects is not None else []
    observers += open_robot_outputs(config, objects, stack, view.progress.show_line)
    return outputs


def make_notice(view: RunView, inputs: RunInputs) -> Callable[[str], None]:
    """Return what shows a short text in the terminal and on the page."""
    page = inputs.page
    if page is None:
        return view.progress.show_line

    def show_notice(text: str) -> None:
        page.show_notice(text)
        view.progress.show_line(text)

    return show_notice


def _open_recording(config: RunConfig, view: RunView, inputs: RunInputs) -> RecordingController:
    """Make the recording controller, whose notices go to the terminal and the page."""
    info = RecordingInfo(
        config=to_toml(select_recorded_settings(config)), source=redact_source(config.source),
        frame_time=inputs.is_faster_than_real_time, encoding=config.publish.encoding, stream=config.publish.stream,
        program=version("gazecast"), pictures=config.record.frames != "none",
    )  # fmt: skip
    page, notice = inputs.page, make_notice(view, inputs)
    if page is None:
        return RecordingController(config.record, info, now_ns, notice)
    recording = RecordingController(
        config.record, info, now_ns, notice, lambda on: page.recording.set_file(recording.path)
    )
    return recording


def _open_pinch(
    config: RunConfig, view: RunView, stack: ExitStack, inputs: RunInputs, commands: CommandQueue
) -> list[PipelineObserver]:
    """Start the worker that confirms by pinches, where it is enabled."""
    if not config.pinch.enabled:
        return []
    from realtime.session.pinch_input import open_pinch_worker

    worker = open_pinch_worker(
        config.pinch, config.models, commands, progress=view.progress, notice=make_notice(view, inputs),
        every_frame=inputs.is_faster_than_real_time,
    )  # fmt: skip
    stack.callback(worker.close)
    return [worker]


def _open_objects(
    config: RunConfig, stack: ExitStack, inputs: RunInputs, outputs: SessionOutputs
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
