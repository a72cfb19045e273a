"""Measures what a picture, and a prompt, costs in batches of 1, 2, 4 and 8: python -m benchmarks.batch_speed.

Every batch size is timed by turns within one run, so that a busy machine slows all of them; medians, and their ratios
to single calls.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engines import EngineSettings, Prompt, load, weights
from engines.backends.openvino import OpenVinoRuntime, open_pair
from engines.graphs import SHARED_BATCHES
from engines.sam import SamDecoder, SamEncoder, open_store

FRAME = 640, 360


def cpu_ms() -> float:
    """Return the process's CPU time in ms; on a busy machine the only fair measure."""
    return time.process_time_ns() / 1e6


def time_by_turns(runs: dict[int, Callable[[], Any]], rounds: int) -> dict[int, tuple[float, float]]:
    """Return the median wall and CPU time in ms of each run, without a first round."""
    wall: dict[int, list[float]] = {size: [] for size in runs}
    cpu: dict[int, list[float]] = {size: [] for size in runs}
    for index in range(rounds + 1):
        for size, run in runs.items():
            begun, used = time.perf_counter_ns(), cpu_ms()
            run()
            if index:
                wall[size].append((time.perf_counter_ns() - begun) / 1e6)
                cpu[size].append(cpu_ms() - used)
    return {size: (statistics.median(wall[size]), statistics.median(cpu[size])) for size in runs}


def open_engine(precision: str, side: int, threads: int) -> tuple[SamEncoder, SamDecoder]:
    """Open MobileSAM by OpenVINO; int8 without its acceptance, which a measurement of time does not need."""
    settings = EngineSettings(
        precision=precision,
        picture_side=side,
        encoder_threads=threads,
        decoder_threads=1,  # type: ignore[arg-type]
    )
    folder = weights.model_folder(settings.model)
    if precision != "int8":
        encoder, decoder = load(settings, folder)
        assert isinstance(encoder, SamEncoder)
        assert isinstance(decoder, SamDecoder)
        return encoder, decoder
    store = open_store(settings, folder, lambda line: None)
    return open_pair(OpenVinoRuntime(store, settings, unjudged=True), store, settings, None)


def measure(precision: str, side: int, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Measure one engine; one row for each part and batch size."""
    encoder, decoder = open_engine(precision, side, threads)
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 256, (FRAME[1], FRAME[0], 3), np.uint8) for _ in range(SHARED_BATCHES[-1])]
    staged = [encoder.stage(picture) for picture in pictures]
    embeddings = [encoder.encode(picture) for picture in pictures]
    requests = [decoder.stage(embedding, [Prompt.click(300, 180)]) for embedding in embeddings]
    rows = []
    parts = {"encode": (encoder.encode_batch, staged), "decode": (decoder.decode_batch, requests)}
    for part, (run, items) in parts.items():
        runs = {size: lambda size=size, run=run, items=items: run(items[:size]) for size in SHARED_BATCHES}
        for size, (wall, used) in time_by_turns(runs, rounds).items():
            rows.append({
                "part": part, "precision": precision, "side": side, "threads": threads, "batch": size,
                "ms": round(wall / size, 2), "cpu_ms": round(used / size, 2),
            })  # fmt: skip
    for row in rows:
        single = next(each for each in rows if each["part"] == row["part"] and each["batch"] == 1)
        row["ratio"], row["cpu_ratio"] = (round(row[key] / single[key], 3) for key in ("ms", "cpu_ms"))
    encoder.close()
    decoder.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", nargs="+", default=["f32", "bf16", "int8"])
    parser.add_argument("--side", nargs="+", type=int, default=[384, 512])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = []
    for precision in args.precision:
        for side in args.side:
            for threads in args.threads:
                for row in measure(precision, side, threads, args.rounds):
                    rows.append(row)
                    print(json.dumps(row), flush=True)
    if args.out:
        found = {"cores": os.cpu_count(), "threads_alive": threading.active_count(), "rows": rows}
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
