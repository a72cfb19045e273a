"""Measures what CLIP as the recognizer costs beside an encode of MobileSAM, at its true size with random weights.

    python -m benchmarks.clip_cost

Both alternate in one run, and the time of a core is measured, so that the ratio holds on a busy machine. Weights do
not change the time; MobileSAM's are read from the cache.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np

from engines import EngineSettings, load, weights
from engines.recognition.clip import LONG_SIDE, SMALL_LONG_SIDE, ClipRecognizer
from tests.engines.recognition.clip_files import PUBLISHED, write_clip

SIZES = {
    "clip-b32": {"patch_px": 32, "grid": 7},
    "clip-b16": {"patch_px": 16, "grid": 14},
}
NAMES = ("one", "two")


def measure_fastest(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run all steps in turn, and return the least time of each, ms of a core; the first round only compiles."""
    fastest = dict.fromkeys(steps, float("inf"))
    for index in range(rounds + 1):
        for name, step in steps.items():
            begun_s = time.process_time()
            step()
            if index:
                fastest[name] = min(fastest[name], 1e3 * (time.process_time() - begun_s))
    return fastest


def measure_recognizer(folder: Path, model: str, long_side: int, rounds: int) -> dict[str, float]:
    """Measure an encode of MobileSAM, a picture and a word of CLIP, ms, and the memory that CLIP adds, MB."""
    picture = np.random.default_rng(0).integers(0, 255, (480, 854, 3)).astype(np.uint8)
    settings = EngineSettings(picture_side=512, encoder_threads=1)
    encoder, decoder = load(settings, weights.model_folder("mobile_sam"), frame_size=(854, 480))
    encoder.encode(picture)
    before = read_memory_mb()
    clip = ClipRecognizer(folder, model, names=NAMES, long_side=long_side, cache_dir=folder)
    number = count()
    steps = {
        "encode": lambda: encoder.encode(picture),
        "picture": lambda: clip.recognize(picture),
        "word": lambda: clip.encode_word(f"word {next(number)}"),
    }
    found = measure_fastest(steps, rounds)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found |= {"memory": read_memory_mb() - before, "peak": peak_mb}
    for each in (clip, encoder, decoder):
        each.close()
    return found


def read_memory_mb() -> float:
    """Read the memory of this process that is not of files, MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    print("model     patches  encode ms   picture ms  ratio   word ms   memory MB  peak MB")
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            write_clip(Path(folder), **SIZES[model], **PUBLISHED)
            for long_side in (SMALL_LONG_SIDE, LONG_SIDE):
                found = measure_recognizer(Path(folder), model, long_side, args.rounds)
                print(
                    f"{model:9} {long_side:7} {found['encode']:10.0f} {found['picture']:12.0f}"
                    f" {found['picture'] / found['encode']:6.2f} {found['word']:9.0f} {found['memory']:11.0f}"
                    f" {found['peak']:8.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
