"""Plans how many devices a building needs, by simulation with measured or published service times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.many.host_run import percentiles
from benchmarks.many.simulator import MachineModel, SimulatedTimes, WearerModel, simulate

MAX_AGE_MS, MAX_LATE_MS, MIN_RATE = 500.0, 100.0, 0.9
"""What a wearer must get: 95 % of masks on keyframes of at most this age, published within this time of their frame,
and this share of the frames with a mask."""
MAX_PER_DEVICE = 256
GREEDY_FPS, MAX_FPS = 120.0, 30.0
SAMPLED_DEVICES = 12
"""Devices are independent of each other: so many are simulated of those that many wearers need."""

PUBLISHED = (("single GPU (MobileSAM's authors)", 8.0, 4.0, 16), ("Jetson AGX Orin (NVIDIA's nanosam)", 35.0, 4.0, 12))
"""GPUs whose times for MobileSAM others have measured and published, at 1024 px and batch 1: name, encoder and decoder
in ms, cores. 8 + 4 ms on "a single GPU" (github.com/ChaoningZhang/MobileSAM, README), 35 ms for the encoder and 39 for
both in float32 on a Jetson AGX Orin (github.com/NVIDIA-AI-IOT/nanosam, README).
The 16 cores of the first are assumed."""


def published_machines(measured: MachineModel) -> list[MachineModel]:
    """Return the published GPUs, with the tracking of the measured machine, whose CPU theirs need not equal.

    Batches gain nothing here, which was not published. As many processes share a device as tracking needs, since one
    tracks on little more than a core.
    """
    return [
        MachineModel(
            name, [encode_ms], [decode_ms], measured.frame_ms, cores, engine_on_cpu=False, slots=cores,
            python_cores=cores, source_ms=measured.source_ms,
        )
        for name, encode_ms, decode_ms, cores in PUBLISHED
    ]  # fmt: skip


def summarize(times: SimulatedTimes, wearers: int) -> dict[str, Any]:
    """Return the figures of a simulation, for JSON."""
    worst = max((float(np.percentile(late, 95)) for late in times.by_wearer.values()), default=math.inf)
    return {
        "wearers": wearers,
        "masks_per_s_each": round(len(times.frame_to_mask) / times.seconds / wearers, 2),
        "frame_to_mask_ms": percentiles(times.frame_to_mask), "worst_wearer_p95_ms": round(worst, 1),
        "keyframe_age_ms": percentiles(times.keyframe_age),
        "keyframes_per_s_each": round(times.keyframes / times.seconds / wearers, 2),
        "side": round(float(np.median(times.sides))) if times.sides else None,
    }  # fmt: skip


def is_served(times: SimulatedTimes, wearers: int, model: WearerModel) -> bool:
    """Return whether all wearers got what they must get."""
    if len(times.by_wearer) < wearers:
        return False
    rate = len(times.frame_to_mask) / times.seconds / wearers
    return (
        float(np.percentile(times.keyframe_age, 95)) <= MAX_AGE_MS
        and float(np.percentile(times.frame_to_mask, 95)) <= MAX_LATE_MS
        and rate >= MIN_RATE * model.fps
    )


def find_capacity(machine: MachineModel, model: WearerModel, *, seconds: float = 8.0) -> int:
    """Return the most wearers that one device serves, by halving; at least 1, even where that is too many."""
    fits, fails = 1, 2
    while fails <= MAX_PER_DEVICE and is_served(simulate(machine, fails, model, seconds=seconds), fails, model):
        fits, fails = fails, 2 * fails
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if is_served(simulate(machine, middle, model, seconds=seconds), middle, model):
            fits = middle
        else:
            fails = middle
    return fits


def measure_fairness(machine: MachineModel, model: WearerModel, wearers: int) -> dict[str, Any]:
    """Return the other wearers' times with a usual first wearer, and with one who sends 1920x1080 120 times a second.

    A host tracks 30 of those frames a second, and decodes all.
    """
    pixels = 1920 * 1080 / (640 * 360)
    greedy = replace(machine, source_ms=machine.source_ms * pixels * GREEDY_FPS / MAX_FPS), replace(model, fps=MAX_FPS)
    found: dict[str, Any] = {"machine": machine.name, "wearers": wearers}
    for name, first in (("usual", None), ("greedy", greedy)):
        late: list[float] = []
        for seed in range(SAMPLED_DEVICES):
            times = simulate(machine, wearers, model, seconds=5.0, seed=seed, first=first)
            late += [value for number, values in times.by_wearer.items() if number for value in values]
        found[f"{name}_ms"] = percentiles(late)
    found["p95_ratio"] = round(found["greedy_ms"]["p95"] / found["usual_ms"]["p95"], 3)
    return found


def plan_building(
    machine: MachineModel, model: WearerModel, counts: Sequence[int], *, seconds: float = 5.0
) -> list[dict[str, Any]]:
    """Return, for each number of wearers, 1 or more, the devices that they need and what the wearers get."""
    if bad := [count for count in counts if count < 1]:
        raise ValueError(f"a building has 1 wearer or more, got {bad[0]}")
    fits, rows = find_capacity(machine, model), []
    for count in counts:
        devices = math.ceil(count / fits)
        pooled = SimulatedTimes(seconds=seconds)
        simulated = 0
        for device in range(min(devices, SAMPLED_DEVICES)):
            wearers = count // devices + (device < count % devices)
            times = simulate(machine, wearers, model, seconds=seconds, seed=device + 1)
            pooled.frame_to_mask += times.frame_to_mask
            pooled.keyframe_age += times.keyframe_age
            pooled.by_wearer |= {simulated + number: late for number, late in times.by_wearer.items()}
            pooled.keyframes, simulated = pooled.keyframes + times.keyframes, simulated + wearers
            pooled.sides += times.sides
        row = summarize(pooled, simulated) | {"wearers": count}
        rows.append(row | {"machine": machine.name, "fps": model.fps, "fits": fits, "devices": devices})
    return rows
