"""Draws masks over frames and publishes them as `overlay` on the overlay thread."""

from __future__ import annotations

from realtime.comms.messages import OverlayMessage
from realtime.media.jpeg import encode_jpeg
from realtime.media.overlay import draw_overlay
from realtime.pipeline.context import PipelineContext
from realtime.pipeline.observers import FrameResult
from realtime.types import FrameRef

FIRST_DEADLINE_S, DEADLINE_S = 20.0, 3.0
"""The time that one frame may take until the first overlay is drawn, which loads fonts, and afterwards."""


class OverlayWorker:
    """A worker that calls the observers' `on_mask` and publishes `overlay`, for the newest result only."""

    def __init__(self, context: PipelineContext) -> None:
        self._context = context
        self._heartbeat = context.watch_thread("overlay", FIRST_DEADLINE_S)

    def run(self) -> None:
        """Draw until the channel closes; the body of the overlay thread."""
        context = self._context
        while (result := context.to_draw.get()) is not None:
            with context.guard("overlay"), self._heartbeat.working():
                self._show(result)

    def _show(self, result: FrameResult) -> None:
        context = self._context
        context.notify(lambda observer: observer.on_mask(result))
        if not context.options.wants_overlay():
            return
        drawn = draw_overlay(result.frame.image, result.result)
        message = OverlayMessage(FrameRef.of(result.frame), encode_jpeg(drawn, context.options.jpeg_quality))
        stamp = context.publisher.publish("overlay", message.to_fields())
        context.metrics.count_event("overlays", stamp.published_ns)
        self._heartbeat.deadline_s = DEADLINE_S
