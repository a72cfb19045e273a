"""Reads and writes calibration files: versioned JSON bound to a camera, device and resolution.

Every result, a camera's, a gaze mapping's or a robot's, is written in the same frame:

    {"format": "gazecast-calibration", "version": 1, "kind": "gaze", "device": "Pupil Core", "camera": "world",
     "size": [1280, 720], "made_at": "2026-11-22T14:03:11+00:00", "body": {...}}
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from calibration.errors import RecordError
from calibration.text import check_regular_file, to_utf8

FORMAT = "gazecast-calibration"
VERSION = 1
RecordKind = Literal["camera", "gaze", "handeye", "screen"]
_MAX_BYTES = 50_000_000
"""Bytes; a calibration has some kilobytes, so that a larger file is none."""


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """A calibration that names its device, camera and picture size.

    device: the eye tracker or robot, or "". camera: its name, from the user or the device. size: (width, height), px,
    of the pictures for which it is valid. made_at: ISO 8601 with a time zone. body: the result, as JSON, in the
    format of its kind.
    """

    kind: RecordKind
    device: str
    camera: str
    size: tuple[Annotated[int, msgspec.Meta(gt=0)], Annotated[int, msgspec.Meta(gt=0)]]
    made_at: str
    body: dict[str, Any]


def save_record(path: Path, record: CalibrationRecord) -> None:
    """Write the record atomically; raises `RecordError` where it is not JSON, or OSError."""
    try:
        text = json.dumps({"format": FORMAT, "version": VERSION, **asdict(record)}, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordError(f"the calibration cannot be written as JSON: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".calibration-{secrets.token_hex(8)}.part")
    try:
        part.write_text(text + "\n")
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def load_record(
    path: Path,
    kind: RecordKind,
    *,
    size: tuple[int, int] | None = None,
    camera: str | None = None,
    device: str | None = None,
) -> CalibrationRecord:
    """Read a calibration of a kind, and check its picture size, camera and device.

    None is not compared. Raises `RecordError` with the reason and the remedy.
    """
    record = _parse(path, kind)
    if size is not None and record.size != tuple(size):
        raise RecordError(
            f"{path} was made at {record.size[0]} x {record.size[1]}, the pictures are {size[0]} x {size[1]}; "
            "capture at that resolution or calibrate again"
        )
    for name, actual, expected in (("camera", record.camera, camera), ("device", record.device, device)):
        if expected is not None and actual != expected:
            raise RecordError(
                f"{path} was made with {name} {actual!r}, this is {expected!r}; calibrate again for this one, or use "
                "its own file"
            )
    return record


def _parse(path: Path, kind: RecordKind) -> CalibrationRecord:
    fields = _read_json(path)
    if fields.get("format") != FORMAT:
        raise RecordError(f"{path} is no calibration of gazecast: its format is {fields.get('format')!r}")
    if fields.get("version") != VERSION:
        raise RecordError(
            f"{path} has version {fields.get('version')!r}, this program reads version {VERSION}; calibrate again"
        )
    if fields.get("kind") != kind:
        raise RecordError(
            f"{path} is a calibration of {fields.get('kind')!r}, expected {kind!r}; kinds: "
            f"{', '.join(get_args(RecordKind))}"
        )
    try:
        record = msgspec.convert(fields, CalibrationRecord)
        datetime.fromisoformat(record.made_at)
    except msgspec.ValidationError as error:
        raise RecordError(f"{path} was cut or edited: {error}; calibrate again") from None
    except ValueError:
        raise RecordError(f"{path}: made_at is {record.made_at!r:.60}, expected a date as ISO 8601") from None
    return record


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if (size := check_regular_file(path)) > _MAX_BYTES:
            raise RecordError(f"{path} has {size} bytes, which is no calibration")
        return msgspec.json.decode(to_utf8(path.read_bytes()), type=dict[str, Any])
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror or error}") from None
    except msgspec.ValidationError as error:
        raise RecordError(f"{path} is JSON, but no calibration: {error}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RecordError(f"{path} is not JSON: {error}") from None
