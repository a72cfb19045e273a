"""Names files so that they replace no others."""

from __future__ import annotations

from pathlib import Path


def free_name(folder: Path, name: str, ending: str) -> str:
    """Return the name, numbered from 2 on if the folder already has a file of that name and ending."""
    number, free = 1, name
    while (folder / f"{free}{ending}").exists():
        number, free = number + 1, f"{name}-{number + 1}"
    return free
