"""Confirms the shown object by a pinch that the scene camera sees, on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable

from engines.landmarks.hand_landmarker import HandFinder
from realtime.infra.threads import lower_priority
from realtime.pipeline.control import CommandQueue, make_confirmation
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.result_worker import ResultWorker
from realtime.tracking.pinch_detector import PinchDetector, PinchSettings
from realtime.types import Frame

PINCH_NICE = 15
"""Below the encoder's priority: a pinch is still in the picture 50 ms later."""
RATE_TOLERANCE = 0.9
"""Share of the interval after which a frame is due: cameras are not exact."""


class PinchWorker(ResultWorker):
    """A worker that searches the newest frame for hands, at a bounded rate, and puts a command for each pinch.

    Its commands are recorded with the others, so that an exact replay needs neither hands nor their networks.
    """

    name = "pinch"

    def __init__(
        self,
        open_finder: Callable[[], HandFinder],
        settings: PinchSettings,
        commands: CommandQueue,
        notice: Callable[[str], None],
        *,
        every_frame: bool = False,
    ) -> None:
        """open_finder: called on the thread, whose priority the networks' own threads inherit.

        notice: receives why a pinch confirmed nothing. every_frame: no frame that is due is left out, as for a clip
        that is played as fast as possible.
        """
        super().__init__()
        self._open_finder, self._commands, self._notice = open_finder, commands, notice
        self._finder: HandFinder | None = None
        self._detector = PinchDetector(settings)
        self._interval_ns = round(RATE_TOLERANCE * 1e9 / settings.max_rate_hz)
        self._due_ns = -1
        self._put = self._results.put_when_empty if every_frame else self._results.put

    def on_frame(self, frame: Frame) -> None:
        """Replace the newest frame if it is due."""
        if not 0 < self._due_ns - frame.captured_ns <= self._interval_ns:
            self._due_ns = frame.captured_ns + self._interval_ns
            self._put(FrameResult(frame, None))

    def on_mask(self, result: FrameResult) -> None:
        """Ignore masks: hands are searched for before there is one."""

    def handle(self, result: FrameResult | None) -> None:
        """Search a frame for hands."""
        if result is None:
            return
        if self._finder is None:
            self._finder = self._open_finder()
        frame = result.frame
        hands = self._finder.find(frame.image)
        seen_ns = self._detector.update(hands, frame.size, frame.captured_ns)
        if seen_ns is not None:
            self._commands.put(make_confirmation("pinch", self._notice, seen_ns=seen_ns))

    def _run(self) -> None:
        lower_priority(PINCH_NICE)
        super()._run()
