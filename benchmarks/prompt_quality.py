"""Measures prompts of one fixation: mIoU of a click, a box, a click with the last mask, under errors of the gaze.

    python benchmarks/prompt_quality.py DATA [--weights FOLDER] [--backend openvino] [--picture-side PX ...]

DATA holds `stills/` (images/, annotations.json with a polygon for each object) and `video/` (DAVIS layout).

The click protocol. Every picture is cut to 16:9 in the middle and brought to 854 x 480. An object is one polygon of a
still, what is left of it, of at least 0.1 % of the picture, or the mask of every tenth frame of a clip. The click is an
object's deepest point (the maximum of the Euclidean distance transform), moved by `error` px of the picture in a
direction drawn once for each object, and kept inside the picture; it may leave the object, as gaze does. "top" is the
mask with the best predicted IoU of SAM's last three, "best of four" the candidate nearest the truth. "dense" clicks
again at the same place with the top mask's logits as SAM's mask prompt. "box" is the object's bounding box with every
side moved by a normal error of that many px (sd); 0 px is the true box. Means are over objects, all alike; "by_area"
has those of the true click and the true box by the object's share of the picture. All of it is measured at each of
the sides at which pictures are encoded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from engines import EngineSettings, Image, Mask, MaskCandidates, Prompt, load, weights
from engines.pictures import resize_and_crop

ERRORS_PX = (0, 5, 10, 20, 40)
LEAST_AREA = 0.001
FRAME = (854, 480)
KINDS = ("top", "best_of_four", "dense", "box")
SIDES_PX = (512, 672, 1024)
SHARES = (0.001, 0.01, 0.05, 1.0)
"""Limits of the classes of objects, as shares of the picture."""


def read_stills(folder: Path) -> Iterator[tuple[str, Image, list[Mask]]]:
    for entry in json.loads((folder / "annotations.json").read_text())["images"]:
        image = cv2.imread(str(folder / "images" / entry["image"]))
        masks = []
        for labelled in entry["objects"]:
            mask = np.zeros(image.shape[:2], np.uint8)
            cv2.fillPoly(mask, [np.round(np.array(labelled["polygon"])).astype(np.int32)], 1)
            masks.append(crop_mask(mask))
        yield entry["image"], resize_and_crop(image, FRAME), masks


def read_clips(folder: Path) -> Iterator[tuple[str, Image, list[Mask]]]:
    for clip in sorted(path for path in folder.iterdir() if path.is_dir()):
        frames = sorted((clip / "frames").glob("*.jpg"))
        for frame in frames[::10]:
            mask = cv2.imread(str(clip / "masks" / f"{frame.stem}.png"), cv2.IMREAD_GRAYSCALE) > 127
            yield f"{clip.name}/{frame.stem}", resize_and_crop(cv2.imread(str(frame)), FRAME), [crop_mask(mask)]


def crop_mask(mask: np.ndarray) -> Mask:
    """Return (H, W), nonzero on the object, cropped as the picture is."""
    return resize_and_crop((mask > 0).astype(np.uint8)[..., None] * np.uint8(255), FRAME) > 127


def find_deepest_point(mask: Mask) -> np.ndarray:
    """Find the point (x, y) of a mask that is farthest from its edge; the picture's border counts as one."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return np.array([column, row], float)


def compute_iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def compute_ious(found: MaskCandidates, truth: Mask) -> list[float]:
    return [compute_iou(found.letterbox.logits_to_picture(logits) > 0, truth) for logits in found.logits]


