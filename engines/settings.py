"""What a user chooses about an engine, and the defaults that depend on the machine. Imports nothing of ours."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Backend = Literal["openvino", "onnxruntime", "torch", "fake", "stock"]
Precision = Literal["auto", "f32", "bf16", "f16", "int8"]


def default_threads() -> tuple[int, int]:
    """(encoder, decoder) threads for this machine.

    The encoder and the tracker with the decoder run at once, so the cores are shared out, not overcommitted: on two
    cores one each. The decoder's matrices are too narrow to gain from more than four.
    """
    cores = os.cpu_count() or 1
    decoder = 1 if cores <= 4 else 2 if cores <= 8 else 4
    return max(1, cores - decoder), decoder


def default_cache_dir() -> Path:
    """Where engines are kept: $GAZECAST_CACHE, else the user's cache folder."""
    if chosen := os.environ.get("GAZECAST_CACHE"):
        return Path(chosen) / "engines"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "gazecast" / "engines"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine, and how much of the machine it may use.

    precision: "auto" is int8 where one was built here and passed its gate, else bf16 where the CPU has it, else f32;
        on a GPU f16, which is for GPUs alone.
    cache_dir: where graphs and their notes are kept; None is `default_cache_dir()`.
    """

    backend: Backend = "openvino"
    model: str = "mobile_sam"
    precision: Precision = "auto"
    encoder_threads: int = field(default_factory=lambda: default_threads()[0])
    decoder_threads: int = field(default_factory=lambda: default_threads()[1])
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a number of threads that is none."""
        for name in ("encoder_threads", "decoder_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
