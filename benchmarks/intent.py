"""Measures how often the mask is of the object that is meant, on stills with several objects, without real time.

    python -m benchmarks.intent --data STILLS [--encode-frames 4 8] [--error 10 20] [--out FILE.json] [--draw docs]

STILLS holds annotations.json, with polygons, and images/. The stills are played as video of a swaying head to the
tracker, stepped frame by frame with an encoder that takes so many frames. Every object is fixated once, for --look-s,
off by --error px in a random direction. The last mask of each fixation is

right: IoU of at least 0.5 with the object meant. part: 0.8 of the mask lie on it, but the mask is too small.
more: 0.8 of it lie in the mask, but the mask is too large. other: any other mask. none: no mask.

in_alternatives: share of fixations for which that mask or one of its published alternatives is right. calibration:
`confidence` against the share that is right, in ten bins, and its expected calibration error (Naeini et al., "Obtaining
Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015). 160 fixations are good to about 4 points.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.streaming_eval import figures
from benchmarks.streaming_eval.embedding_cache import EmbeddingCache
from benchmarks.streaming_eval.fixations import VERDICTS, FixationOutcome, SteppedTracker, replay_fixations
from benchmarks.streaming_eval.recognition import SteppedRecognizer, add_recognition_flag
from benchmarks.streaming_eval.spoken_words import WORD_KINDS, WordChooser
from benchmarks.streaming_eval.stills import SIZE, load_stills
from benchmarks.tracker_ablation import change_settings, parse_variants
from engines import EngineSettings, weights
from engines import load as load_engine

RESULTS = Path(__file__).parent / "results" / "intent.json"
SIZES = {"small <2%": (0.0, 0.02), "medium": (0.02, 0.1), "large >10%": (0.1, 2.0)}
"""Bands of the object's share of the picture."""
BINS = 10
ASKED = {"choice.alternatives": 3}
"""Settings of every variant: they add to messages, and change no mask."""


def summarize(outcomes: Sequence[FixationOutcome]) -> dict[str, Any]:
    """Summarize fixations: shares of verdicts, mIoU, right ones by the object's size, calibration."""
    words = [outcome.verdict for outcome in outcomes]
    first_ms = [1e3 * outcome.first_right_s for outcome in outcomes if outcome.first_right_s is not None]
    by_size = {
        name: _mean([outcome.verdict == "right" for outcome in outcomes if low <= outcome.area < high])
        for name, (low, high) in SIZES.items()
    }
    return {
        "looks": len(outcomes),
        **{word: round(words.count(word) / len(words), 3) for word in VERDICTS},
        "in_alternatives": _mean([outcome.alternatives_right for outcome in outcomes]),
        "miou": _mean([outcome.iou for outcome in outcomes]),
        "by_size": by_size,
        "first_right_ms": round(float(np.median(first_ms))) if first_ms else None,
        "ever_right": round(len(first_ms) / len(outcomes), 3),
        "calibration": measure_calibration(
            [(each.confidence, each.verdict == "right") for each in outcomes if each.verdict != "none"]
        ),
    }


def measure_calibration(pairs: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Measure the expected calibration error of (confidence, is right) pairs, with the bins that it is made of."""
    if not pairs:
        return {"error": None, "bins": []}
    confidence, right = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    at = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        {"count": int(chosen.sum()), "confidence": _mean(confidence[chosen]), "right": _mean(right[chosen])}
        for chosen in (at == k for k in range(BINS))
    ]
    error = sum(
        np.count_nonzero(at == k) * abs(float(confidence[at == k].mean() - right[at == k].mean())) for k in set(at)
    )
    return {"error": round(error / len(pairs), 3), "bins": bins}


def _mean(values: Any) -> float | None:
    return round(float(np.mean(values)), 3) if len(values) else None


def format_table(results: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    columns = (*VERDICTS, "in_alternatives", "miou", "ever_right")
    lines = ["| settings | encoder, frames | error, px | word | " + " | ".join(columns) + " | calibration error |"]
    lines.append("|---" * (len(columns) + 5) + "|")
    for row in results["rows"]:
        cells = [str(row[column]) for column in columns] + [str(row["calibration"]["error"])]
        lines.append(
            f"| {row['settings']} | {row['encode_frames']} | {row['error_px']:g} | {row['word']} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Play all fixations for every variant of the settings, encoder and error; pools the seeds."""
    cv2.setNumThreads(1)
    folder = args.weights or weights.model_folder("mobile_sam")
    settings = EngineSettings(precision="f32", picture_side=args.picture_side, decoder_threads=1)
    encoder, decoder = load_engine(settings, folder, frame_size=SIZE)
    cache = EmbeddingCache(encoder, args.cache)
    rows = []
    variants = {"whole": {}, **parse_variants(args.trying)}
    for (name, changes), encode_frames, error_px, word in product(
        variants.items(), args.encode_frames, args.error, args.word
    ):
        outcomes: list[FixationOutcome] = []
        for seed in args.seeds:
            stills = load_stills(args.data, args.min_share, args.looks, seed)
            use = change_settings({**ASKED, **changes}, name)
            recognizer = SteppedRecognizer(args.recognize_every)
            tracker = SteppedTracker(cache, decoder, use, encode_frames, recognizer)
            chooser = WordChooser(word, stills, seed)
            outcomes += replay_fixations(stills, tracker, error_px, args.look_s, seed, chooser)
        row = {
            "settings": name, "encode_frames": encode_frames, "error_px": error_px, "word": word, **summarize(outcomes)
        }  # fmt: skip
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"), "device": encoder.info.device,
        "precision": encoder.info.precision, "picture_side": encoder.info.picture_side, "look_s": args.look_s,
        "seeds": args.seeds, "data": args.data.name, "rows": rows,
    }  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="STILLS")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="default: the cache")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep embeddings here for the next measurement")
    parser.add_argument("--picture-side", type=int, default=512, help="px of the encoder's picture")
    parser.add_argument("--error", type=float, nargs="*", default=[20.0], metavar="PX")
    parser.add_argument("--encode-frames", type=int, nargs="*", default=[8], metavar="FRAMES")
    parser.add_argument("--look-s", type=float, default=1.2, help="length of a fixation")
    parser.add_argument("--looks", type=int, default=160, help="number of fixations, about")
    parser.add_argument("--min-share", type=float, default=0.005, help="least share of the picture of an object")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--try", dest="trying", action="append", default=[], metavar="NAME=KEY=VALUE")
    add_recognition_flag(parser)
    parser.add_argument(
        "--word", nargs="*", choices=WORD_KINDS, default=["none"], help="the word given with each fixation"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--draw", type=Path, metavar="DIR", help="where to draw the figure; without --data only that")
    return parser


def main() -> None:
    args = build_parser().parse_args()
    if args.data is not None:
        results = measure(args)
        args.out.write_text(json.dumps(results, indent=1) + "\n")
    elif args.draw is not None and args.out.exists():
        results = json.loads(args.out.read_text())
    else:
        raise SystemExit("nothing to do: give --data STILLS to measure, or --draw DIR and an --out with figures")
    print(format_table(results))
    if args.draw is not None:
        for path in figures.draw({"intent": results}, args.draw):
            print(path)


if __name__ == "__main__":
    main()
