"""Runs `gazecast` with the fake engine, which throws, hangs or answers NaN while a file says so, as with its clock.

`GAZECAST_FAULT_FILE` names the file; it holds one of `ENGINE_FAULTS`, or nothing.
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

ENGINE_FAULTS = ("encode-throws", "encode-hangs", "decode-throws", "decode-nan", "wall-clock-set")
FILE = "GAZECAST_FAULT_FILE"
POLL_S = 0.01
WALL_NS = 7_200_000_000_000


def read_fault() -> str:
    """Read the present fault."""
    return Path(os.environ[FILE]).read_text().strip()


class _FaultyEncoder:
    def __init__(self, inside: Encoder) -> None:
        self._inside = inside
        self.info: EngineInfo = inside.info

    def encode(self, image: Image) -> Embedding:
        while read_fault() == "encode-hangs":
            time.sleep(POLL_S)
        if read_fault() == "encode-throws":
            raise EngineError("the device was lost")
        return self._inside.encode(image)

    def close(self) -> None:
        self._inside.close()


class _FaultyDecoder:
    def __init__(self, inside: Decoder) -> None:
        self._inside = inside
        self.info: EngineInfo = inside.info

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        fault = read_fault()
        if fault == "decode-throws":
            raise EngineError("the device was lost")
        found = self._inside.decode(embedding, prompts)
        if fault == "decode-nan":
            return tuple(replace(each, logits=np.full_like(each.logits, np.nan)) for each in found)
        return found

    def close(self) -> None:
        self._inside.close()


def open_engine(
    settings: EngineSettings, weights: Path | None, frame_size: tuple[int, int] | None, report: Report
) -> tuple[Encoder, Decoder]:
    """Open the fake engine, with faults."""
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
