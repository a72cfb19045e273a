"""`gazecast export`: a recording as a video, a table, a data set, a bag of ROS 2; each whole or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from realtime.commands.export.coco import ANNOTATIONS, export_coco
from realtime.commands.export.csv_table import format_csv
from realtime.commands.export.video import write_video
from realtime.errors import RecordingError, RunFailed, VideoError
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import show_bar
from realtime.media.files import write_atomically
from realtime.recording.format import GAZE
from realtime.recording.labels import LabelFile, labels_path
from realtime.recording.mask_events import MaskEvent, RecordingEvent, read_events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import detect_visits, group_by_object
from realtime.robotics.ros2.bag import write_bag
from realtime.robotics.ros2.message_types import check_rosbags as check_ros2
from realtime.types import GazeSample


@dataclass(frozen=True, slots=True)
class ExportTargets:
    """What to export and whereto; None for what is not wanted.

    any_film: no name was given for the video, so that its ending may follow the encoder. every_s: of every object one
    picture in so many seconds, 0 for all. sa1b: also a file for each picture. force: replace what is there.
    """

    video: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    ros2: Path | None = None
    any_film: bool = False
    every_s: float = 1.0
    sa1b: bool = False
    force: bool = False


def export(recording: RecordingReader, labels: LabelFile, wanted: ExportTargets, console: Console) -> Iterator[str]:
    """Write what is wanted, a line about each when it is done; raises `RecordingError`, and `RunFailed` of a disk.

    Nothing is begun unless every target is free; Ctrl-C leaves what is whole, and nothing else.
    """
    if wanted.ros2 is not None:
        check_ros2()
    targets = [target for target in (wanted.video, wanted.csv, wanted.coco, wanted.ros2) if target is not None]
    for number, target in enumerate(targets):
        check_target(target, recording, force=wanted.force, folder=target is wanted.coco)
        for other in targets[:number]:
            check_distinct_targets(other, target)
    start_ns, end_ns = (at_ns - recording.about.wall_ns for at_ns in recording.span_ns)
    with InterruptHandler() as interrupts:

        def watched(what: str, passes: int, write: Callable[[Callable[[int], None]], str]) -> str:
            with show_bar(console, what, passes * max(1, end_ns - start_ns)) as told:
                done, last_ns = 0, start_ns

                def at(host_ns: int) -> None:
                    nonlocal done, last_ns
                    interrupts.raise_if_requested()
                    if host_ns < last_ns - (end_ns - start_ns) // 2:  # it began again
                        done += 1
                    last_ns = host_ns
                    told(done * (end_ns - start_ns) + host_ns - start_ns)

                try:
                    return write(at)
                except VideoError as error:
                    if error.begun:
                        raise RunFailed(f"{error}; nothing of it is left") from error
                    raise
                except OSError as error:
                    where = f"{error.filename}: " if error.filename else ""
                    said = (
                        f"the {what.strip()} cannot be written: {where}{error.strerror or error}; nothing of it is left"
                    )
                    raise RunFailed(said) from error

        if wanted.video is not None:
            yield watched("video    ", 1, lambda told: _video(recording, labels, wanted, told))
        if wanted.csv is not None:
            yield watched("table    ", 1, lambda told: _csv(recording, labels, wanted, told))
        if wanted.coco is not None:
            yield watched("data set ", 2, lambda told: _coco(recording, labels, wanted, told))
        if wanted.ros2 is not None:
            yield watched("bag      ", 1, lambda told: _ros2(recording, labels, wanted, told))


def check_target(path: Path, recording: RecordingReader, *, force: bool, folder: bool = False) -> None:
    """Refuse a target that is there already, or that may not be replaced even by force; raises `RecordingError`."""
    if folder and path.is_dir() and not any(path.iterdir()):
        return
    if not path.exists():
        if path.is_symlink():
            raise RecordingError(f"{path} is a link to nothing; remove it or name another target")
        return
    if path.samefile(recording.path):
        raise RecordingError(f"{path} is the recording itself; name another target")
    if (labels := labels_path(recording.path)).exists() and path.samefile(labels):
        raise RecordingError(f"{path} holds the recording's labels; name another target")
    fit = path.is_dir() and (path / ANNOTATIONS).is_file() if folder else path.is_file()
    if not fit:
        what = "no data set of an export" if folder else "no plain file"
        raise RecordingError(f"{path} is there and is {what}; it is not replaced, name another target")
    if not force:
        raise RecordingError(f"{path} exists; replace it with --force, or name another target")


def check_distinct_targets(one: Path, other: Path) -> None:
    """Refuse two targets of which the later would replace the earlier; raises `RecordingError`."""
    first, second = one.resolve(), other.resolve()
    if first == second or first in second.parents or second in first.parents:
        raise RecordingError(f"{one} and {other} are in each other's place; name another target")


def _video(recording: RecordingReader, labels: LabelFile, wanted: ExportTargets, told: Callable[[int], None]) -> str:
    assert wanted.video is not None
    wanted.video.parent.mkdir(parents=True, exist_ok=True)
    done = write_video(recording, labels, wanted.video, told, any_format=wanted.any_film, replacing=wanted.force)
    said = f"{done.path}: {done.frames} frames in {done.seconds:.1f} s, {done.masked} with a mask"
    return said + (f"; {done.broken} pictures could not be decoded" if done.broken else "") + _damage(recording)


def _csv(recording: RecordingReader, labels: LabelFile, wanted: ExportTargets, told: Callable[[int], None]) -> str:
    assert wanted.csv is not None
    passing = _watched(read_events(recording, (GAZE, "mask")), told)
    found = [look for look in detect_visits(passing, recording.about, labels) if look.keep]
    wanted.csv.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(wanted.csv, format_csv(found).encode())
    return f"{wanted.csv}: {len(found)} looks at {len(group_by_object(found))} objects" + _damage(recording)


def _coco(recording: RecordingReader, labels: LabelFile, wanted: ExportTargets, told: Callable[[int], None]) -> str:
    assert wanted.coco is not None
    out = Path(os.path.abspath(wanted.coco))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
    try:
        part.chmod(0o755)
        done = export_coco(recording, labels, part, told, every_s=wanted.every_s, sa1b=wanted.sa1b)
        _place(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    said = f"{wanted.coco}: {done.images} pictures, {done.annotations} masks of {', '.join(done.categories)}"
    return said + (f"; {done.broken} pictures could not be decoded" if done.broken else "") + _damage(recording)


def _ros2(recording: RecordingReader, labels: LabelFile, wanted: ExportTargets, told: Callable[[int], None]) -> str:
    assert wanted.ros2 is not None
    done = write_bag(recording, wanted.ros2, labels, told)
    said = f"{done.path}: {sum(done.counts.values())} messages on {len(done.counts)} topics of ROS 2"
    return said + (f"; {done.undated} overlays have no frame" if done.undated else "") + _damage(recording)


def _place(part: Path, out: Path) -> None:
    """Give the folder its name; what had it before goes only once this one is there."""
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


def _damage(recording: RecordingReader) -> str:
    if not recording.damaged:
        return ""
    return f"; {recording.damaged} damaged chunks of the recording, half a second each, are missing"


def _watched(passing: Iterable[RecordingEvent], told: Callable[[int], None]) -> Iterator[RecordingEvent]:
    for event in passing:
        if isinstance(event, GazeSample):
            told(event.received_ns)
        elif isinstance(event, MaskEvent):
            told(event.key.received_ns)
        yield event
