"""Writes files like the detector's published ones, with random weights."""

import json

import numpy as np

CONVOLUTIONS = (
    (32, 3, 3), (32, 32, 3), (16, 32, 3), (16, 16, 3), (32, 32, 3), (64, 64, 3), (32, 64, 3), (32, 32, 3), (32, 64, 3),
    (32, 32, 3), (64, 64, 3), (128, 128, 3), (64, 128, 3), (64, 64, 3), (64, 128, 3), (64, 64, 3), (128, 128, 3),
    (256, 256, 3), (128, 256, 3), (128, 128, 3), (128, 256, 3), (128, 128, 3), (128, 256, 3), (128, 128, 3),
    (256, 256, 3), (128, 128, 1), (128, 256, 1), (128, 512, 1), (128, 128, 3), (124, 128, 1), (128, 128, 3),
    (124, 128, 1), (128, 128, 3), (124, 128, 1),
)  # fmt: skip
"""Channels out and in, and side of the kernel, in the network's order."""


def write_nanodet(folder, seed=0):
    """Write nanodet.json and nanodet.bin; returns the (out, in, h, w) kernels and biases as they are stored."""
    random, entries, data, kept = np.random.default_rng(seed), [], [], []
    quantization = {"dtype": "float16", "original_dtype": "float32"}
    for number, (out, inner, side) in enumerate(CONVOLUTIONS):
        scale = 1.4 / np.sqrt(inner * side * side)
        kernel = random.normal(0, scale, (side, side, inner, out)).astype(np.float16)
        bias = random.normal(0, 0.1, out).astype(np.float16)
        name = f"net/split_{number}" if number else "net/split"
        named = [(name, kernel), (f"unknown_{2 * number}", bias), (f"net/Const_{number}", np.zeros(2, np.int32))]
        for entry, array in named:
            about = {"name": entry, "shape": list(array.shape), "dtype": "float32"}
            entries.append(
                about | ({"quantization": quantization} if array.dtype == np.float16 else {"dtype": "int32"})
            )
            data.append(array.tobytes())
        kept.append((kernel.transpose(3, 2, 0, 1).astype(np.float32), bias.astype(np.float32)))
    (folder / "nanodet.json").write_text(json.dumps({"weightsManifest": [{"weights": entries}]}))
    (folder / "nanodet.bin").write_bytes(b"".join(data))
    return kept
