"""Runs `gazecast` with the fake engine, which throws, hangs or answers NaN while a file says so, as with its clock.

`GAZECAST_FAULT_FILE` names the file; it holds one of `ENGINE_FAULTS`, or nothing. "stuck" and "broken" ones befall the
engine that is open when the file is written; one that is opened later works.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from engines import Decoder, Embedding, Encoder, EngineError, EngineInfo, EngineSettings, Image, MaskCandidates, Prompt
from engines import fake as stable
from engines.load import BACKENDS
from engines.settings import Report

ENGINE_FAULTS = (
    "encode-throws", "encode-hangs", "encode-stuck", "decode-throws", "decode-nan", "decode-stuck", "engine-broken",
    "engine-gone", "wall-clock-set",
)  # fmt: skip
FILE = "GAZECAST_FAULT_FILE"
POLL_S = 0.01
WALL_NS = 7_200_000_000_000


def read_fault() -> str:
    """Read the present fault."""
    return Path(os.environ[FILE]).read_text().strip()


class _FaultyPart:
    def __init__(self, inside: Encoder | Decoder) -> None:
        self.info: EngineInfo = inside.info
        self._opened_s = time.time()
        self.close = inside.close

    def _fail(self, kind: str) -> str:
        """Hang or throw as the present fault says, and return it."""
        while read_fault() == f"{kind}-hangs" or (read_fault() == f"{kind}-stuck" and self._is_old()):
            time.sleep(POLL_S)
        fault = read_fault()
        if fault in (f"{kind}-throws", "engine-gone") or (fault == "engine-broken" and self._is_old()):
            raise EngineError("the device was lost")
        return fault

    def _is_old(self) -> bool:
        return self._opened_s < os.stat(os.environ[FILE]).st_mtime


class _FaultyEncoder(_FaultyPart):
    def __init__(self, inside: Encoder) -> None:
        super().__init__(inside)
        self._encode = inside.encode

    def encode(self, image: Image) -> Embedding:
        self._fail("encode")
        return self._encode(image)


class _FaultyDecoder(_FaultyPart):
    def __init__(self, inside: Decoder) -> None:
        super().__init__(inside)
        self._inside = inside

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        fault = self._fail("decode")
        found = self._inside.decode(embedding, prompts)
        if fault == "decode-nan":
            return tuple(replace(each, logits=np.full_like(each.logits, np.nan)) for each in found)
        return found


def open_engine(
    settings: EngineSettings, weights: Path | None, frame_size: tuple[int, int] | None, report: Report
) -> tuple[Encoder, Decoder]:
    """Open the fake engine, with faults."""
    if read_fault() == "engine-gone":
        raise EngineError("there is no device")
    encoder, decoder = stable.open_engine(settings, weights, frame_size, report)
    return _FaultyEncoder(encoder), _FaultyDecoder(decoder)


def shift_wall_clock() -> None:
    """Let `time.time` be ahead while the fault lasts, as nothing else may set a machine's clock."""
    read_ns = time.time_ns
    time.time_ns = lambda: read_ns() + (WALL_NS if read_fault() == "wall-clock-set" else 0)
    time.time = lambda: time.time_ns() / 1e9


if __name__ == "__main__":
    shift_wall_clock()
    BACKENDS["fake"] = "tests.faults.engine_faults"
    from realtime.__main__ import main

    sys.exit(main())
