"""Measures the padding's activations, for `engines.models.padding`: python -m benchmarks.measure_padding WEIGHTS.

Synthetic pictures of every height and width in tokens are encoded in the full square with OpenVINO, which takes about
a quarter of an hour, and what is found beyond the picture is written to the file that comes with the program. To be run
again when the encoder's weights change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.cache import hash_files
from engines.graphs import GRID, block_edges
from engines.letterbox import TOKEN_PX, Letterbox
from engines.models.decoder_graph import pool_blocks
from engines.models.onnx_graphs import MEAN_BGR, STD_BGR, build_square_encoder
from engines.models.padding import EMBEDDING, FILE, RING, Floats, surround_mask
from engines.models.tiny_vit_graph import WINDOWS
from engines.models.weight_arrays import read_arrays
from engines.openvino_core import open_core
from engines.settings import PICTURE_SIDES
from engines.weights import weight_files

PICTURES = 3
LENGTH = 32
"""Tokens of the picture along the measured edge."""
INNER = 24
"""Of these, the ones that are averaged: the rest is near the corner."""
PROPORTIONS = ((16, 9), (16, 10), (3, 2), (4, 3), (5, 4), (1, 1), (2, 1), (21, 9))
RANK = 24
"""Of the embedding round a picture, of 256 channels; what is left out is 4 % of it, the pictures differ by 13 %."""
SIDE = GRID * TOKEN_PX
Encode = Callable[[NDArray[np.uint8]], dict[str, Floats]]


def open_square_encoder(folder: Path) -> Encode:
    """Compile the encoder over the full square; a call returns its layers' inputs and the embedding, (H, W, C)."""
    model, tensors = build_square_encoder(read_arrays(folder, "mobile_sam"))
    core = open_core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    def encode(picture: NDArray[np.uint8]) -> dict[str, Floats]:
        square = np.zeros((SIDE, SIDE, 3), np.float32)
        square[: picture.shape[0], : picture.shape[1]] = (picture - np.array(MEAN_BGR)) / np.array(STD_BGR)
        results = compiled({0: np.ascontiguousarray(square[None, ..., ::-1].transpose(0, 3, 1, 2))})
        found = {name: results[name].reshape(rows, columns, -1) for name, (_, rows, columns, _) in tensors.items()}
        return {EMBEDDING: results[EMBEDDING][0], **found}

    return encode


def measure_side(encode: Encode, tokens: int, *, below: bool) -> dict[str, Floats]:
    """Measure the profiles beyond a picture of so many rows (`below`) or columns of tokens."""
    size = (tokens * TOKEN_PX, LENGTH * TOKEN_PX) if below else (LENGTH * TOKEN_PX, tokens * TOKEN_PX)
    sums: dict[str, Floats] = {}
    for seed in range(PICTURES):
        for name, found in encode(natural_noise(seed, *size)).items():
            step = found.shape[0] // GRID
            across = found if below else found.transpose(1, 0, 2)
            sums[name] = sums.get(name, np.float32(0)) + across[:, : INNER * step].mean(1) / PICTURES
    profiles = {}
    for name, means in sums.items():
        if name == EMBEDDING:
            borders = block_edges(tokens)[tokens:]
            blocks = [means[a:b].mean(0) for a, b in pairwise(borders)]
            profiles[name] = np.stack(blocks)
        else:
            begin = (tokens + RING) * (len(means) // GRID)
            depth = -begin % WINDOWS[int(name[0])] if name.endswith("_attn") else 1
            if depth and begin < len(means):
                profiles[name] = means[begin : begin + depth]
    return profiles


def measure_surround(encode: Encode, rows: int, columns: int) -> Floats:
    """Measure the finished embedding round a picture of rows x columns tokens, (n, 256) on the decoder's grid."""
    pictures = [natural_noise(seed, rows * TOKEN_PX, columns * TOKEN_PX) for seed in range(PICTURES)]
    mean = np.mean([encode(picture)[EMBEDDING] for picture in pictures], 0)
    return pool_blocks(mean, rows, columns)[surround_mask(rows, columns)]


def list_shapes() -> list[tuple[int, int]]:
    """List the (rows, columns) of pictures of usual proportions at all picture sides."""
    shapes = set()
    for side in PICTURE_SIDES:
        for width, height in PROPORTIONS:
            columns, rows = Letterbox(width, height, picture_side=side).content_size
            shapes |= {(rows // TOKEN_PX, columns // TOKEN_PX), (columns // TOKEN_PX, rows // TOKEN_PX)}
    return sorted(shape for shape in shapes if min(shape) < GRID)


def natural_noise(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Draw a (height, width, 3) picture with the statistics of photographs: amplitude 1 / frequency, channels alike.

    Field, "Relations between the statistics of natural images and the response properties of cortical cells", 1987.
    """
    return _noise(seed)[:height, :width]


@lru_cache(maxsize=PICTURES)
def _noise(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None]) + 1 / SIDE
    layers = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / frequency).real for _ in range(4)]
    grey, *colours = [(layer - layer.mean()) / layer.std() for layer in layers]
    picture = 118 + 50 * (0.8 * grey[..., None] + 0.5 * np.stack(colours, -1))
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def measure_edges(encode: Encode) -> dict[str, NDArray[Any]]:
    """Measure the profiles beyond pictures of every number of rows and columns, in 8 bits."""
    measured: dict[str, Floats] = {}
    for tokens in range(1, GRID):
        for side in ("below", "right"):
            for name, profile in measure_side(encode, tokens, below=side == "below").items():
                measured[f"{side}.{tokens}.{name}"] = profile
        print(f"edge {tokens} of {GRID - 1}", file=sys.stderr, flush=True)
    names = {key.split(".", 2)[2] for key in measured}
    scales = {
        name: np.max([np.abs(p).max(0) for key, p in measured.items() if key.endswith(f".{name}")], 0) / 127
        for name in names
    }
    packed = {key: np.round(p / scales[key.split(".", 2)[2]]).astype(np.int8) for key, p in measured.items()}
    return packed | {f"scale.{name}": scale.astype(np.float32) for name, scale in scales.items()}


def measure_surrounds(encode: Encode) -> dict[str, NDArray[Any]]:
    """Measure the embedding round pictures of usual shapes, as coefficients of a common basis, in 8 bits."""
    found: dict[tuple[int, int], Floats] = {}
    shapes = list_shapes()
    for index, shape in enumerate(shapes):
        found[shape] = measure_surround(encode, *shape)
        print(f"shape {index + 1} of {len(shapes)}", file=sys.stderr, flush=True)
    tokens = np.concatenate(list(found.values()))
    mean = tokens.mean(0)
    basis = np.linalg.svd(tokens - mean, full_matrices=False)[2][:RANK]
    scale = np.abs((tokens - mean) @ basis.T).max(0) / 127
    packed = {
        f"surround.{rows}x{columns}": np.round((values - mean) @ basis.T / scale).astype(np.int8)
        for (rows, columns), values in found.items()
    }
    return packed | {"surround.mean": mean, "surround.basis": (basis * scale[:, None]).astype(np.float32)}


def main(folder: Path) -> None:
    """Measure everything and write it."""
    encode = open_square_encoder(folder)
    found: dict[str, Any] = measure_edges(encode) | measure_surrounds(encode)
    found["weights"] = np.array([hash_files(weight_files(folder, "mobile_sam"))])
    np.savez_compressed(FILE, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
