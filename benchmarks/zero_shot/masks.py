"""Measures proposals and named instances on COCO stills, by pycocotools.

    python -m benchmarks.zero_shot.masks DATA [--points-per-side 32] [--pictures 40] [--keep FOLDER] [--only instances]

DATA holds `images/` and `annotations.json` with a polygon and a category for each object.

Proposals: average recall (IoU 0.5 to 0.95) of the best 10, 100 and 1000 masks a picture, categories ignored; those of
`gazecast segment --proposals`, and the masks of `--everything` as its filter leaves them. Instances: mask AP of boxes
prompted in one batch: the true boxes, whose names and places are right, and the detector's. An interrupted run goes on
where `--keep` has results.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.automatic_masks import compute_box, read_stills
from engines import Decoder, Encoder, EngineSettings, Image, Mask, Prompt, load, weights
from engines.automatic_masks import AutomaticMask, AutomaticSettings, generate_image_masks, run_to_end, segment_prompts
from engines.automatic_masks.proposals import PROPOSAL_SETTINGS, rank_proposals, score_proposal
from engines.recognition.coco_names import NAMES
from engines.recognition.detector import ObjectDetector

MOST = (10, 100, 1000)
Results = list[dict[str, Any]]
Engine = tuple[Encoder, Decoder]


def read_truth(data: Path, names: Sequence[str]) -> COCO:
    """Read the labelled objects of some pictures as COCO's truth."""
    entries = {entry["image"]: entry for entry in json.loads((data / "annotations.json").read_text())["images"]}
    truth = COCO()
    images, annotations = [], []
    for number, (name, image, masks) in enumerate(read_stills(data, len(entries)), 1):
        if name not in names:
            continue
        images.append({"id": number, "file_name": name, "width": image.shape[1], "height": image.shape[0]})
        for labelled, mask in zip(entries[name]["objects"], masks, strict=True):
            segmentation = encode(mask)
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "iscrowd": 0, "segmentation": segmentation,
                "category_id": NAMES.index(labelled["category"].replace("_", " ")) + 1, "area": int(mask.sum()),
                "bbox": rle.toBbox(segmentation).tolist(),
            })  # fmt: skip
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES, 1)]
    truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
    truth.createIndex()
    return truth


def encode(mask: Mask) -> dict[str, Any]:
    coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": coded["size"], "counts": coded["counts"].decode()}


def to_result(mask: AutomaticMask, score: float, category: int = 1) -> dict[str, Any]:
    return {"category_id": category, "score": score, "segmentation": encode(mask.mask)}


# -- what is measured, of one picture ----------------------------------------------------------------------------------


def propose(engine: Engine, image: Image, settings: AutomaticSettings) -> Results:
    found = run_to_end(generate_image_masks(*engine, image, settings))
    return [to_result(mask, score_proposal(mask)) for mask in rank_proposals(found)]


def segment_true_boxes(engine: Engine, image: Image, masks: Sequence[Mask], categories: Sequence[int]) -> Results:
    """Prompt the true boxes; by predicted IoU, as they have no score."""
    prompts = [Prompt.box(*compute_box(mask)) for mask in masks]
    found = segment_prompts(engine[1], engine[0].encode(image), prompts)
    return [to_result(mask, mask.predicted_iou, category) for mask, category in zip(found, categories, strict=True)]


def segment_detected(engine: Engine, image: Image, detector: ObjectDetector) -> Results:
    objects = detector.recognize(image).objects
    if not objects:
        return []
    found = segment_prompts(engine[1], engine[0].encode(image), [Prompt.box(*each.box_px) for each in objects])
    return [to_result(mask, each.score, NAMES.index(each.name) + 1) for mask, each in zip(found, objects, strict=True)]


# -- the figures -------------------------------------------------------------------------------------------------------


