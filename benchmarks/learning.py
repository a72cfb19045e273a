"""Measures what learning the choice of masks from looks is worth on pictures that it has not seen.

    python -m benchmarks.learning --stills STILLS --clips CLIPS [--rgbd DIR] [--cache DIR]

Every object is fixated twice, off by 20 px of a picture 640 px wide, without motion and without boxes, and decoded at
the point and at four points round it, as a run does. Then

rule: the weights of the settings, which were fitted on these stills. refitted: weights learned from an eighth of the
stills less, tested on that eighth, beginning from nothing: what the rule is worth on stills that it has not seen.
permissive: weights learned from the clips, the bin and the program's own table, whose licences allow it, tested on the
stills. own: as `gazecast learn` does, beginning with the rule, out of fold.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.streaming_eval.clips import load_clips
from benchmarks.streaming_eval.embedding_cache import EmbeddingCache
from benchmarks.streaming_eval.stills import load_stills
from engines import EngineSettings, Image, Mask, weights
from engines import load as load_engine
from realtime.commands.learn.look_reader import load_bundled_pictures
from realtime.learning.coco_pictures import LabelledObject, LabelledPicture
from realtime.learning.gate import measure_choice, score_looks
from realtime.learning.looks import LabelledLook, hash_texts
from realtime.learning.picture_looks import PictureFixations, choose_on_pictures, label_pictures
from realtime.learning.ranker_training import LookTable, TrainingSettings, cross_validate, train_ranker
from realtime.tracking.candidate_ranker import FEATURES, CandidateRanker
from realtime.tracking.mask_selection import SelectionSettings, make_ranker

RESULTS = Path(__file__).parent / "results" / "learning.json"
FOLDS = 8
RULE = make_ranker(SelectionSettings())
NOTHING = replace(RULE, weights=(0.0,) * len(FEATURES))


def describe(name: str, image: Image, masks: Iterable[tuple[str, Mask]], group: str = "") -> LabelledPicture:
    objects = [LabelledObject(mask, label) for label, mask in masks if mask.any()]
    return LabelledPicture(name, lambda: image, lambda: objects, group)


def load_pictures(args: argparse.Namespace) -> dict[str, list[LabelledPicture]]:
    """Load the labelled pictures by the name of their set."""
    stills = load_stills(args.stills, 0.005, 10**6, 1)
    sets = {"stills": [
        describe(still.name, still.picture, [(str(k), each.mask) for k, each in enumerate(still.targets)])
        for still in stills
    ]}  # fmt: skip
    for clip in load_clips(args.clips):
        sets[clip.name] = [
            describe(f"{clip.name} {k}", clip.pictures[k], [(f"{k}", clip.objects[0][k])], f"{clip.name} {k // 6}")
            for k in range(2, len(clip), 6)
        ]
    if args.rgbd is not None:
        picture = np.asarray(cv2.imread(str(args.rgbd / "color.png")), np.uint8)
        instances = cv2.imread(str(args.rgbd / "instances.png"), cv2.IMREAD_UNCHANGED)
        numbers = [k for k in np.unique(instances).tolist() if k]
        sets["bin"] = [describe("bin", picture, [(str(k), np.asarray(instances == k)) for k in numbers])]
    return sets | {"table": load_bundled_pictures()}


def make_looks(sets: dict[str, list[LabelledPicture]], args: argparse.Namespace) -> dict[str, list[LabelledLook]]:
    """Fixate every object twice; a fixation is a visit of its own."""
    settings = EngineSettings(precision="f32", picture_side=512, decoder_threads=1)
    encoder, decoder = load_engine(settings, weights.model_folder("mobile_sam"))
    fixations = PictureFixations(repeats=2)
    found = {}
    for name, pictures in sets.items():
        engine = EmbeddingCache(encoder, args.cache), decoder
        choices = choose_on_pictures(pictures, engine, fixations, lambda done, total: True)
        assert choices is not None
        looks = list(label_pictures(pictures, choices, fixations))
        found[name] = [replace(look, visit=f"{look.visit}/{k}") for k, look in enumerate(looks)]
        print(f"{name}: {len(looks)} looks", file=sys.stderr, flush=True)
    return found


def leave_out(looks: Sequence[LabelledLook], start: CandidateRanker) -> list[Any]:
    """Score each look by weights that were fitted without its eighth of the groups."""
    groups = sorted({look.group for look in looks}, key=lambda group: hash_texts([group]))
    fold_of = {group: k % FOLDS for k, group in enumerate(groups)}
    rankers = [
        train_ranker(
            LookTable.of([look for look in looks if fold_of[look.group] != fold]), None, start,
            TrainingSettings(stay=0.3),
        )[0] for fold in range(FOLDS)
    ]  # fmt: skip
    return [rankers[fold_of[look.group]].score(look.choice.features) for look in looks]


def compare_rankers(looks: dict[str, list[LabelledLook]]) -> dict[str, Any]:
    """Compare the choice on the stills."""
    stills = looks["stills"]
    free = [look for name, each in looks.items() if name != "stills" for look in each]
    permissive = train_ranker(LookTable.of(free), None, NOTHING, TrainingSettings(stay=0.3))[0]
    own = cross_validate(stills, RULE, TrainingSettings())
    shifted = cross_validate(free, RULE, TrainingSettings())
    assert own is not None
    assert shifted is not None
    scores = {
        "rule (fitted on these stills)": score_looks(stills, RULE),
        "refitted, each eighth left out": leave_out(stills, NOTHING),
        "own looks, beginning with the rule": list(own.unseen),
        "permissive data, from nothing": score_looks(stills, permissive),
        "permissive data, from the rule": score_looks(stills, shifted.ranker),
    }
    rows = {}
    for name, score in scores.items():
        figures = measure_choice(stills, score)
        rows[name] = {"right": round(figures.right, 3), "iou": round(figures.iou, 3)}
        print(name, rows[name], file=sys.stderr, flush=True)
    return {"looks": len(stills), "learned_from": len(free), "any_right": round(figures.best, 3), "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stills", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--rgbd", type=Path)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep embeddings here")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    looks = make_looks(load_pictures(args), args)
    results = {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "ranker": compare_rankers(looks),
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
