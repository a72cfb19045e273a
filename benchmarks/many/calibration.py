"""Fits the simulator's machine to a measured run of one wearer."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from benchmarks.many.simulator import MachineModel, WearerModel
from engines.letterbox import Letterbox
from engines.settings import PICTURE_SIDES


def count_free_cores(row: dict[str, Any]) -> float:
    """Return the cores that other processes left in a run; a host competes for at least half of them."""
    cores = os.cpu_count() or 1
    return float(max(cores / 2, cores - row["engine_use"]["other_cores"]))


def fit_machine(single: dict[str, Any]) -> tuple[MachineModel, WearerModel]:
    """Return machine and wearer from the summary of a run of one wearer, see `HostMeasurement.summarize`.

    CPU time that is not the engine's is a frame's: sources, tracking, publishing.
    """
    engine, encode_ms = single["engine_use"], single["engine_use"]["encode_ms"]
    frame_ms = max(0.1, 1000 * (single["cores"] - engine["busy_cores"])) / single["fps"]
    width, height = map(int, single["size"].split("x"))
    sides: tuple[int, ...] = ()
    if single["engine"] != "fake":
        sides = tuple(side for side in PICTURE_SIDES if side <= engine["picture_side"])
        content = Letterbox(width, height, picture_side=engine["side"]).content_size
        encode_ms = [ms / (content[0] * content[1] / 1e6) for ms in encode_ms]
    machine = MachineModel(
        f"this machine, {single['engine']}", encode_ms=encode_ms, decode_ms=engine["decode_ms"], frame_ms=[frame_ms],
        cores=count_free_cores(single), sides=sides, aspect=height / width,
        decode_ratios={int(size): ratio for size, ratio in engine["decode_ratios"].items()},
    )  # fmt: skip
    machine = replace(machine, slots=2 if single["engine"] == "fake" else 1)
    per_keyframe = engine["decodes_per_s"] / max(engine["encodes_per_s"], 1e-9)
    return machine, WearerModel(single["fps"], 0.0, per_keyframe)