def evaluate(truth: COCO, results: Results, *, named: bool) -> dict[str, float]:
    """Compute AP for named results, else AR of the best 10, 100 and 1000."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.params.useCats = int(named)
        evaluation.params.maxDets = list(MOST)
        evaluation.evaluate()
        evaluation.accumulate()
    recall, precision = evaluation.eval["recall"], evaluation.eval["precision"]

    def mean(values: Any) -> float:
        return round(float(values[values > -1].mean()), 4) if (values > -1).any() else -1.0

    if named:
        return {
            "AP": mean(precision[:, :, :, 0, -1]),
            "AP50": mean(precision[0, :, :, 0, -1]),
            "AP75": mean(precision[5, :, :, 0, -1]),
        }
    areas = {f"AR@1000 {name}": mean(recall[:, :, at, -1]) for at, name in enumerate(("small", "medium", "large"), 1)}
    return {**{f"AR@{most}": mean(recall[:, :, 0, at]) for at, most in enumerate(MOST)}, **areas}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--pictures", type=int, default=40, help="number, evenly sampled")
    parser.add_argument("--keep", type=Path, default=Path("/tmp/gazecast-masks"), help="results so far")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--picture-side", type=int, default=1024, metavar="PX")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "zero_shot_masks.json")
    args = parser.parse_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    settings = EngineSettings(
        picture_side=args.picture_side, encoder_threads=args.threads, decoder_threads=args.threads
    )
    engine = load(settings, weights.model_folder("mobile_sam"))
    detector = ObjectDetector(weights.model_folder("nanodet"), threads=args.threads)
    grid, side = f"{args.points_per_side}x{args.points_per_side}", {"points_per_side": args.points_per_side}
    kinds: dict[str, Callable[[Image, list[Mask], list[int]], Results]] = {
        "instances, true boxes": lambda image, masks, names: segment_true_boxes(engine, image, masks, names),
        "instances, detected boxes": lambda image, masks, names: segment_detected(engine, image, detector),
        f"proposals, {grid}": lambda image, masks, names: propose(engine, image, replace(PROPOSAL_SETTINGS, **side)),
        f"everything, {grid}": lambda image, masks, names: propose(engine, image, AutomaticSettings(**side)),
    }
    out = json.loads(args.out.read_text()) if args.out.exists() else {}
    stills = list(read_stills(args.data, args.pictures))
    everything = read_truth(args.data, [name for name, _, _ in stills])
    for kind, compute in kinds.items():
        if args.only and not any(kind.startswith(only) for only in args.only):
            continue
        results, masks_found, seconds = collect(kind, compute, stills, everything, args.keep)
        figures = evaluate(everything, results, named=kind.startswith("instances"))
        out[kind] = {
            "pictures": len(stills), "objects": len(everything.anns), **figures,
            "masks a picture": round(masks_found / len(stills), 1), "seconds": round(float(np.median(seconds)), 2),
        }  # fmt: skip
        print(kind, out[kind], file=sys.stderr)
        args.out.write_text(json.dumps(out, indent=2) + "\n")


def collect(
    kind: str, compute: Callable[[Image, list[Mask], list[int]], Results], stills: Any, truth: COCO, keep: Path
) -> tuple[Results, int, list[float]]:
    """Compute the results of each picture, or read those of an interrupted run."""
    ids = {entry["file_name"]: number for number, entry in truth.imgs.items()}
    results, seconds = [], []
    for name, image, masks in stills:
        file = keep / f"{kind.replace(', ', '-')}-{Path(name).stem}.json"
        if not file.exists():
            categories = [truth.anns[each]["category_id"] for each in truth.getAnnIds(imgIds=[ids[name]])]
            begin = time.perf_counter()
            found = compute(image, masks, categories)
            part = file.with_suffix(".part")
            part.write_text(json.dumps({"seconds": time.perf_counter() - begin, "results": found}))
            part.replace(file)
            print(kind, name, f"{len(found)} masks", flush=True)
        read = json.loads(file.read_text())
        seconds.append(read["seconds"])
        results += [{**each, "image_id": ids[name]} for each in read["results"]]
    return results, len(results), seconds


if __name__ == "__main__":
    main()
