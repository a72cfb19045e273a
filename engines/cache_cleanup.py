"""Finds cache files that no engine opens any more, and frees space by last use."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines import cache
from engines.graphs import GRAPH_VERSION, TYPED_VERSION

DAY_S = 86_400.0
FRESH_S = 3600.0
"""Files used this recently may be in use."""
MAX_BYTES = 3 << 30
"""Limit of stored graphs, about 100 MB per picture shape, which take seconds to build again."""


@dataclass(frozen=True, slots=True)
class UnusedFile:
    """Holds files that can be removed together. bytes: their size. why: a readable reason."""

    files: tuple[Path, ...]
    bytes: int
    why: str

    def remove(self) -> None:
        """Delete the files, the note first: without it the others are ignored. Raises `OSError`."""
        for file in self.files:
            file.unlink(missing_ok=True)


def find_unused_files(
    root: Path, *, unused_days: float | None = None, now_s: float | None = None
) -> Iterator[UnusedFile]:
    """Find removable files: damaged, incomplete, of another version, or unused for some days.

    now_s: seconds since 1970. Files touched within the last hour stay.
    """
    now_s = time.time() if now_s is None else now_s
    known: set[Path] = set()
    for note, file, _, state in cache.list_cached(root):
        path = cache.note_path(file)
        files = _of(path)
        known.update(files)
        idle_s = now_s - _used_s(path)
        if idle_s < FRESH_S:
            continue
        if state == "damaged":
            why = "damaged"
        elif _outdated(note):
            why = "made by another version of gazecast"
        elif unused_days is not None and idle_s > unused_days * DAY_S:
            why = f"not used for {idle_s / DAY_S:.0f} days"
        else:
            continue
        yield UnusedFile(files, _bytes(files), why)
    ours = (*cache.SUFFIXES, ".bin", ".json", ".partial", ".note")
    for file in sorted(root.glob("*")):
        if file not in known and file.suffix in ours and file.is_file() and now_s - _used_s(file) >= FRESH_S:
            yield UnusedFile((file,), _bytes((file,)), "not finished")


def free_space(root: Path, most_bytes: int = MAX_BYTES, *, now_s: float | None = None) -> list[UnusedFile]:
    """Remove the least recently used stored graphs until at most `most_bytes` remain.

    Files that take minutes to build, such as int8 engines and TensorRT's plans, stay, and so do those used within the
    last hour. Returns the removed files; failed removals are skipped.
    """
    now_s = time.time() if now_s is None else now_s
    graphs = []
    for path, note in cache.iterate_notes(root):
        files = _of(path)
        if note.key.get("format") == "onnx":
            graphs.append((_used_s(path), UnusedFile(files, _bytes(files), "not used for longest")))
    over = sum(graph.bytes for _, graph in graphs) - most_bytes
    gone = []
    for used_s, graph in sorted(graphs, key=lambda pair: pair[0]):
        if over <= 0 or now_s - used_s < FRESH_S:
            break
        with contextlib.suppress(OSError):
            graph.remove()
            gone.append(graph)
            over -= graph.bytes
    return gone


def _outdated(note: cache.EngineNote) -> bool:
    return note.key.get("graphs", "") != str(GRAPH_VERSION) or note.key.get("typed", TYPED_VERSION) != TYPED_VERSION


def _of(note: Path) -> tuple[Path, ...]:
    """Return a note and the files that belong to it."""
    parts = (note.with_suffix(suffix) for suffix in (*cache.SUFFIXES, ".bin"))
    return (note, *(part for part in parts if part.is_file()))


def _used_s(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return time.time()  # another process has just removed it, or is about to write it


def _bytes(files: tuple[Path, ...]) -> int:
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total
