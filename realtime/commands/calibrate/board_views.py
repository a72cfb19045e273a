"""Collects views of a board from a live source, guided by a window or text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from calibration.boards import BoardDetection, CalibrationBoard
from calibration.collecting import ViewCollector
from realtime.commands.calibrate.board_guide import draw_guidance
from realtime.errors import RunFailed
from realtime.infra.channels import Latest
from realtime.infra.interrupts import InterruptHandler
from realtime.session.inputs import open_frames
from realtime.sources.video.video_file import VideoFrames
from realtime.types import Frame, FrameSource, SourceStatus
from realtime.viewer.desktop_window import DesktopWindow

WAIT_S = 0.05


def collect_views(
    spec: str, board: CalibrationBoard, *, window: bool, most_views: int, show_line: Callable[[str], None]
) -> list[BoardDetection]:
    """Collect steady, new views until they suffice, the source ends, or the user stops.

    Raises `SourceError`, `WindowError`, and `RunFailed` if the source fails before its first frame.
    """
    slot: Latest[Frame] = Latest()
    source = open_frames(spec)
    display = DesktopWindow("gazecast: calibrate camera", None) if window else None
    collector: ViewCollector | None = None

    def show_status(status: SourceStatus) -> None:
        if status.reason:
            show_line(f"{status.state}: {status.reason}")

    try:
        # a clip that is not played in real time waits until each frame is processed
        is_unpaced = isinstance(source, VideoFrames) and not source.clock.real_time
        source.start(slot.put_when_empty if is_unpaced else slot.put, show_status)
        with InterruptHandler() as interrupts:
            for frame in _read_frames(
                source, slot, lambda: interrupts.is_requested or (display is not None and not display.poll())
            ):
                collector = collector or ViewCollector(frame.size, max_views=most_views)
                _add_frame(collector, frame, board, display, show_line)
                if collector.is_complete:
                    break
    finally:
        slot.close()
        source.stop()
        if display is not None:
            display.close()
    if collector is None:
        status = source.status()
        raise RunFailed(f"{spec} gave no picture: {status.reason or status.state}")
    return collector.views


def _add_frame(
    collector: ViewCollector, frame: Frame, board: CalibrationBoard, display: DesktopWindow | None,
    show_line: Callable[[str], None],
) -> None:  # fmt: skip
    """Collect the frame's view of the board if it adds to the others, and show what to do next."""
    detection = board.detect(frame.image, f"{frame.index:05}", quick=True)
    decision, coverage = collector.add_detection(detection), collector.coverage
    if display is not None:
        display.show(draw_guidance(frame.image, coverage, detection, decision))
    if decision == "taken":
        progress = f"{len(collector.views)} views, {100 * coverage.share:.0f} %"
        show_line(f"{progress}: {coverage.next_instruction or 'enough'}")


def _read_frames(source: FrameSource, slot: Latest[Frame], stop: Callable[[], bool]) -> Iterator[Frame]:
    """Yield the newest frames until the source ends or `stop` returns True."""
    while not stop():
        ended = source.status().state in ("ended", "failed")  # checked first, so that the last frame is not missed
        frame = slot.get(WAIT_S)
        if frame is not None:
            yield frame
        elif ended:
            return
