"""Names files so that they replace no others, and writes files atomically."""

from __future__ import annotations

import os
import secrets
from itertools import count
from pathlib import Path


def find_free_name(folder: Path, name: str, ending: str) -> str:
    """Return the name, numbered from 2 on if the folder already has a file of that name and ending."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(free for free in names if not (folder / f"{free}{ending}").exists())


def write_atomically(path: Path, data: bytes, *, is_private: bool = False) -> None:
    """Write a file, whole or not at all, in place of an existing one; raises OSError.

    The data are on the disk before the file gets its name. The temporary name is unique, so two writers do not collide.
    is_private: only its user may read it, from its first byte on.
    """
    mode = 0o600 if is_private else 0o666
    part = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if is_private and hasattr(os, "fchmod"):  # whatever the umask leaves of it
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
