"""Implements `gazecast export`: a recording as video, table, data set or ROS 2 bag, each complete or absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

from rich.console import Console

from realtime.commands.export.coco import export_coco, report_times
from realtime.commands.export.csv_table import format_csv
from realtime.commands.export.label_studio import export_label_studio
from realtime.commands.export.targets import DATA_SETS, ExportTargets, OnTime, format_count, resolve_target
from realtime.commands.export.video import export_video
from realtime.commands.export.yolo import export_yolo
from realtime.correction.corrected_masks import CorrectedMasks
from realtime.correction.state import CorrectionState
from realtime.errors import RecordingError, RunFailed, VideoError
from realtime.files import write_atomically
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import show_bar
from realtime.recording.format import GAZE
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import read_events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import detect_visits, group_by_object
from realtime.robotics.ros2.bag import write_bag
from realtime.robotics.ros2.message_types import load_types


def export(
    recording: RecordingReader, labels: LabelFile, targets: ExportTargets, console: Console,
    state: CorrectionState | None = None,
) -> Iterator[str]:  # fmt: skip
    """Write each target and yield a line about it; raises `RecordingError`, and `RunFailed` for a failing disk.

    state: the corrections to apply, None for none.

    Nothing is begun unless every target is free. Ctrl-C leaves complete targets only.
    """
    if targets.ros2 is not None:
        load_types()
    wanted = {
        kind: resolve_target(path, recording, force=targets.force, is_folder=kind in DATA_SETS)
        for kind in _EXPORTS
        if (path := getattr(targets, kind)) is not None
    }
    for one, other in combinations(wanted.values(), 2):
        if one.is_relative_to(other) or other.is_relative_to(one):
            raise RecordingError(f"{one} and {other} are in each other's place; name another target")
    with InterruptHandler() as interrupts:
        for kind, path in wanted.items():
            label, passes, write = _EXPORTS[kind]
            with _raise_run_failed(label), _show_passes(console, label, passes, recording, interrupts) as on_time:
                path.parent.mkdir(parents=True, exist_ok=True)
                parts = write(recording, labels, path, targets, on_time, CorrectedMasks(state or CorrectionState()))
            damaged = format_count(
                recording.damaged, "damaged chunks of the recording, half a second each, are missing"
            )
            yield "; ".join(parts + damaged)


@contextmanager
def _show_passes(
    console: Console, label: str, passes: int, recording: RecordingReader, interrupts: InterruptHandler
) -> Iterator[OnTime]:
    """Show a bar over passes through the recording; its callback receives host times, ns, and raises after Ctrl-C."""
    start_ns, end_ns = (at_ns - recording.about.wall_ns for at_ns in recording.span_ns)
    span_ns, completed, last_ns = end_ns - start_ns, 0, start_ns
    with show_bar(console, f"{label:9}", passes * max(1, span_ns)) as on_progress:

        def on_time(host_ns: int) -> None:
            nonlocal completed, last_ns
            interrupts.raise_if_requested()
            if host_ns < last_ns - span_ns // 2:  # the next pass has begun
                completed += 1
            last_ns = host_ns
            on_progress(completed * span_ns + host_ns - start_ns)

        yield on_time


@contextmanager
def _raise_run_failed(label: str) -> Iterator[None]:
    """Convert an error while a target was written into `RunFailed`."""
    try:
        yield
    except VideoError as error:
        if not error.begun:
            raise
        raise RunFailed(f"{error}; nothing of it is left") from error
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        reason = f"{file}{error.strerror or error}"
        raise RunFailed(f"the {label} cannot be written: {reason}; nothing of it is left") from error


_Export = Callable[[RecordingReader, LabelFile, Path, ExportTargets, OnTime, CorrectedMasks], list[str]]
"""Writes one target, reporting host times, and returns the parts of a line about it."""


def _export_csv(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: OnTime,
    corrections: CorrectedMasks,
) -> list[str]:  # fmt: skip
    events = report_times(corrections.adjust(read_events(recording, (GAZE, "mask"))), on_time)
    visits = [visit for visit in detect_visits(events, recording.about, labels) if visit.keep]
    write_atomically(out, format_csv(visits).encode())
    return [f"{out}: {len(visits)} visits of {len(group_by_object(visits))} objects"]


def _export_ros2(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: OnTime,
    corrections: CorrectedMasks,
) -> list[str]:  # fmt: skip
    done = write_bag(recording, out, labels, on_time, correct=corrections.correct_message)
    line = f"{done.path}: {sum(done.counts.values())} messages on {len(done.counts)} topics of ROS 2"
    return [line, *format_count(done.undated, "overlays have no frame")]


_EXPORTS: dict[str, tuple[str, int, _Export]] = {
    "video": ("video", 1, export_video),
    "csv": ("table", 1, _export_csv),
    "coco": ("data set", 2, export_coco),
    "yolo": ("data set", 2, export_yolo),
    "label_studio": ("data set", 2, export_label_studio),
    "ros2": ("bag", 1, _export_ros2),
}
"""Field of `ExportTargets` -> label, passes through the recording, and function."""
