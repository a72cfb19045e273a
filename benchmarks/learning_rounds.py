"""Measures whether a person who answers looks has less to do from round to round, as the program learns from answers.

    python -m benchmarks.learning_rounds --stills STILLS --clips CLIPS [--sets NAME ...] [--part PART] [--cache DIR]
    python -m benchmarks.learning_rounds --draw FILE.png        # from the results

A simulated person (`benchmarks.annotator`) answers looks in five rounds with what was learned until then, and after
each round the program learns from all answers so far by the code of `gazecast learn --part ...`, with its gate: what is
refused is not used. After each round the same person answers looks that are never learned from, with what is in use
then; only these figures count. Only masks as the person left them are learned from, never the true ones.

Every look is 20 px off in a picture of 640 px. Sets: "persons", looks at persons of the stills, other pictures
unseen; "stills", looks at all objects, other pictures unseen; a clip's name: its first three fifths are answered,
its last third is unseen, and what is between is left out. The order of answers is drawn by a seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.annotator import RADIUS_SHARE, AnnotatorAnswer, AnnotatorLook, SimulatedAnnotator, summarize
from benchmarks.streaming_eval.clips import load_clips
from benchmarks.streaming_eval.embedding_cache import EmbeddingCache
from benchmarks.streaming_eval.stills import load_stills
from engines import EngineSettings
from realtime.commands.learn.decoder import learn_decoder
from realtime.commands.learn.look_reader import LookReader
from realtime.commands.learn.ranker import LearnedAdapter, learn_ranker
from realtime.config.schema import RunConfig
from realtime.errors import LearningError
from realtime.infra.progress import TerminalProgress
from realtime.learning.adapter import save_adapter
from realtime.learning.coco_pictures import LabelledObject, LabelledPicture
from realtime.learning.looks import Answer, hash_texts, label_choice
from realtime.learning.picture_looks import REFERENCE_WIDTH, PictureFixations, choose_on_picture, simulate_gaze
from realtime.media.chart import BLUE, GREEN, VERMILLION, new_figure, render
from realtime.session.engine import apply_adapter, open_engine
from realtime.tracking.mask_selection import make_ranker

RESULTS = Path(__file__).parent / "results" / "learning_rounds.json"
COLOURS = BLUE, VERMILLION, GREEN, "#CC79A7"
ROUNDS = 5
ERROR_PX = 20.0
ENGINE = EngineSettings(precision="f32", picture_side=512, decoder_threads=1)


AnsweredLook = tuple[AnnotatorLook, AnnotatorAnswer]


@dataclass(frozen=True, slots=True)
class LookSets:
    """Holds looks to answer, in order, and looks that are never learned from. recording: of the answered, if any."""

    answered: list[AnnotatorLook]
    unseen: list[AnnotatorLook]
    recording: str = ""


def make_look(image: Any, mask: Any, group: str, number: int) -> AnnotatorLook:
    rng = np.random.default_rng(int(hash_texts([group, str(number), str(mask.sum())]), 16))
    return AnnotatorLook(image, mask, simulate_gaze(mask, ERROR_PX * image.shape[1] / REFERENCE_WIDTH, rng), group)


def load_still_looks(root: Path, kind: str | None, looks: int) -> LookSets:
    """Load looks at the stills' objects of a kind, or of all; two thirds of the pictures are answered."""
    stills = load_stills(root, 0.005, 10**6, 1)
    found: list[list[tuple[Any, Any, str]]] = [
        [(still.picture, each.mask, still.name) for each in still.targets if kind is None or each.category == kind]
        for still in sorted(stills, key=lambda each: hash_texts([each.name, "round"]))
    ]
    found = [each for each in found if each]
    cut = round(len(found) * 2 / 3)
    own, others = ([item for each in part for item in each] for part in (found[:cut], found[cut:]))
    return _look_at(own, others, looks)


