"""Implements `gazecast export`: a recording as video, table, data set or ROS 2 bag, each complete or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from rich.console import Console

from realtime.commands.export.coco import ANNOTATIONS, export_coco, report_times
from realtime.commands.export.csv_table import format_csv
from realtime.commands.export.video import write_video
from realtime.errors import RecordingError, RunFailed, VideoError
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import show_bar
from realtime.media.files import write_atomically
from realtime.recording.format import GAZE
from realtime.recording.labels import LabelFile, labels_path
from realtime.recording.mask_events import read_events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import detect_visits, group_by_object
from realtime.robotics.ros2.bag import write_bag
from realtime.robotics.ros2.message_types import check_rosbags


@dataclass(frozen=True, slots=True)
class ExportTargets:
    """Holds the file or folder of each export, None without that export, and the options.

    any_format: the video's ending may follow the encoder, as the user did not name a file. every_s: one picture of
    each object in so many seconds, 0 for all. sa1b: also a JSON file for each picture. force: replace existing targets.
    """

    video: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    ros2: Path | None = None
    any_format: bool = False
    every_s: float = 1.0
    sa1b: bool = False
    force: bool = False


def export(recording: RecordingReader, labels: LabelFile, targets: ExportTargets, console: Console) -> Iterator[str]:
    """Write each target and yield a line about it; raises `RecordingError`, and `RunFailed` for a failing disk.

    Nothing is begun unless every target is free. Ctrl-C leaves complete targets only.
    """
    if targets.ros2 is not None:
        check_rosbags()
    wanted = {kind: path for kind in _EXPORTS if (path := getattr(targets, kind)) is not None}
    for kind, path in wanted.items():
        check_target(path, recording, force=targets.force, is_folder=kind == "coco")
    for one, other in combinations(wanted.values(), 2):
        check_distinct_targets(one, other)
    with InterruptHandler() as interrupts:
        for kind, path in wanted.items():
            label, passes, write = _EXPORTS[kind]
            with _raise_run_failed(label), _show_passes(console, label, passes, recording, interrupts) as on_time:
                path.parent.mkdir(parents=True, exist_ok=True)
                parts = write(recording, labels, path, targets, on_time)
            damaged = _count(recording.damaged, "damaged chunks of the recording, half a second each, are missing")
            yield "; ".join(parts + damaged)


def check_target(path: Path, recording: RecordingReader, *, force: bool, is_folder: bool = False) -> None:
    """Refuse an existing target without force, and one that even force must not replace; raises `RecordingError`."""
    if is_folder and path.is_dir() and not any(path.iterdir()):
        return
    if not path.exists():
        if path.is_symlink():
            raise RecordingError(f"{path} is a link to nothing; remove it or name another target")
        return
    if path.samefile(recording.path):
        raise RecordingError(f"{path} is the recording itself; name another target")
    if (labels := labels_path(recording.path)).exists() and path.samefile(labels):
        raise RecordingError(f"{path} holds the recording's labels; name another target")
    if not ((path / ANNOTATIONS).is_file() if is_folder else path.is_file()):
        expected = "no data set of an export" if is_folder else "no plain file"
        raise RecordingError(f"{path} is there and is {expected}; it is not replaced, name another target")
    if not force:
        raise RecordingError(f"{path} exists; replace it with --force, or name another target")


def check_distinct_targets(one: Path, other: Path) -> None:
    """Refuse two targets of which one would replace the other; raises `RecordingError`."""
    first, second = one.resolve(), other.resolve()
    if first == second or first in second.parents or second in first.parents:
        raise RecordingError(f"{one} and {other} are in each other's place; name another target")


@contextmanager
def _show_passes(
    console: Console, label: str, passes: int, recording: RecordingReader, interrupts: InterruptHandler
) -> Iterator[Callable[[int], None]]:
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


_Export = Callable[[RecordingReader, LabelFile, Path, ExportTargets, Callable[[int], None]], list[str]]
"""Writes one target, reporting host times, and returns the parts of a line about it."""


def _export_video(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: Callable[[int], None]
) -> list[str]:
    done = write_video(recording, labels, out, on_time, any_format=targets.any_format, replace=targets.force)
    line = f"{done.path}: {done.frames} frames in {done.seconds:.1f} s, {done.masked} with a mask"
    return [line, *_count(done.broken, "pictures could not be decoded")]


def _export_csv(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: Callable[[int], None]
) -> list[str]:
    events = report_times(read_events(recording, (GAZE, "mask")), on_time)
    visits = [visit for visit in detect_visits(events, recording.about, labels) if visit.keep]
    write_atomically(out, format_csv(visits).encode())
    return [f"{out}: {len(visits)} looks at {len(group_by_object(visits))} objects"]


def _export_coco(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: Callable[[int], None]
) -> list[str]:
    folder = Path(os.path.abspath(out))
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.part-", dir=folder.parent))
    try:
        part.chmod(0o755)
        done = export_coco(recording, labels, part, on_time, every_s=targets.every_s, sa1b=targets.sa1b)
        _replace_folder(folder, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    line = f"{out}: {done.images} pictures, {done.annotations} masks of {', '.join(done.categories)}"
    return [line, *_count(done.broken, "pictures could not be decoded")]


def _export_ros2(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: Callable[[int], None]
) -> list[str]:
    done = write_bag(recording, out, labels, on_time)
    line = f"{done.path}: {sum(done.counts.values())} messages on {len(done.counts)} topics of ROS 2"
    return [line, *_count(done.undated, "overlays have no frame")]


_EXPORTS: dict[str, tuple[str, int, _Export]] = {
    "video": ("video", 1, _export_video),
    "csv": ("table", 1, _export_csv),
    "coco": ("data set", 2, _export_coco),
    "ros2": ("bag", 1, _export_ros2),
}
"""Field of `ExportTargets` -> label, passes through the recording, and function."""


def _replace_folder(out: Path, part: Path) -> None:
    """Rename `part` to `out`; an old folder of that name is removed only after that."""
    if not out.is_dir() or not any(out.iterdir()):
        part.replace(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
    out.replace(old)
    try:
        part.replace(out)
    except OSError:
        old.replace(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _count(number: int, text: str) -> list[str]:
    return [f"{number} {text}"] if number else []
