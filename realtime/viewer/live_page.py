"""Serves the live page of a run: the run's events go in, users' commands come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from realtime.comms.messages import HealthMessage
from realtime.config.viewer import ViewSettings
from realtime.errors import CommandRejected, PageError, RecordingError
from realtime.infra.clock import now_ns
from realtime.pipeline.control import USER_VERBS, CommandQueue, CommandVerb, UserCommand
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.pipeline.words import WordAnswer, WordQueue, WordRequest
from realtime.sources.browser import BrowserFrames, BrowserGaze
from realtime.sources.webcam_gaze.gaze_source import WebcamGaze
from realtime.tracking.word_search import WordState
from realtime.types import GazeSample
from realtime.viewer.frame_broadcaster import FrameBroadcaster
from realtime.viewer.interfaces import HttpResponse, PageHost, SendFrame, SendText
from realtime.viewer.live_handler import LiveHandler
from realtime.viewer.live_recording import LiveRecording
from realtime.viewer.page_input import PageInput
from realtime.viewer.page_messages import pack_text
from realtime.viewer.review_page import ReviewPage
from realtime.viewer.server import PageServer
from realtime.viewer.snapshot import SnapshotWorker
from realtime.viewer.whip_endpoint import OfferReceiver

HEALTH_FIELDS = (
    "state", "reason", "doing", "progress", "remaining_s", "rates", "latency_ms", "dropped", "memory_mib", "engine",
)  # fmt: skip


class LivePage(PipelineObserver, PageHost):
    """A page that serves a run from `__init__` to `close`, at `address`; every observer method returns at once."""

    name = "view"
    broadcaster: FrameBroadcaster

    def __init__(
        self,
        settings: ViewSettings,
        *,
        frames: BrowserFrames | None = None,
        gaze: BrowserGaze | None = None,
        webcam: WebcamGaze | None = None,
        whip: OfferReceiver | None = None,
        stream: str = "gazecast",
        source: str = "",
        least_confidence: float = 0.5,
        clock: Callable[[], time.struct_time] = time.localtime,
    ) -> None:
        """Bind and serve; raises `ViewerError`.

        frames, gaze, webcam: the sources that pages feed; None where they come from elsewhere. whip: receives wearers
        that connect over WebRTC. source: as the user named it. least_confidence: of gaze samples that are shown.
        clock: names snapshots.
        """
        self.commands, self.words = CommandQueue(), WordQueue()
        self._word: dict[str, Any] = {"text": "", "known": False, "found": False, "near": (), "error": ""}
        self.whip = whip
        self.broadcaster = FrameBroadcaster(settings.jpeg_quality, now_ns, least_confidence=least_confidence)
        self._hello = {
            "stream": stream, "source": source, "page_frames": frames is not None, "page_gaze": gaze is not None,
            "eyes": _describe_eyes(webcam), "eye_rate_hz": webcam.max_rate_hz if webcam else 0,
            "verbs": [], "homography": list(settings.homography), "display_size": list(settings.display_size),
        }  # fmt: skip
        self._health = ""
        self.render_metrics: Callable[[], bytes] | None = None
        """Writes the figures for Prometheus; None where its library is not installed."""
        self._settings, self._reviews = settings, dict[str, ReviewPage]()
        self._snapshots = SnapshotWorker(settings.snapshots, self.show_notice, clock)
        self.recording = LiveRecording(lambda text: self._server.broadcast(text))
        self._input, self._webcam = PageInput(frames, gaze, self.commands, webcam), webcam
        try:
            self._server = PageServer(settings, self)
        except BaseException:
            self.recording.labels.close()
            raise
        self.address = self._server.address
        if webcam is not None:
            webcam.on_report = lambda fields: self._server.broadcast(pack_text("eyes", **fields))
        self.broadcaster.start()
        self._snapshots.start()

    def on_connect(self, send_text: SendText, send_frame: SendFrame) -> LiveHandler:
        """Send a page `hello` and the current state, and return its handler."""
        health = (self._health,) if self._health else ()
        eyes = (pack_text("eyes", **self._webcam.state_fields()),) if self._webcam is not None else ()
        word = pack_text("word", **self._word)
        for text in (pack_text("hello", **self._hello), word, *health, *eyes, *self.recording.opening_messages()):
            send_text(text)
        change_label = self.recording.change_label
        return LiveHandler(
            send_text, send_frame, self.broadcaster, self._input, change_label, self.show_notice, self._set_word
        )

    def on_mask(self, result: FrameResult) -> None:
        """Show a frame with its mask."""
        self.broadcaster.publish(result)
        self.recording.add_result(result)

    def on_gaze(self, sample: GazeSample) -> None:
        """Show a gaze sample."""
        self.broadcaster.add_gaze(sample)

    def on_health(self, health: HealthMessage) -> None:
        """Show the state of the run, its rates, latencies and drops."""
        fields = {key: value for key, value in health.to_fields().items() if key in HEALTH_FIELDS}
        engine = {key: health.engine.get(key, "") for key in ("backend", "model", "precision", "picture_side")}
        self._health = pack_text("health", **{**fields, "engine": engine})
        self._server.broadcast(self._health)
        self.recording.send_changes()

    def on_word(self, word: WordState | None) -> None:
        """Show the word in force, and whether it is found."""
        if word is None:
            self._show_word(text="", known=False, found=False, near=())
        else:
            self._show_word(text=word.text, known=word.is_known, found=word.is_found)

    def _set_word(self, text: str) -> None:
        self.words.put(WordRequest(text, reply=self._on_word_answer))

    def _on_word_answer(self, answer: WordAnswer | CommandRejected) -> None:
        """Show names like an unknown word, or why a word was refused; the word itself comes by `on_word`."""
        if isinstance(answer, CommandRejected):
            self._show_word(error=str(answer))
        else:
            is_found = self._word["found"] and answer.text == self._word["text"]
            self._show_word(text=answer.text, known=answer.is_known, near=answer.near, found=is_found)

    def _show_word(self, error: str = "", **fields: Any) -> None:
        self._word = {**self._word, **fields, "error": error}
        self._server.broadcast(pack_text("word", **self._word))

    def on_command(self, command: UserCommand, result: FrameResult) -> None:
        """Write a snapshot of the frame if the command asks for one."""
        if command.verb == "snapshot":
            self._snapshots.on_mask(result)

    def respond(self, path: str, query: Mapping[str, str]) -> HttpResponse | None:
        """Return the thumbnail of an object of the recording, or the figures for Prometheus."""
        if path == "/metrics" and self.render_metrics is not None:
            return HttpResponse("text/plain; version=0.0.4", self.render_metrics())
        number = query.get("object", "")
        is_object = path == "/thumbnail.jpg" and number.isdecimal() and len(number) < 12
        jpeg = self.recording.thumbnails.jpeg(int(number)) if is_object else None
        return HttpResponse("image/jpeg", jpeg) if jpeg is not None else None

    def find_host(self, folder: str) -> ReviewPage | None:
        """Return the page of a recording of this run that has ended, in `review/NAME`; opened at its first use."""
        path = self.recording.finished.get(folder.removeprefix("review/"))
        if path is None or not folder.startswith("review/"):
            return None
        if folder not in self._reviews:
            try:
                self._reviews[folder] = ReviewPage(self._settings, path, self._server)
            except RecordingError as error:
                raise PageError(str(error)) from None
        return self._reviews[folder]

    def enable_verbs(self, verbs: Collection[CommandVerb]) -> None:
        """Enable the pages' buttons for these verbs."""
        self._hello["verbs"] = [verb for verb in USER_VERBS if verb in verbs]
        self._server.broadcast(pack_text("verbs", verbs=self._hello["verbs"]))

    def show_notice(self, text: str) -> None:
        """Show a short text on every page for some seconds."""
        self._server.broadcast(pack_text("notice", text=text))

    def drop_counts(self) -> dict[str, int]:
        """Count frames that viewers skipped and input that was refused, for `health`."""
        counts = {
            **self.broadcaster.drop_counts(), **self._input.dropped, "refused": self._server.refused,
            "commands lost": self.commands.dropped, "labels lost": self.recording.labels.lost,
        }  # fmt: skip
        return {f"view.{name}": count for name, count in counts.items() if count}

    def close(self) -> None:
        """Disconnect all pages and free the port, within a second."""
        self.recording.labels.close()
        self._server.close()
        for review in self._reviews.values():
            review.close()
        self.broadcaster.stop()
        self._snapshots.close()


def _describe_eyes(webcam: WebcamGaze | None) -> str:
    """Name whose camera films the eyes: "page", "server", or "" without gaze by webcam."""
    return "" if webcam is None else "page" if isinstance(webcam.camera, BrowserFrames) else "server"
