"""Measures confirming by a pinch: hands that are found, pinches that were none, and the time of a search.

    python -m benchmarks.pinch --data DATA [--rate 10] [--out FILE.json]

DATA holds stills/images/*.jpg and video/NAME/frames/*.jpg, whose people pinch nothing on purpose. Clips are taken at
--fps, and searched as in a run at --rate pictures a second; each is played to and fro for --seconds, so that hands that
open in it close, too. Needs `gazecast models pull hands`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import Image
from engines.landmarks.hand_landmarker import HandLandmarker
from realtime.tracking.pinch_detector import PinchDetector, PinchSettings

CERTAIN = 0.9


def main() -> None:
    """Print the figures, and write them if asked to."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, required=True)
    flags.add_argument("--rate", type=float, default=10.0, help="searches a second")
    flags.add_argument("--fps", type=float, default=24.0, help="of the clips")
    flags.add_argument("--seconds", type=float, default=60.0, help="of each clip, played to and fro")
    flags.add_argument("--out", type=Path, metavar="FILE.json")
    args = flags.parse_args()
    cv2.setNumThreads(1)
    found = {"stills": measure_stills(sorted((args.data / "stills" / "images").glob("*.jpg"))), "clips": {}}
    for folder in sorted((args.data / "video").iterdir()):
        images = [np.asarray(cv2.imread(str(path)), np.uint8) for path in sorted((folder / "frames").glob("*.jpg"))]
        if images:
            found["clips"][folder.name] = measure_clip(images, args.rate, args.fps, args.seconds)
    minutes = args.seconds / 60 * len(found["clips"])
    found["false_per_minute"] = sum(clip["pinches"] for clip in found["clips"].values()) / max(minutes, 1e-9)
    text = json.dumps(found, indent=2)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


def measure_stills(paths: list[Path]) -> dict[str, Any]:
    """Count the pictures with a hand."""
    finder, found = HandLandmarker(), 0
    for path in paths:
        finder.forget()
        found += any(hand.presence > CERTAIN for hand in finder.find(np.asarray(cv2.imread(str(path)), np.uint8)))
    return {"pictures": len(paths), "with_a_hand": found}


def measure_clip(images: list[Image], rate: float, fps: float, seconds: float) -> dict[str, Any]:
    """Search a clip, and count its pinches; times of a search in ms."""
    finder, detector = HandLandmarker(), PinchDetector(PinchSettings(max_rate_hz=rate))
    finder.find(images[0])
    times: list[float] = []
    pinches = hands = 0
    height, width = images[0].shape[:2]
    for at_s, image in sample_clip(images, rate, fps, seconds):
        begun = time.perf_counter()
        found = finder.find(image)
        times.append((time.perf_counter() - begun) * 1e3)
        hands += bool(found)
        pinches += detector.update(found, (width, height), round(at_s * 1e9)) is not None
    return {
        "searches": len(times), "with_a_hand": hands, "pinches": pinches,
        "ms_p50": round(float(np.median(times)), 1), "ms_p95": round(float(np.percentile(times, 95)), 1),
    }  # fmt: skip


def sample_clip(images: list[Image], rate: float, fps: float, seconds: float) -> Iterator[tuple[float, Image]]:
    """Yield (time in s, picture) at a rate, of a clip that is played to and fro."""
    order = [*range(len(images)), *range(len(images) - 2, 0, -1)]
    for count in itertools.count():
        if (at_s := count / rate) >= seconds:
            return
        yield at_s, images[order[int(at_s * fps) % len(order)]]


if __name__ == "__main__":
    main()
