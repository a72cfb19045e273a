"""Collect views of a board from a live source, guided by a window or by lines of text. A thin shell."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from calibration.boards import BoardDetection, CalibrationBoard
from calibration.collecting import ViewCollector
from realtime.commands.calibrate.board_guide import draw_guidance
from realtime.errors import RunFailed
from realtime.infra.channels import Latest
from realtime.infra.interrupts import InterruptHandler
from realtime.session.inputs import open_frames
from realtime.sources.video_file import VideoFrames
from realtime.types import Frame, FrameSource, SourceStatus
from realtime.viewer.desktop_window import DesktopWindow

WAIT_S = 0.05


def collect_views(
    spec: str, board: CalibrationBoard, *, window: bool, most_views: int, show_line: Callable[[str], None]
) -> list[BoardDetection]:
    """Steady, new views of the board until they suffice, the source ends, or the user asks to stop.

    Raises `SourceError`, `WindowError`, and `RunFailed` where the source fails before it gave a picture.
    """
    slot: Latest[Frame] = Latest()
    source = open_frames(spec)
    shown = DesktopWindow("gazecast: calibrate camera", None) if window else None
    collector: ViewCollector | None = None
    try:
        with _started(source, slot, show_line), InterruptHandler() as interrupts:
            for frame in _frames(
                source, slot, lambda: interrupts.is_requested or (shown is not None and not shown.poll())
            ):
                collector = collector or ViewCollector(frame.size, max_views=most_views)
                detection = board.detect(frame.image, f"{frame.index:05}", quick=True)
                taken = collector.add_detection(detection)
                if shown is not None:
                    shown.show(draw_guidance(frame.image, collector.coverage, detection, taken))
                if taken == "taken":
                    share = f"{100 * collector.coverage.share:.0f} %"
                    show_line(
                        f"{len(collector.views)} views, {share}: {collector.coverage.next_instruction or 'enough'}"
                    )
                if collector.is_complete:
                    break
    finally:
        if shown is not None:
            shown.close()
    if collector is None:
        status = source.status()
        raise RunFailed(f"{spec} gave no picture: {status.reason or status.state}")
    return collector.views


@contextlib.contextmanager
def _started(source: FrameSource, slot: Latest[Frame], show_line: Callable[[str], None]) -> Iterator[None]:
    """The source, playing into the slot; a clip that is not played in real time waits for each frame to be seen."""
    patient = isinstance(source, VideoFrames) and not source.clock.real_time

    def tell(status: SourceStatus) -> None:
        if status.reason:
            show_line(f"{status.state}: {status.reason}")

    source.start(slot.put_when_empty if patient else slot.put, tell)
    try:
        yield
    finally:
        slot.close()
        source.stop()


def _frames(source: FrameSource, slot: Latest[Frame], stop: Callable[[], bool]) -> Iterator[Frame]:
    """Every frame that there is time for, until the source is over or `stop` says so."""
    while not stop():
        ended = source.status().state in ("ended", "failed")  # asked first, so that the last frame is not missed
        frame = slot.get(WAIT_S)
        if frame is not None:
            yield frame
        elif ended:
            return
