"""Stores engine files with JSON notes that identify them exactly.

Mismatched files are refused; damaged ones count as missing and are built anew, with a warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from engines.base import ModelError

Key = Mapping[str, str]
"""The inputs and the target of an engine file; the same key means the same file."""


_log = logging.getLogger(__name__)
SUFFIXES = (".onnx", ".xml", ".npz", ".plan")
REBUILD = "run `gazecast engine build --force` with the --engine, --precision and --frame that you use"


@dataclass(frozen=True, slots=True)
class EngineNote:
    """Describes an engine file, stored beside it. gate: figures of its comparison with the reference, if any."""

    name: str
    key: dict[str, str]
    sha256: str
    built: str
    gate: dict[str, Any] | None = None


def file_path(root: Path, name: str, key: Key, suffix: str) -> Path:
    """Return the path of a file by its name and key."""
    digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
    return root / f"{name}-{digest[:16]}{suffix}"


def note_path(file: Path) -> Path:
    """Return the path of an engine file's note."""
    return file.with_suffix(".json")


def hash_files(files: Iterable[Path]) -> str:
    """Compute the SHA-256 over the SHA-256 of each file, in order; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def file_hash(file: Path) -> str:
    """Compute the hash of an engine file, including an .xml's .bin of weights."""
    return hash_files((file, file.with_suffix(".bin")) if file.suffix == ".xml" else (file,))


@contextmanager
def atomic_write(file: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces the file only once it is complete, in a folder that is made if missing.

    Raises `ModelError` where it cannot be written.
    """
    partial = file.with_suffix(f".{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)  # an incomplete file must not keep using disk space
    except OSError as error:
        raise ModelError(
            f"cannot write {file}: {error.strerror or error}; make room, or set GAZECAST_CACHE to another folder"
        ) from error


def write_note(file: Path, name: str, key: Key, *, gate: Mapping[str, Any] | None = None) -> None:
    """Write the note of a finished file; until then the file is ignored.

    A .json path is a verdict's: the gate's result for an engine that has no file of its own.
    """
    sha256 = "" if file == note_path(file) else file_hash(file)
    note = EngineNote(
        name, dict(key), sha256, datetime.now(UTC).isoformat(timespec="seconds"), dict(gate or {}) or None
    )
    with atomic_write(note_path(file)) as partial:
        partial.write_text(json.dumps(asdict(note), indent=2) + "\n")


def read_note(path: Path) -> EngineNote:
    """Parse a note; raises `ModelError` for an invalid one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=EngineNote)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not an engine's note; remove it and run `gazecast engine build`") from error


def find_cached(file: Path, key: Key, *, rebuild: str = REBUILD) -> EngineNote | None:
    """Return the note of an intact file built for `key`; None where there is no finished file, or a damaged one.

    rebuild: the remedy in the error message for an unusable file.
    Raises `ModelError` for a file whose note has other inputs or another target.
    """
    if not file.is_file() or not note_path(file).is_file():
        return None
    try:
        note = read_note(note_path(file))
    except ModelError:
        _log.warning("the note of %s is damaged; it is built anew", file)
        return None
    differing = sorted(field for field in {*note.key, *key} if note.key.get(field) != key.get(field))
    if differing:
        pairs = ", ".join(f"{field} {note.key.get(field)!r} instead of {key.get(field)!r}" for field in differing)
        raise ModelError(f"{file} was made for {pairs}; {rebuild}")
    if not _is_complete(file, note):
        _log.warning("%s is damaged: it is not the file that its note describes; it is built anew", file)
        return None
    with suppress(OSError):  # a read-only cache
        os.utime(note_path(file))  # when it was last used
    return note


def read_verdict(root: Path, name: str, key: Key) -> dict[str, Any] | None:
    """Return a gate's result that was written for `key`; None where there is none, or a damaged one."""
    with suppress(ModelError):
        note = read_note(file_path(root, name, key, ".json"))
        if note.key == dict(key) and isinstance(note.gate, dict):
            return note.gate
    return None


def list_cached(root: Path) -> Iterator[tuple[EngineNote, Path, int, str]]:
    """List every note below `root` with its file, size in bytes and state: whole, damaged, or verdict."""
    for path, note in iterate_notes(root):
        if not note.sha256:
            yield note, path, 0, "verdict"
            continue
        file = next((path.with_suffix(end) for end in SUFFIXES if path.with_suffix(end).is_file()), path)
        yield note, file, file.stat().st_size, "whole" if file != path and _is_complete(file, note) else "damaged"


def _is_complete(file: Path, note: EngineNote) -> bool:
    try:
        return file_hash(file) == note.sha256
    except OSError:
        return False


def iterate_notes(root: Path) -> Iterator[tuple[Path, EngineNote]]:
    """Iterate over every readable note below `root`, oldest first."""
    found = []
    for path in root.glob("*.json"):
        with suppress(ModelError):
            found.append((path, read_note(path)))
    yield from sorted(found, key=lambda pair: pair[1].built)
