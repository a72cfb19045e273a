"""Measures this machine's encoder for about a second: python -m engines.measure_speed prints one line of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from engines import weights
from engines.base import EngineUnavailable
from engines.letterbox import Letterbox
from engines.load import load
from engines.sam import SamEncoder
from engines.settings import EngineSettings
from engines.speed import time_alternating

FRAME = (1280, 720)
SIDE = 320
"""Picture side that is timed: large enough to tell, and quick on a slow machine."""
ROUNDS = 5


def measure_speed(settings: EngineSettings, folder: Path) -> dict[str, Any]:
    """Time the encoder on 16:9 pictures, and remember it for the next run.

    folder: the weights. Returns precision, sides and ms_per_megapixel. Raises `EngineError`; `EngineUnavailable` for
    an engine without a choice of sides.
    """
    encoder, decoder = load(settings, folder)
    try:
        if not isinstance(encoder, SamEncoder) or len(encoder.sides) < 2:
            raise EngineUnavailable(f"the {settings.backend} engine encodes pictures at one size only")
        side = min(SIDE, max(encoder.sides))
        picture = np.random.default_rng(0).integers(0, 256, (FRAME[1], FRAME[0], 3), np.uint8)
        encode_ms = time_alternating({"encode": lambda: encoder.encode(picture, side)}, ROUNDS)["encode"]
        width, height = Letterbox(*FRAME, picture_side=side).content_size
        speed = encode_ms / (width * height / 1e6)
        encoder.speed.write(speed)
        return {"precision": encoder.info.precision, "sides": list(encoder.sides), "ms_per_megapixel": speed}
    finally:
        encoder.close()
        decoder.close()


def main() -> None:
    """Measure the default engine."""
    settings = EngineSettings()
    print(json.dumps(measure_speed(settings, weights.model_folder(settings.model))))


if __name__ == "__main__":
    main()
