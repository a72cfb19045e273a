"""Holds one session of a host: opened, started and stopped without a wait for any other."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack

from realtime.comms.messages import HealthMessage
from realtime.comms.session_requests import HostedStream
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.config.schema import RunConfig
from realtime.infra.clock import now_ns
from realtime.infra.metrics import MetricsRegistry
from realtime.infra.progress import ProgressReporter
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.session_requests import SessionRequests
from realtime.pipeline.tracker_log import TrackerCall
from realtime.serving.host_engine import EngineClient, HostEngine
from realtime.serving.stream_sender import StreamSender
from realtime.session.run_inputs import open_run_inputs
from realtime.session.session_outputs import open_session_outputs
from realtime.session.wearer_session import WearerSession
from realtime.sources.names import redact_source
from realtime.types import Frame

START_S = 1.0
"""How long a stop waits for a start that is under way, and has been cancelled."""
GAZE_SETTINGS = 'gaze = "pupil://HOST:PORT", "lsl:" or "trace:FILE.csv" to the session, or word = "cup"'
log = logging.getLogger(__name__)


class StreamProgress(ProgressReporter):
    """A progress reporter that names the stream in each line."""

    def __init__(self, progress: ProgressReporter, stream: str) -> None:
        self._progress, self._stream = progress, stream

    def show_line(self, text: str) -> None:
        """Show one line of text."""
        self._progress.show_line(f"{self._stream}: {text}")


class SessionView:
    """The `RunView` of a session of a host, whose lines name the stream."""

    def __init__(self, progress: ProgressReporter, stream: str) -> None:
        self.progress: ProgressReporter = StreamProgress(progress, stream)

    def on_page(self, address: str) -> None:
        """Do nothing: a host serves no page."""

    def on_ready(self, source: str, endpoint: str) -> None:
        """Do nothing: `health` carries the state."""

    def on_health(self, health: HealthMessage) -> None:
        """Do nothing: the host shows its own."""


class HostedObserver(PipelineObserver):
    """An observer between a session and its host: newest `health`, priority by the object's state, overload."""

    name = "host"

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._is_locked = False
        self._received = self._tracked = 0
        self._counted = 0, 0
        self.health: HealthMessage | None = None

    def on_frame(self, frame: Frame) -> None:
        """Count a received frame."""
        self._received += 1

    def on_tracker_call(self, call: TrackerCall) -> None:
        """Count a tracked frame."""
        self._tracked += call.call == "frame"

    def on_mask(self, result: FrameResult) -> None:
        """Let the engine know whether the wearer looks at an object."""
        is_locked = result.result is not None and result.result.state == "locked"
        if is_locked != self._is_locked:
            self._is_locked = is_locked
            self._client.set_locked(is_locked)

    def on_health(self, health: HealthMessage) -> None:
        """Keep the newest, and let the engine know whether frames come, and how many of them are tracked."""
        counted = self._received, self._tracked
        self._client.count_frames(counted[0] - self._counted[0], counted[1] - self._counted[1])
        self._counted = counted
        self.health = health
        self._client.set_sending(health.rates.get("frames", 0.0) > 0)

    def problem(self) -> str:
        """Return why keyframes come later than they should."""
        return self._client.find_overload()


class HostedSession:
    """A session of a host, whose errors are its own: `start` and `stop` raise none, and wait for no other session."""

    def __init__(
        self,
        config: RunConfig,
        progress: ProgressReporter,
        socket: PublisherSocket,
        engine: HostEngine,
        *,
        max_fps: float = 0.0,
    ) -> None:
        """Open inputs and outputs; raises the errors of both, and `SettingsError` or `LearningError` for an adapter.

        After an error nothing is open.
        """
        self.config, self.stream = config, config.publish.stream
        engine.check_adapter(config)
        self._failure = ""
        self._lock = threading.Lock()
        view = SessionView(progress, self.stream)
        self._client = EngineClient(engine, self.stream, view.progress)
        self._observer = HostedObserver(self._client)
        with ExitStack() as stack:
            sender = StreamSender(socket, self.stream)
            stack.callback(self._client.close)
            stack.callback(sender.close)
            inputs = open_run_inputs(config, view, stack, window=False, gaze_hint=GAZE_SETTINGS)
            outputs = open_session_outputs(config, view, stack, inputs, sender)
            outputs.access["publish"] = socket.access.kind
            if config.record.file is not None:  # at once: where it cannot be written, there is no session
                outputs.recording.start(config.record.file)
            self.metrics: MetricsRegistry = outputs.metrics
            self.requests = SessionRequests(self.stream, outputs.commands, outputs.words, now_ns)
            stack.callback(self.requests.close)
            outputs.observers.extend((self.requests, self._observer))
            self._session = WearerSession(config, inputs, outputs, self._client, view.progress, max_fps=max_fps)
            stack.callback(self._session.stop)
            self._stack = stack.pop_all()
        self._starting = threading.Thread(target=self._start, name=f"gazecast-open {self.stream}", daemon=True)

    @property
    def health(self) -> HealthMessage | None:
        """The newest `health`; None before the first."""
        return self._observer.health

    @property
    def has_ended(self) -> bool:
        """Whether it will publish no more masks: its file has ended, it failed, or it must not go on."""
        return bool(self._failure or self._session.rejection or self._session.has_ended)

    def start(self) -> None:
        """Begin to start, on a thread of its own: the first frame may take seconds, or never come.

        Does nothing after `stop`.
        """
        with self._lock:
            if not self._client.is_cancelled:
                self._starting.start()

    def status(self) -> HostedStream:
        """Return the present state."""
        source = redact_source(self.config.source)
        if failure := self._failure or self._session.rejection:
            return HostedStream(self.stream, source, "failed", failure)
        if self._session.has_ended:
            return HostedStream(self.stream, source, "ended", self._session.end_reason)
        health = self.health
        if health is None:
            return HostedStream(self.stream, source, "starting", "")
        return HostedStream(self.stream, source, health.state, health.reason)

    def stop(self) -> None:
        """Stop, within a second where no source hangs; afterwards nothing is published. From any thread, idempotent."""
        self._client.is_cancelled = True
        with self._lock:
            if self._starting.ident is not None:
                self._starting.join(START_S)
            try:
                self._stack.close()
            except Exception:
                log.exception("session %s did not stop as it should", self.stream)

    def _start(self) -> None:
        try:
            self._session.start()
        except KeyboardInterrupt:  # cancelled
            pass
        except Exception as error:  # reported, and none of the others' concern
            self._failure = str(error) or type(error).__name__
            log.debug("session %s failed", self.stream, exc_info=True)
