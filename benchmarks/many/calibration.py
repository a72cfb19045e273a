"""Fits the simulator's machine to a measured run of one wearer."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.many.simulator import MachineModel, WearerModel
from benchmarks.whole_program.device import draw_frames
from engines.letterbox import Letterbox
from engines.settings import PICTURE_SIDES
from realtime.pipeline.side_control import MOVING_SPEED

BATCH_SPEED = Path(__file__).parents[1] / "results" / "batch_speed.json"
JPEGS = 50


def measure_jpeg_ms(size: tuple[int, int]) -> float:
    """Measure the CPU time of decoding a JPEG of this size, ms."""
    jpeg = np.frombuffer(draw_frames(size)[0], np.uint8)
    begun_ns = time.thread_time_ns()
    for _ in range(JPEGS):
        cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    return (time.thread_time_ns() - begun_ns) / 1e6 / JPEGS


def measured_speeds(precision: str, size: tuple[int, int]) -> list[float]:
    """Return the measured milliseconds per megapixel at each side, of single pictures."""
    found = []
    for row in json.loads(BATCH_SPEED.read_text())["rows"]:
        if (row["part"], row["precision"], row["batch"], row["threads"]) == ("encode", precision, 1, 1):
            width, height = Letterbox(*size, picture_side=row["side"]).content_size
            found.append(row["ms"] / (width * height / 1e6))
    return found


def count_free_cores(row: dict[str, Any]) -> float:
    """Return the cores that other processes left in a run; a host competes for at least half of them."""
    cores = os.cpu_count() or 1
    return float(max(cores / 2, cores - row["engine_use"]["other_cores"]))


def fit_machine(single: dict[str, Any]) -> tuple[MachineModel, WearerModel]:
    """Return machine and wearer from the summary of a run of one wearer, see `HostMeasurement.summarize`.

    A frame's tracking takes as long as its mask was late, where one wearer has the cores. The real engine's times are
    those of `benchmarks.batch_speed`, which were measured without anything beside it.
    """
    engine, encode_ms = single["engine_use"], single["engine_use"]["encode_ms"]
    width, height = map(int, single["size"].split("x"))
    sides: tuple[int, ...] = ()
    if single["engine"] != "fake":
        sides = tuple(side for side in PICTURE_SIDES if side <= engine["picture_side"])
        encode_ms = measured_speeds(engine["precision"], (width, height))
    machine = MachineModel(
        f"this machine, {single['engine']}", encode_ms=encode_ms, decode_ms=engine["decode_ms"],
        frame_ms=[single["frame_to_mask_ms"]["p50"]],
        cores=count_free_cores(single), sides=sides, aspect=height / width,
        decode_ratios={int(size): ratio for size, ratio in engine["decode_ratios"].items()},
    )  # fmt: skip
    is_fake = single["engine"] == "fake"
    source_ms = measure_jpeg_ms((width, height))
    machine = replace(machine, slots=2 if is_fake else 1, engine_in_python=is_fake, source_ms=source_ms)
    per_keyframe = engine["decodes_per_s"] / max(engine["encodes_per_s"], 1e-9)
    return machine, WearerModel(single["fps"], 0.0, per_keyframe, single.get("speed", MOVING_SPEED))
