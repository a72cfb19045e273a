"""What a person says of the objects of a recording: which to keep, and what they are. A file beside the recording."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from realtime.errors import RecordingError

MAX_LABEL_LENGTH = 80


@dataclass(frozen=True, slots=True)
class ObjectLabel:
    """What was said of one object. text: its name, empty for none. keep: whether it is exported."""

    text: str = ""
    keep: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be a name."""
        if len(self.text) > MAX_LABEL_LENGTH or not self.text.isprintable():
            raise ValueError(f"a label has at most {MAX_LABEL_LENGTH} printable characters, got {self.text!r:.100}")


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The labels of a recording, by object id. An object without one is kept and has no name."""

    objects: Mapping[int, ObjectLabel] = field(default_factory=lambda: MappingProxyType({}))

    def get_label(self, thing: int) -> ObjectLabel:
        """That of an object."""
        return self.objects.get(thing, ObjectLabel())

    def with_label(self, thing: int, label: ObjectLabel) -> LabelFile:
        """These, with one changed."""
        return replace(self, objects=MappingProxyType({**self.objects, thing: label}))


def labels_path(recording: Path) -> Path:
    """Where the labels of a recording lie: NAME.labels.json beside NAME.mcap."""
    return recording.with_suffix(".labels.json")


def load_labels(recording: Path) -> LabelFile:
    """Read the labels of a recording, none if there is no file; raises `RecordingError`."""
    path = labels_path(recording)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        things = {
            int(thing): ObjectLabel(str(said["label"]), said["keep"] is True)
            for thing, said in found["objects"].items()
        }
    except FileNotFoundError:
        return LabelFile()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordingError(f"cannot read the labels {path}: {error}; mend the file or remove it") from None
    return LabelFile(MappingProxyType(things))


def save_labels(recording: Path, labels: LabelFile) -> Path:
    """Write the labels beside the recording, whole or not at all; raises `RecordingError`."""
    path = labels_path(recording)
    part = path.with_suffix(".part")
    things = {str(thing): {"label": label.text, "keep": label.keep} for thing, label in sorted(labels.objects.items())}
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump({"version": 1, "objects": things}, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise RecordingError(f"cannot write the labels {path}: {error.strerror or error}") from None
    return path
