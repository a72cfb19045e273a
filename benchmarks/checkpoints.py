"""Loads checkpoints with the published names and random weights, and compares masks with the authors' own networks.

    python -m benchmarks.checkpoints [--models sam_vit_b sam_vit_l sam_vit_h mobile_sam] [--out FILE]

Each file is written by the authors' package, pulled into a cache with its own sum in the registry, opened in float32
and fed one square picture and one click; both networks see the same pixels. Its size is set beside that of the
published file: what remains a tensor is the archive's own, so that the shapes are those of the published weights.
Needs torch and segment-anything; `mobile_sam` needs the authors' package too, which `pip install --no-deps
mobilesam-mirror` installs. `sam_vit_h` takes 8 GB of disk, 14 GB of memory and some minutes.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import threading
import time
import types
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines import EngineSettings, Prompt, fetch, load, weights
from engines.model_registry import REGISTRY, UrlSource
from engines.models.onnx_graphs import MEAN_BGR, STD_BGR
from engines.models.sam_vit_graph import SHAPES
from engines.sam import SamEncoder
from tests.engines.networks.published import build_published, randomize, without_torchvision

SIDE = 1024
CLICK = (400.0, 500.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["mobile_sam", *SHAPES], metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "checkpoints.json")
    args = parser.parse_args()
    rows = []
    for model in args.models:
        with tempfile.TemporaryDirectory(prefix="gazecast-") as folder:
            rows.append(measure(model, Path(folder)))
        print(json.dumps(rows[-1]), flush=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    out = {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "rows": rows}
    args.out.write_text(json.dumps(out, indent=2) + "\n")


def measure(model: str, folder: Path) -> dict[str, Any]:
    """Write, pull and load one checkpoint; returns its differences from the authors' network, times and memory."""
    source = next(
        source
        for entry in REGISTRY
        for source in entry.sources
        if entry.name == model and isinstance(source, UrlSource)
    )
    file = folder / source.files[0].name
    sam = build_mobile_sam() if model == "mobile_sam" else build_published(SHAPES[model])
    torch.save(sam.state_dict(), file)
    tensors = sam.state_dict().values()
    nbytes = sum(value.numel() * value.element_size() for value in tensors)
    image = np.random.default_rng(3).integers(0, 255, (SIDE // 32, SIDE // 32, 3), np.uint8).repeat(32, 0).repeat(32, 1)
    embedding, logits, scores = run_published(sam, image)
    count = len(tensors)
    del sam, tensors
    gc.collect()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        row = pool.apply(run_ours, (model, folder, image, embedding, logits, scores))
    return {
        "model": model, "file_bytes": file.stat().st_size, "published_bytes": source.files[0].size,
        "published_bytes_beyond_numbers_a_tensor": round((source.files[0].size - nbytes) / count, 1), **row,
    }  # fmt: skip


def build_mobile_sam() -> Any:
    """Build MobileSAM's authors' network with random weights; timm, of which it uses three functions, is a stub."""
    layers, registry = types.ModuleType("timm.models.layers"), types.ModuleType("timm.models.registry")
    vars(layers).update(
        DropPath=torch.nn.Identity,
        to_2tuple=lambda value: (value, value), trunc_normal_=torch.nn.init.trunc_normal_,
    )  # fmt: skip
    vars(registry).update(register_model=lambda function: function)
    sys.modules |= {"timm": types.ModuleType("timm"), "timm.models": types.ModuleType("timm.models"),
                    layers.__name__: layers, registry.__name__: registry}  # fmt: skip
    with without_torchvision():
        from mobile_sam.build_sam import build_sam_vit_t

        torch.manual_seed(0)
        return randomize(build_sam_vit_t())


@torch.inference_mode()
def run_published(sam: Any, image: np.ndarray[Any, Any]) -> tuple[Any, Any, Any]:
    """Return the authors' embedding (64, 64, 256), logits (4, 256, 256) and predicted IoUs of one click."""
    pixels = (torch.from_numpy(image).float() - torch.tensor(MEAN_BGR)) / torch.tensor(STD_BGR)
    embedding = sam.image_encoder(pixels.flip(2).permute(2, 0, 1)[None])
    points = torch.tensor([[CLICK]]), torch.ones(1, 1)
    sparse, dense = sam.prompt_encoder(points=points, boxes=None, masks=None)
    logits, scores = sam.mask_decoder.predict_masks(
        image_embeddings=embedding, image_pe=sam.prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )  # fmt: skip
    return embedding[0].permute(1, 2, 0).numpy(), logits[0].numpy(), scores[0].numpy()


def run_ours(model: str, folder: Path, image: Any, embedding: Any, logits: Any, scores: Any) -> dict[str, Any]:
    """Pull and open the checkpoint in this process, without torch; returns differences, times and peak memory."""
    peaks = watch_memory()
    entry = next(entry for entry in REGISTRY if entry.name == model)
    source = next(source for source in entry.sources if isinstance(source, UrlSource))
    file = folder / source.files[0].name
    remote = replace(source.files[0], size=file.stat().st_size, sha256=fetch.sha256(file))
    weights.list_models = lambda: (replace(entry, sources=(replace(source, files=(remote,)),)),)
    start_s = time.perf_counter()
    cached = weights.pull_model(model, source=folder, root=folder / "models")
    pulled_s = time.perf_counter()
    threads = os.cpu_count() or 1
    settings = EngineSettings(
        model=model, precision="f32", encoder_threads=threads, decoder_threads=threads, picture_side=SIDE,
        cache_dir=folder / "engines",
    )  # fmt: skip
    encoder, decoder = load(settings, cached, frame_size=(SIDE, SIDE))
    opened_s = time.perf_counter()
    encoded = encoder.encode(image)
    encoded_s = time.perf_counter()
    [found] = decoder.decode(encoded, [Prompt.click(*CLICK)])
    assert isinstance(encoder, SamEncoder)
    ours = encoder.embedding(encoded)
    return {
        "embedding_error": float(np.linalg.norm(ours - embedding) / np.linalg.norm(embedding)),
        "logits_error": float(np.abs(found.logits - logits).max() / np.abs(logits).max()),
        "predicted_iou_error": float(np.abs(found.predicted_iou - scores).max()),
        "pull_s": round(pulled_s - start_s, 1), "open_s": round(opened_s - pulled_s, 1),
        "encode_s": round(encoded_s - opened_s, 1), "peak_memory_gb": round(max(peaks) / 2**20, 2),
    }  # fmt: skip


def watch_memory() -> list[int]:
    """Begin to collect this process's own memory, without mapped files, in kB, ten times a second (Linux)."""
    peaks = [0]

    def collect() -> None:
        while True:
            status = Path("/proc/self/status").read_text()
            peaks.append(int(status.partition("RssAnon:")[2].split()[0]))
            time.sleep(0.1)

    threading.Thread(target=collect, daemon=True).start()
    return peaks


if __name__ == "__main__":
    main()
