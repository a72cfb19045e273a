"""Reads and writes adapters: small files with what was learned, from what, and with which figures.

An adapter is a safetensors file. Its metadata hold one JSON text, `gazecast`, and its arrays the changed weights of the
mask decoder; a ranker has none. Nothing in it is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engines import ModelError
from engines.models.safetensors import pack_safetensors, read_metadata
from realtime.errors import LearningError
from realtime.files import write_atomically
from realtime.tracking.candidate_ranker import CandidateRanker, read_ranker
from realtime.validation import read_value

VERSION = 1
METADATA = "gazecast"
Part = Literal["ranker", "iou", "decoder"]


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """Describes an adapter.

    part: what it replaces. model: the one whose masks it was learned with. made: UTC, ISO 8601. program: its version.
    looks, visits: number of looks learned from, and of the visits that they are of. answers: their number by kind.
    sources: name and hash of each recording or data set. groups: hashes of the recordings (of a ranker) or pictures
    that it has learned from, so that a later gate does not test it with them. figures: of the gate. ranker: its text,
    for that part.
    """

    part: Part
    model: str
    made: str = ""
    program: str = ""
    looks: int = 0
    visits: int = 0
    answers: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    ranker: str = ""
    version: int = VERSION


def save_adapter(file: Path, info: AdapterInfo, arrays: Mapping[str, NDArray[np.float32]] | None = None) -> None:
    """Write an adapter, whole or not at all; raises `LearningError`."""
    text = json.dumps(asdict(info), ensure_ascii=False)
    try:
        write_atomically(file, pack_safetensors(arrays or {}, {METADATA: text}))
    except OSError as error:
        raise LearningError(f"cannot write {file}: {error.strerror or error}") from None


def load_adapter(file: Path) -> AdapterInfo:
    """Read the description of an adapter; raises `LearningError` for another kind or version of file."""
    try:
        fields = json.loads(read_metadata(file)[METADATA])
        if fields.get("version") != VERSION:
            raise LearningError(
                f"{file} is an adapter of version {fields.get('version')!r:.20}, and this program reads {VERSION}; "
                "learn it again: gazecast learn"
            )
        info: AdapterInfo = read_value(fields, AdapterInfo, LearningError, f"{file}")
        if info.part == "ranker":
            read_ranker(info.ranker)
        return info
    except ModelError as error:
        raise LearningError(str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, LearningError):
            raise
        raise LearningError(f"{file} is not an adapter of gazecast learn: {error}") from None


def check_model(info: AdapterInfo, file: Path, model: str) -> None:
    """Raise `LearningError` for an adapter that was learned with another model."""
    if info.model != model:
        raise LearningError(
            f"{file} was learned with the model {info.model}, and this run uses {model}; "
            f"use --set engine.model={info.model}, or learn again"
        )


def get_ranker(info: AdapterInfo) -> CandidateRanker:
    """Return the ranker of an adapter."""
    return read_ranker(info.ranker)
