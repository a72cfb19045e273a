"""Finds the weight files of a model in a folder, without reading them."""

from __future__ import annotations

from pathlib import Path

from engines.base import ModelError
from engines.weights import find_model


def weight_files(folder: Path, model: str) -> tuple[Path, ...]:
    """Return the weight files of `model` in `folder`, of the first complete source.

    Raises `ModelError` where there are none.
    """
    sources = [[folder / file.name for file in source.files] for source in find_model(model).sources]
    for files in sources:
        if all(file.is_file() for file in files):
            return tuple(files)
    choices = ", or ".join(" and ".join(file.name for file in files) for files in sources)
    raise ModelError(f"{folder} holds no weights of {model}; expected {choices}")
