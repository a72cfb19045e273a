"""Defines the targets of an export, and refuses those that must not be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from realtime.commands.export.everything import EverythingAnnotator
from realtime.correction.journal import corrections_path
from realtime.errors import RecordingError
from realtime.recording.labels import labels_path
from realtime.recording.reader import RecordingReader

ANNOTATIONS, IMAGES = "annotations/instances_default.json", "images"
"""The layout that CVAT and Datumaro look for; pictures are named relative to `images`."""
YOLO_FILE = "data.yaml"
STUDIO_TASKS, STUDIO_CONFIG = "tasks.json", "label_config.xml"
"""What Label Studio imports, and its labeling configuration."""
_EARLIER_ANNOTATIONS = "annotations.json"
DATA_SETS = ("coco", "yolo", "label_studio")
"""The fields of `ExportTargets` that are folders with pictures and masks."""
CONTRIBUTOR = "gazecast"
"""In the `info` of a data set, before the version."""
STUDIO_BEGINNING = f"<View>\n  <!-- {CONTRIBUTOR}"
"""How our configurations begin; the remark is inside the root, before which not every reader expects one."""
OnTime = Callable[[int], None]
"""Receives the host time of each event that an export reads, ns; may raise to end the export."""


@dataclass(frozen=True, slots=True)
class ExportTargets:
    """Holds the file or folder of each export, None without that export, and the options.

    any_format: the video's ending may follow the encoder, as the user did not name a file. every_s: one picture of
    each object in so many seconds, 0 for all. sa1b: also a JSON file for each picture. force: replace existing targets.
    everything: also finds the masks of what was not looked at.
    """

    video: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    yolo: Path | None = None
    label_studio: Path | None = None
    ros2: Path | None = None
    any_format: bool = False
    every_s: float = 1.0
    sa1b: bool = False
    force: bool = False
    everything: EverythingAnnotator | None = None


def resolve_target(path: Path, recording: RecordingReader, *, force: bool, is_folder: bool = False) -> Path:
    """Return the absolute path to write, links followed, unless it must not be written; raises `RecordingError`.

    Only this path may be written: of `missing/..` as given nothing exists until `missing` is made.
    """
    if path.is_symlink() and not path.exists():
        raise RecordingError(f"{path} is a link to nothing; remove it or name another target")
    target, source = path.resolve(), recording.path.resolve()
    if is_folder and target.is_dir():
        if Path.cwd().is_relative_to(target):
            raise RecordingError(f"{path} is the current folder or contains it; name another target")
        if source.is_relative_to(target):
            raise RecordingError(f"{path} contains the recording; name another target")
        if not any(target.iterdir()):
            return target
    if not target.exists():
        return target
    if target.samefile(source):
        raise RecordingError(f"{path} is the recording itself; name another target")
    for kind, answers in (("labels", labels_path), ("corrections", corrections_path)):
        if (file := answers(recording.path)).exists() and target.samefile(file):
            raise RecordingError(f"{path} holds the recording's {kind}; name another target")
    if not (is_data_set(target) if is_folder else target.is_file()):
        expected = "no data set of an export, or holds other files" if is_folder else "no plain file"
        raise RecordingError(f"{path} exists and is {expected}; it is not replaced, name another target")
    if not force:
        raise RecordingError(f"{path} exists; replace it with --force, or name another target")
    return target


def is_data_set(folder: Path) -> bool:
    """Return whether an export wrote this folder and nothing was added beside its pictures and annotations."""
    try:
        names = {path.name for path in folder.iterdir()}
        if names == {YOLO_FILE, IMAGES, "labels"}:
            return (folder / YOLO_FILE).read_bytes().startswith(f"# {CONTRIBUTOR}".encode())
        if names == {STUDIO_TASKS, STUDIO_CONFIG, IMAGES}:
            return (folder / STUDIO_CONFIG).read_bytes().startswith(STUDIO_BEGINNING.encode())
        annotations = folder / (_EARLIER_ANNOTATIONS if _EARLIER_ANNOTATIONS in names else ANNOTATIONS)
        if names != {annotations.relative_to(folder).parts[0], IMAGES}:
            return False
        if annotations.parent != folder and len(list(annotations.parent.iterdir())) != 1:
            return False
        with annotations.open("rb") as file:  # `info` comes first, and the rest may be large
            return f'"contributor": "{CONTRIBUTOR}'.encode() in file.read(4096)
    except OSError:
        return False


def format_count(number: int, text: str) -> list[str]:
    """Format a count for a report; empty if it is 0."""
    return [f"{number} {text}"] if number else []
