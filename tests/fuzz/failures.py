"""Inputs that once made a reader fail, and where it failed."""

from __future__ import annotations

import traceback
from pathlib import Path

FAILED = Path(__file__).resolve().parent / "failed"
"""A folder for each reader, its name with dashes; the files are inputs."""
ROOT = FAILED.parent.parent.parent


def failed_folder(name: str) -> Path:
    """Return the folder of a reader's failed inputs."""
    return FAILED / name.replace(" ", "-")


def read_failed(name: str) -> list[bytes]:
    """Return the inputs that once made a reader fail."""
    return [path.read_bytes() for path in sorted(failed_folder(name).glob("*"))]


def find_cause(error: BaseException) -> BaseException:
    """Return the first of the errors that led to this one: it may hide that the memory was full."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory was full; Python's parser raises the same error for what is nested too deeply."""
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, MemoryError) and Path(frames[-1].filename).name != "ast.py"


def locate(error: BaseException) -> str:
    """Return the error's type and the line of ours that it came from: the same for inputs with the same cause."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename and str(ROOT) in frame.filename]
    at = (ours or frames)[-1]
    return f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}"
