"""Reads, edits and writes the labels of a recording's objects: their names, and which to keep.

The labels are a file beside the recording.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from calibration.text import to_utf8
from realtime.errors import RecordingError
from realtime.files import write_atomically

MAX_LABEL_LENGTH = 80


@dataclass(frozen=True, slots=True)
class ObjectLabel:
    """Holds the label of one object. text: its name, empty for none. keep: whether it is exported."""

    text: str = ""
    keep: bool = True

    def __post_init__(self) -> None:
        """Refuse long and unprintable names."""
        if len(self.text) > MAX_LABEL_LENGTH or not self.text.isprintable():
            raise ValueError(f"a label has at most {MAX_LABEL_LENGTH} printable characters, got {self.text!r:.100}")


@dataclass(frozen=True, slots=True)
class LabelFile:
    """Holds the labels of a recording, by object id. An object without one is kept and has no name."""

    objects: Mapping[int, ObjectLabel] = field(default_factory=lambda: MappingProxyType({}))

    def get_label(self, object_id: int) -> ObjectLabel:
        """Return the label of an object."""
        return self.objects.get(object_id, ObjectLabel())

    def with_label(self, object_id: int, label: ObjectLabel) -> LabelFile:
        """Return a copy with another label of an object."""
        return LabelFile(MappingProxyType({**self.objects, object_id: label}))

    def with_recognized_names(self, names: Mapping[int, str]) -> LabelFile:
        """Return a copy in which objects that the user did not name have what they were recognized as."""
        named = {number: replace(self.get_label(number), text=name) for number, name in names.items()}
        own = {number: label for number, label in self.objects.items() if label.text or number not in names}
        return LabelFile(MappingProxyType({**named, **own}))


def labels_path(recording: Path) -> Path:
    """Return the path of a recording's labels: NAME.labels.json beside NAME.mcap."""
    return recording.with_suffix(".labels.json")


def load_labels(recording: Path) -> LabelFile:
    """Read the labels of a recording, empty without a file; raises `RecordingError`."""
    path = labels_path(recording)
    try:
        found = json.loads(to_utf8(path.read_bytes()))
        labels = {
            int(object_id): ObjectLabel(str(fields["label"]), fields["keep"] is True)
            for object_id, fields in found["objects"].items()
        }
    except FileNotFoundError:
        return LabelFile()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordingError(f"cannot read the labels {path}: {error}; mend the file or remove it") from None
    return LabelFile(MappingProxyType(labels))


def save_labels(recording: Path, labels: LabelFile) -> Path:
    """Write the labels beside the recording, whole or not at all; raises `RecordingError`."""
    path = labels_path(recording)
    objects = {str(key): {"label": label.text, "keep": label.keep} for key, label in sorted(labels.objects.items())}
    text = json.dumps({"version": 1, "objects": objects}, indent=1, ensure_ascii=False)
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise RecordingError(f"cannot write the labels {path}: {error.strerror or error}") from None
    return path