def load_clip_looks(root: Path, name: str, looks: int) -> LookSets:
    """Load looks at a clip's object: early frames are answered, late ones unseen."""
    (clip,) = load_clips(root, [name])
    frames = [(image, mask, name) for image, mask in zip(clip.pictures, clip.objects[0], strict=True) if mask.any()]
    return replace(_look_at(frames[: round(len(frames) * 0.6)], frames[-(len(frames) // 3) :], looks), recording=name)


def _look_at(own: list[Any], others: list[Any], looks: int) -> LookSets:
    """Look at all objects alike, so often that there are enough looks; at unseen ones at least twice."""
    answered = [make_look(*own[k * len(own) // looks], k) for k in np.random.default_rng(5).permutation(looks).tolist()]
    count = max(2 * len(others), 60)
    return LookSets(answered, [make_look(*others[k % len(others)], 10_000 + k) for k in range(count)])


def annotate(
    looks: Sequence[AnnotatorLook], adapter: Path | None, args: argparse.Namespace
) -> tuple[list[AnnotatorAnswer], dict[str, float]]:
    """Answer looks with what an adapter learned."""
    config = apply_adapter(RunConfig(engine=ENGINE, adapter=adapter))
    encoder, decoder = open_engine(config.engine, None, None, TerminalProgress())
    with closing(encoder), closing(decoder), tempfile.TemporaryDirectory() as folder:
        engine = EmbeddingCache(encoder, args.cache), decoder
        fixations = PictureFixations(selection=config.tracker.choice)
        annotator = SimulatedAnnotator(Path(folder), engine, make_ranker(config.tracker.choice), fixations)
        answers = [annotator.answer(look) for look in looks]
        return answers, summarize(answers, annotator.metrics)


def learn_choice(
    answered: Sequence[AnsweredLook], recording: str, old: Path | None, out: Path, cache: Path | None
) -> dict[str, Any]:
    """Learn the choice as `gazecast learn` does from all answers; writes `out` where the gate accepts."""
    reader = LookReader(_make_config(old), TerminalProgress(), lambda: True, sources={"simulated": "rounds"})
    begun_s = time.process_time()
    with closing(reader):
        encoder, decoder = EmbeddingCache(reader.engine[0], cache), reader.engine[1]
        for k, (look, answer) in enumerate(answered):
            group, radius = recording or hash_texts([look.image.tobytes()]), RADIUS_SHARE * look.image.shape[1]
            embedding, place = encoder.encode(look.image), f"{group}/{k}"
            choice = choose_on_picture(
                decoder, embedding, look.image, look.point_px, radius, place, reader.fixations
            )  # fmt: skip
            kind: Answer = "dropped" if answer.mask is None else "corrected" if answer.is_corrected else "kept"
            truth = answer.mask if kind == "corrected" else None
            reader.looks.append(label_choice(choice, kind, group, place, truth))
        learned = learn_ranker(reader, old, TerminalProgress(), lambda: True)
    assert learned is not None
    return _finish(learned, out, begun_s) | {"masks": len(answered)}


def learn_weights(
    answered: Sequence[AnsweredLook], recording: str, old: Path | None, out: Path, part: str
) -> dict[str, Any]:
    """Learn weights as `gazecast learn` does from corrected masks; writes `out` where the gate accepts."""
    config = _make_config(old)
    pictures = [
        LabelledPicture(f"{k}", partial(_identity, look.image), partial(_list_mask, answer.mask, f"{k}"), recording)
        for k, (look, answer) in enumerate(answered) if answer.mask is not None
    ]  # fmt: skip
    reader = LookReader(config, TerminalProgress(), lambda: True, pictures=pictures, sources={"simulated": "rounds"})
    begun_s = time.process_time()
    with closing(reader):
        try:
            learned = learn_decoder(reader, part, TerminalProgress(), lambda: True)  # type: ignore[arg-type]
        except LearningError as error:
            return {"masks": len(pictures), "refused": str(error)}
    assert learned is not None
    return _finish(learned, out, begun_s) | {"masks": len(pictures)}


def _make_config(old: Path | None) -> RunConfig:
    config = RunConfig(engine=ENGINE)
    return config if old is None else apply_adapter(replace(config, adapter=old))


def _finish(learned: LearnedAdapter, out: Path, begun_s: float) -> dict[str, Any]:
    """Write what the gate accepts, and return the figures."""
    verdict = learned.verdict
    if not verdict.reason:
        save_adapter(out, learned.info, learned.arrays)
    spent_s = round(time.process_time() - begun_s)
    return {"refused": verdict.reason, "cpu_s": spent_s, "gate": verdict.to_fields()}


def _identity(image: Any) -> Any:
    return image


def _list_mask(mask: Any, name: str) -> list[LabelledObject]:
    return [LabelledObject(mask, name)]


def simulate_rounds(looks: LookSets, args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    adapter: Path | None = None
    answered: list[AnsweredLook] = []
    unseen = annotate(looks.unseen, None, args)[1]
    rows: list[dict[str, Any]] = [{"answered": 0, **unseen}]
    print(rows[-1], flush=True)
    size = len(looks.answered) // ROUNDS
    for number in range(ROUNDS):
        part = looks.answered[number * size : (number + 1) * size]
        answers, spent = annotate(part, adapter, args)
        answered += zip(part, answers, strict=True)
        out = folder / f"round{number + 1}.adapter"
        if args.part == "ranker":
            learned = learn_choice(answered, looks.recording, adapter, out, args.cache)
        else:
            learned = learn_weights(answered, looks.recording, adapter, out, args.part)
        if out.exists():
            adapter, unseen = out, annotate(looks.unseen, out, args)[1]
        rows.append({"answered": len(answered), **unseen, "round": spent, "learned": learned})
        print(rows[-1], flush=True)
    return rows


def draw(results: dict[str, Any], file: Path) -> None:
    """Draw seconds and corrections of unseen looks by the number of answers."""
    figure = new_figure(1000, 420)
    for k, (key, label) in enumerate((("seconds", "simulated seconds a mask"), ("corrections", "corrections a mask"))):
        axes = figure.add_subplot(1, 2, k + 1)
        drawn: list[str] = []  # a colour for each set, a line for each way of learning from it
        for name, rows in results["sets"].items():
            of = name.partition(",")[0]
            style = ("o-", "s--", "^:")[drawn.count(of) % 3]
            drawn.append(of)
            colour = COLOURS[list(dict.fromkeys(drawn)).index(of) % len(COLOURS)]
            figures = [row["answered"] for row in rows], [row[key] for row in rows]
            axes.plot(*figures, style, color=colour, label=f"{name}, {rows[-1]['looks']} unseen looks")
        axes.set_xlabel("answered looks")
        axes.set_ylim(bottom=0)
        axes.set_title(label)
        if not k:
            axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    cv2.imwrite(str(file), render(figure))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stills", type=Path)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--sets", nargs="*", default=["persons", "stills", "libby", "dance-twirl"])
    parser.add_argument("--part", choices=("decoder", "iou", "ranker"), default="decoder")
    parser.add_argument("--looks", type=int, default=160, help="of each set, in five rounds")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep embeddings here")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--draw", type=Path, metavar="FILE.png")
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else {"sets": {}}
    if args.stills is not None and args.clips is not None:
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        for name in args.sets:
            is_still = name in ("persons", "stills")
            looks = (
                load_still_looks(args.stills, "person" if name == "persons" else None, args.looks)
                if is_still else load_clip_looks(args.clips, name, args.looks)
            )  # fmt: skip
            with tempfile.TemporaryDirectory() as folder:
                rows = simulate_rounds(looks, args, Path(folder))
            results["sets"][name] = rows
            results |= {"date": datetime.now(UTC).isoformat(timespec="minutes"), "part": args.part}
            args.out.write_text(json.dumps(results, indent=1) + "\n")
    if args.draw is not None:
        draw(results, args.draw)


if __name__ == "__main__":
    main()
