"""Measures the recall of `generate_masks` on labelled images, beside segment-anything's own generator.

    python -m benchmarks.automatic_masks DATA [--picture-side PX ...] [--beside 8] [--pictures 40]

DATA holds `images/` and `annotations.json` with a polygon for each object.

The protocol. Every picture in its own size, all of its labelled objects. An object is found if one of the masks has an
IoU with its polygon of 0.5 or more; recall is the share that is found, "best" the mean IoU of the nearest masks.
Settings are SAM's unless "settings" says otherwise; no crops. Seconds are of one picture, encoding and all, with its
graphs built; the two generators take turns on each of the `beside` pictures and have the same number of threads. "box"
is the mean IoU of the mask for each object's bounding box: SAM's own for prompts that are not ambiguous, and the
best-scored of its other three.

The baseline is `SamAutomaticMaskGenerator` of the package segment-anything 1.0, with its own prompt encoder and mask
decoder and the same weights in them, in float32 torch at 1024 px. Two things in it are ours: MobileSAM's TinyViT as the
image encoder, which the package does not have, and, because it imports torchvision for four small functions and for
nothing else, a stand-in for these: `resize` and `to_pil_image` by Pillow, as torchvision has them, `batched_nms` of one
class and `box_area` in numpy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import types
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.streaming_eval.stills import draw_polygon
from engines import EngineInfo, EngineSettings, Image, Mask, Prompt, load, weights
from engines.automatic_masks import AutomaticSettings, generate_image_masks, run_to_end
from engines.pictures import sample_evenly

SIDES_PX = (512, 1024)
THEIRS = "segment-anything"
WARM = AutomaticSettings(points_per_side=4)  # whole batches, so that no graph is built for less
BATCH = 8
SHARES = (0.0, 0.001, 0.01, 0.05, 1.0)
"""Limits of the classes of objects, as shares of the picture."""


def read_stills(folder: Path, limit: int) -> Iterator[tuple[str, Image, list[Mask]]]:
    for entry in sample_evenly(json.loads((folder / "annotations.json").read_text())["images"], limit):
        image = cv2.imread(str(folder / "images" / entry["image"]))
        masks = [draw_polygon(labelled["polygon"], image.shape[:2]) for labelled in entry["objects"]]
        yield entry["image"], image, masks


def compute_best_ious(found: list[Mask], truths: list[Mask]) -> list[float]:
    if not found:
        return [0.0] * len(truths)
    a = np.stack([mask.ravel() for mask in truths]).astype(np.float32)
    b = np.stack([mask.ravel() for mask in found]).astype(np.float32)
    common = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1)[None] - common
    return (common / np.maximum(union, 1)).max(1).tolist()


# -- ours --------------------------------------------------------------------------------------------------------------


class GazecastGenerator:
    """A generator of ours, for pictures of one side length."""

    def __init__(self, args: argparse.Namespace, folder: Path, side: int) -> None:
        engine = EngineSettings(
            args.backend,
            precision=args.precision,
            picture_side=side,
            encoder_threads=args.threads,
            decoder_threads=args.threads,
        )
        self.settings = AutomaticSettings(
            points_per_side=args.points_per_side,
            least_predicted_iou=args.least_predicted_iou,
            least_stability=args.least_stability,
        )
        self.encoder, self.decoder = load(engine, folder, report=print)
        self.info = self.encoder.info

    def __call__(self, image: Image) -> tuple[list[Mask], float]:
        """Generate the masks of a picture: (masks, seconds)."""
        run_to_end(generate_image_masks(self.encoder, self.decoder, image, WARM))
        begin = time.perf_counter()
        found = run_to_end(generate_image_masks(self.encoder, self.decoder, image, self.settings))
        return [each.mask for each in found], time.perf_counter() - begin

    def measure_boxes(self, image: Image, truths: list[Mask]) -> dict[str, list[float]]:
        """Measure the IoU of the mask of each object's box."""
        embedding = self.encoder.encode(image)
        prompts = [Prompt.box(*compute_box(truth)) for truth in truths]
        filled = prompts + prompts[-1:] * (-len(prompts) % BATCH)  # so that one graph is enough
        out: dict[str, list[float]] = {"single": [], "best of three": []}
        for result, truth in zip(self.decoder.decode(embedding, filled), truths, strict=False):
            for name, index in (("single", 0), ("best of three", result.best_index)):
                mask = result.letterbox.logits_to_picture(result.logits[index]) > 0
                out[name].append(float((mask & truth).sum() / max(1, (mask | truth).sum())))
        return out

    def close(self) -> None:
        """Free the engine."""
        self.encoder.close()
        self.decoder.close()


