"""Reads and writes adapters: small files with what was learned, from what, and with which figures.

An adapter is a safetensors file. Its metadata hold one JSON text, `gazecast`: what was learned, or a list of two, a
ranker and weights. Its arrays are the changed weights of the mask decoder; a ranker has none. Nothing in it is run.
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
from engines.models.safetensors import pack_safetensors, read_metadata, read_safetensors
from realtime.errors import LearningError
from realtime.files import write_atomically
from realtime.tracking.candidate_ranker import CandidateRanker, read_ranker
from realtime.validation import read_value

VERSION = 1
METADATA = "gazecast"
EXPECTED = "expected an adapter that gazecast learn wrote: name another file, or learn it again"
Part = Literal["ranker", "iou", "decoder"]


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """Describes what was learned.

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


@dataclass(frozen=True, slots=True)
class Adapter:
    """Describes a file: a ranker, weights of the mask decoder (of the part `iou` or `decoder`), or both."""

    ranker: AdapterInfo | None = None
    weights: AdapterInfo | None = None

    @property
    def parts(self) -> tuple[AdapterInfo, ...]:
        """What was learned, of the file's one model."""
        return tuple(each for each in (self.weights, self.ranker) if each is not None)

    def replace_part(self, info: AdapterInfo) -> Adapter:
        """Put something else that was learned in the place of what it replaces; the other part stays."""
        return Adapter(info, self.weights) if info.part == "ranker" else Adapter(self.ranker, info)


def save_adapter(
    file: Path, info: AdapterInfo, arrays: Mapping[str, NDArray[np.float32]] | None = None, *, old: Path | None = None
) -> None:
    """Write what was learned, whole or not at all; raises `LearningError`.

    arrays: the new weights. old: an adapter whose other part is kept in the file.
    """
    adapter = load_adapter(old) if old is not None else Adapter()
    if info.part == "ranker" and old is not None and adapter.weights is not None:
        try:
            arrays = {name: np.array(value) for name, value in read_safetensors(old).items()}
        except ModelError as error:
            raise LearningError(str(error)) from None
    fields = [asdict(each) for each in adapter.replace_part(info).parts]
    text = json.dumps(fields[0] if len(fields) == 1 else fields, ensure_ascii=False)
    try:
        write_atomically(file, pack_safetensors(arrays or {}, {METADATA: text}))
    except OSError as error:
        raise LearningError(f"cannot write {file}: {error.strerror or error}") from None


def check_replaced(file: Path, old: Path | None, part: Part) -> None:
    """Raise `LearningError` where writing a part to a file would lose another one, which is not in an old adapter."""
    if old is None or not file.exists() or (old.exists() and file.samefile(old)):
        return
    kept = [each.part for each in load_adapter(old).parts]
    lost = [each.part for each in load_adapter(file).parts if each.part != part and each.part not in kept]
    lost = [each for each in lost if "ranker" in (each, part)]  # weights replace weights
    if lost:
        raise LearningError(
            f"{file} holds a part that {old} does not and that would be lost: {lost[0]}; name another file with --out"
        )


def load_adapter(file: Path) -> Adapter:
    """Read the description of an adapter; raises `LearningError` for another kind or version of file."""
    try:
        texts = read_metadata(file)
        if METADATA not in texts:
            raise LearningError(f"{file} is a safetensors file without `{METADATA}` in its texts; {EXPECTED}")
        fields = json.loads(texts[METADATA])
        found = [_read_info(file, each) for each in (fields if isinstance(fields, list) else [fields])]
    except ModelError as error:
        raise LearningError(f"{error}; {EXPECTED}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, LearningError):
            raise
        raise LearningError(f"{file} describes nothing that was learned ({error}); {EXPECTED}") from None
    rankers = [each for each in found if each.part == "ranker"]
    weights = [each for each in found if each.part != "ranker"]
    if not found or max(len(rankers), len(weights)) > 1 or len({each.model for each in found}) > 1:
        parts = ", ".join(f"{each.part} of {each.model}" for each in found) or "nothing"
        raise LearningError(
            f"{file} is not an adapter of gazecast learn: it holds {parts}, and a ranker, weights of the decoder or "
            "one of each is expected, of one model"
        )
    return Adapter(next(iter(rankers), None), next(iter(weights), None))


def _read_info(file: Path, fields: Any) -> AdapterInfo:
    if fields.get("version") != VERSION:
        raise LearningError(
            f"{file} is an adapter of version {fields.get('version')!r:.20}, and this program reads {VERSION}; "
            "learn it again: gazecast learn"
        )
    info: AdapterInfo = read_value(fields, AdapterInfo, LearningError, f"{file}")
    if info.part == "ranker":
        read_ranker(info.ranker)
    return info


def check_model(adapter: Adapter, file: Path, model: str) -> None:
    """Raise `LearningError` for an adapter that was learned with another model."""
    learned = adapter.parts[0].model
    if learned != model:
        raise LearningError(
            f"{file} was learned with the model {learned}, and this run uses {model}; "
            f"use --set engine.model={learned}, or learn again"
        )


def get_ranker(info: AdapterInfo) -> CandidateRanker:
    """Return a ranker that was learned."""
    return read_ranker(info.ranker)