def make_prompts(name: str, index: int, mask: Mask) -> tuple[list[Prompt], list[Prompt]]:
    """Make a click and a box for every error."""
    height, width = mask.shape
    limit = np.array([width, height]) - 1
    rng = np.random.default_rng(zlib.crc32(f"{name}:{index}".encode()))
    angle = rng.uniform(0, 2 * np.pi)
    away, sides = np.array([np.cos(angle), np.sin(angle)]), rng.normal(size=4)
    rows, columns = np.where(mask)
    edges = np.array([columns.min(), rows.min(), columns.max(), rows.max()], float)
    clicks, boxes = [], []
    for error in ERRORS_PX:
        clicks.append(Prompt.click(*np.clip(find_deepest_point(mask) + error * away, 0, limit)))
        box = np.clip(edges + error * sides, 0, np.tile(limit, 2)).reshape(2, 2)
        boxes.append(Prompt.box(*box.min(0), *box.max(0)))
    return clicks, boxes


def measure_prompts(encoder, decoder, pictures) -> dict:
    rows = {kind: {error: [] for error in ERRORS_PX} for kind in KINDS}
    areas = []
    for name, image, masks in pictures:
        embedding = encoder.encode(image)
        for index, mask in enumerate(masks):
            if mask.mean() < LEAST_AREA:
                continue
            areas.append(float(mask.mean()))
            clicks, boxes = make_prompts(name, index, mask)
            found = decoder.decode(embedding, clicks)
            repeated = [
                replace(click, mask_logits=each.logits[each.best_index])
                for click, each in zip(clicks, found, strict=True)
            ]
            dense, boxed = decoder.decode(embedding, repeated), decoder.decode(embedding, boxes)
            for error, click, more, box in zip(ERRORS_PX, found, dense, boxed, strict=True):
                values = compute_ious(click, mask)
                rows["top"][error].append(values[click.best_index])
                rows["best_of_four"][error].append(max(values))
                rows["dense"][error].append(compute_ious(more, mask)[more.best_index])
                rows["box"][error].append(compute_ious(box, mask)[box.best_index])
    means = {k: {str(e): round(float(np.mean(v)), 4) for e, v in by.items()} for k, by in rows.items()}
    return {
        "objects": len(areas),
        "miou": means,
        "by_area": summarize_by_area(areas, {k: by[0] for k, by in rows.items()}),
    }


def summarize_by_area(areas: list[float], values: dict[str, list[float]]) -> dict:
    """Compute the means over the objects of each class of area; empty classes are left out."""
    found = {}
    for low, high in pairwise(SHARES):
        chosen = [index for index, area in enumerate(areas) if low <= area < high or low < area == high]
        if chosen:
            means = {kind: round(float(np.mean([ious[index] for index in chosen])), 4) for kind, ious in values.items()}
            found[f"{low:g} to {high:g}"] = {"objects": len(chosen), "miou": means}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--picture-side", type=int, nargs="+", default=list(SIDES_PX), metavar="PX")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "prompt_quality.json")
    args = parser.parse_args()
    sides = {}
    for side in args.picture_side:
        settings = EngineSettings(args.backend, precision=args.precision, picture_side=side)
        folder = args.weights or weights.model_folder("mobile_sam")
        encoder, decoder = load(settings, folder, frame_size=FRAME, report=print)
        info = encoder.info
        sides[str(side)] = {
            "stills": measure_prompts(encoder, decoder, read_stills(args.data / "stills")),
            "video": measure_prompts(encoder, decoder, read_clips(args.data / "video")),
        }
        encoder.close()
        decoder.close()
        print_results(side, sides[str(side)])
    out = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {info.device}",
        "engine": f"{info.backend} {info.precision}",
        "versions": info.versions,
        "protocol": " ".join(__doc__.split("The click protocol.")[1].split()),
        "errors_px": list(ERRORS_PX),
        "picture_side": sides,
    }
    args.out.write_text(json.dumps(out, indent=2) + "\n")


def print_results(side: int, parts: dict) -> None:
    for part, found in parts.items():
        print(f"{side} px, {part}, {found['objects']} objects")
        for kind, by in found["miou"].items():
            print(f"  {kind:14s}", "  ".join(f"{error:>3s} px {value:.3f}" for error, value in by.items()), flush=True)


if __name__ == "__main__":
    main()