def compute_box(mask: Mask) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max())


# -- theirs ------------------------------------------------------------------------------------------------------------


def define_torchvision_functions() -> None:
    """Define the four functions that segment-anything uses of torchvision, if that is not installed."""
    import PIL.Image
    import torch

    def batched_nms(boxes: Any, scores: Any, classes: Any, iou_threshold: float) -> Any:
        x0, y0, x1, y1 = boxes.double().numpy().T
        areas = (x1 - x0) * (y1 - y0)
        order = np.argsort(-scores.double().numpy(), kind="stable")
        kept = []
        while len(order):
            first, order = order[0], order[1:]
            kept.append(int(first))
            wide = np.clip(np.minimum(x1[first], x1[order]) - np.maximum(x0[first], x0[order]), 0, None)
            tall = np.clip(np.minimum(y1[first], y1[order]) - np.maximum(y0[first], y0[order]), 0, None)
            with np.errstate(invalid="ignore"):
                iou = wide * tall / (areas[first] + areas[order] - wide * tall)
            order = order[~(iou > iou_threshold)]
        return torch.tensor(kept, dtype=torch.int64)

    functions = {
        "torchvision.ops.boxes": {
            "batched_nms": batched_nms,
            "box_area": lambda boxes: (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        },
        "torchvision.transforms.functional": {
            "to_pil_image": PIL.Image.fromarray,
            "resize": lambda image, size: image.resize(size[::-1], PIL.Image.Resampling.BILINEAR),
        },
    }
    for name in ("torchvision", "torchvision.ops", "torchvision.transforms", *functions):
        sys.modules.setdefault(name, types.ModuleType(name))
    for name, entries in functions.items():
        for key, function in entries.items():
            setattr(sys.modules[name], key, function)


class SegmentAnythingGenerator:
    """A generator of segment-anything with MobileSAM's weights."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        if "torchvision" not in sys.modules:
            define_torchvision_functions()
        import torch
        from segment_anything import SamAutomaticMaskGenerator
        from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

        from engines.backends.torch_graph import TorchGraph
        from engines.models.onnx_graphs import build_square_encoder
        from engines.models.weight_arrays import read_arrays

        weights = read_arrays(folder, "mobile_sam")
        network = TorchGraph(build_square_encoder(weights)[0])

        class Encoder(torch.nn.Module):
            img_size = 1024

            def forward(self, x: Any) -> Any:
                return network(x)[0].permute(0, 3, 1, 2)

        prompt = PromptEncoder(
            embed_dim=256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16
        )
        transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
        decoder = MaskDecoder(num_multimask_outputs=3, transformer=transformer, transformer_dim=256)
        for module, prefix in ((prompt, "prompt_encoder."), (decoder, "mask_decoder.")):
            module.load_state_dict({name: torch.tensor(value) for name, value in weights.below(prefix).items()})
        # fewer clicks at once than its 64, which take gigabytes; results are the same
        self.generator = SamAutomaticMaskGenerator(
            Sam(Encoder(), prompt, decoder).eval(), points_per_batch=16, points_per_side=args.points_per_side
        )
        torch.set_num_threads(args.threads)

    def __call__(self, image: Image) -> tuple[list[Mask], float]:
        """Generate the masks of a picture: (masks, seconds)."""
        begin = time.perf_counter()
        found = self.generator.generate(np.ascontiguousarray(image[..., ::-1]))
        return [each["segmentation"] for each in found], time.perf_counter() - begin


# -- the figures -------------------------------------------------------------------------------------------------------


class RecallStatistics:
    """Holds the recall on a set of pictures."""

    def __init__(self) -> None:
        self.ious: list[float] = []
        self.shares: list[float] = []
        self.seconds: list[float] = []
        self.masks: list[int] = []

    def add(self, found: list[Mask], seconds: float, truths: list[Mask]) -> None:
        """Count one picture."""
        self.ious += compute_best_ious(found, truths)
        self.shares += [float(truth.mean()) for truth in truths]
        self.seconds.append(seconds)
        self.masks.append(len(found))

    def format_line(self) -> str:
        """Format the result for the terminal."""
        if not self.ious:
            return "-"
        return f"recall {np.mean(np.array(self.ious) >= 0.5):.3f}, {self.seconds[-1]:.1f} s, {self.masks[-1]} masks"

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of the JSON file."""
        ious, shares = np.array(self.ious), np.array(self.shares)
        by_share = {}
        for low, high in pairwise(SHARES):
            chosen = (shares >= low) & ((shares < high) | (high == SHARES[-1]))
            if chosen.any():
                recall = round(float((ious[chosen] >= 0.5).mean()), 3)
                by_share[f"{low:g} to {high:g}"] = {"objects": int(chosen.sum()), "recall": recall}
        return {
            "pictures": len(self.seconds),
            "objects": len(ious),
            "recall": round(float((ious >= 0.5).mean()), 4),
            "best": round(float(ious.mean()), 4),
            "masks a picture": round(float(np.mean(self.masks)), 1),
            "seconds, median": round(float(np.median(self.seconds)), 2),
            "seconds, least": round(min(self.seconds), 2),
            "recall by share of the picture": by_share,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--picture-side", type=int, nargs="+", default=list(SIDES_PX), metavar="PX")
    parser.add_argument("--pictures", type=int, default=40, help="number, evenly sampled")
    parser.add_argument("--beside", type=int, default=8, help="number of these for the other generator")
    parser.add_argument("--points-per-side", type=int, default=32, help="of either")
    parser.add_argument("--least-predicted-iou", type=float, default=WARM.least_predicted_iou, help="of ours")
    parser.add_argument("--least-stability", type=float, default=WARM.least_stability, help="of ours")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of either; default: all cores")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "automatic_masks.json")
    args = parser.parse_args()
    folder = args.weights or weights.model_folder("mobile_sam")
    pictures = list(read_stills(args.data, args.pictures))
    chosen = {name for name, _, _ in sample_evenly(pictures, args.beside)}
    ours = {side: GazecastGenerator(args, folder, side) for side in args.picture_side}
    theirs = SegmentAnythingGenerator(args, folder) if chosen else None
    all_of, beside = {side: RecallStatistics() for side in ours}, {side: RecallStatistics() for side in [*ours, THEIRS]}
    boxes: dict[int, dict[str, list[float]]] = {side: {} for side in ours}
    # with the other generator first, so that an interrupted run has results of both
    for name, image, truths in sorted(pictures, key=lambda picture: picture[0] not in chosen):
        for side, generator in ours.items():
            found, seconds = generator(image)
            all_of[side].add(found, seconds, truths)
            if name in chosen:
                beside[side].add(found, seconds, truths)
            for kind, ious in generator.measure_boxes(image, truths).items():
                boxes[side].setdefault(kind, []).extend(ious)
        if name in chosen and theirs is not None:
            beside[THEIRS].add(*theirs(image), truths)
        out = {
            **describe_run(ours[args.picture_side[0]].info, args.threads),
            "settings": {
                "points_per_side": args.points_per_side,
                "ours, least_predicted_iou": args.least_predicted_iou,
                "ours, least_stability": args.least_stability,
            },
            "all": {f"{side} px": statistics.to_fields() for side, statistics in all_of.items()},
            "beside": {str(side): statistics.to_fields() for side, statistics in beside.items() if statistics.seconds},
            "box": {
                f"{side} px": {kind: compute_mean(ious) for kind, ious in by.items()} for side, by in boxes.items()
            },
        }
        args.out.write_text(json.dumps(out, indent=2) + "\n")
        print(
            name,
            *(f"{side}: {statistics.format_line()};" for side, statistics in (all_of | beside).items()),
            flush=True,
        )
    for generator in ours.values():
        generator.close()


def describe_run(info: EngineInfo, threads: int) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {info.device}; {threads} thread(s) used",
        "engine": f"{info.backend} {info.precision}",
        "versions": {**info.versions, "segment-anything": "1.0"},
        "protocol": " ".join(__doc__.split("The protocol.")[1].split()),
    }


def compute_mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)


if __name__ == "__main__":
    main()
