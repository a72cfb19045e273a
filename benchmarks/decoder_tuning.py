"""Measures what tuning the mask decoder on masks of one kind gains there, and what it forgets elsewhere.

    python -m benchmarks.decoder_tuning --stills STILLS --kind person --part iou [--cache DIR]

A hundred prompts, 20 px off, on objects of the kind in half of the pictures that have it; tested on a third of them
that is never learned from, on the program's rendered table, and on stills without the kind. top: the candidate with the
highest predicted IoU. best: the closest of the four. Without hypotheses, votes or the gate of `gazecast learn`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.streaming_eval.embedding_cache import EmbeddingCache
from benchmarks.streaming_eval.stills import load_stills
from engines import EngineSettings, Floats, Image, Mask, Prompt, weights
from engines import load as load_engine
from engines.graphs import EncoderGraph
from engines.models.weight_arrays import read_arrays
from engines.sam import SamEncoder
from engines.tuning.decoder_tuning import (
    DecoderExample,
    TuningSettings,
    blend_weights,
    choose_share,
    tune_decoder,
)
from engines.tuning.trainable_decoder import TrainableDecoder
from engines.tuning.weight_shares import SHARES
from realtime.commands.learn.decoder import RATES, fit_mask
from realtime.commands.learn.look_reader import REHEARSED_FRAMES, load_bundled_pictures
from realtime.learning.picture_looks import simulate_gaze

EXAMPLES = 100
Item = tuple[Image, Mask]
Arrays = Mapping[str, Floats]


class ExampleMaker:
    """Makes examples of pictures whose embeddings are cached."""

    def __init__(self, encoder: SamEncoder, folder: Path | None) -> None:
        self._encoder, self._cache = encoder, EmbeddingCache(encoder, folder)

    def make(self, item: Item, rng: np.random.Generator, count: int) -> list[DecoderExample]:
        """Make examples of one object, with gaze that errs each time."""
        image, mask = item
        embedding, (height, width) = self._cache.encode(image), image.shape[:2]
        graph = EncoderGraph.of(embedding.letterbox)
        keys, fitted = self._encoder.keys(embedding), fit_mask(mask, embedding, graph)
        found = []
        for _ in range(count):
            click = Prompt.click(*simulate_gaze(mask, 20 * width / 640, rng))
            tokens, absent = self._encoder.tokens(embedding.letterbox, [click])
            others = [Prompt.click(*map(float, rng.uniform(0, (width - 1, height - 1)))) for _ in range(2)]
            kept = self._encoder.tokens(embedding.letterbox, others)
            found.append(DecoderExample(keys, graph.tokens, tokens[0], absent[0], fitted, kept))
        return found


def measure_candidates(decoder: TrainableDecoder, example: DecoderExample) -> tuple[list[float], int]:
    """Return the IoU of each candidate, and the index of the one with the highest predicted IoU."""
    inputs = (torch.from_numpy(part) for part in (example.keys, example.tokens[None], example.absent[None]))
    with torch.no_grad():
        logits, predicted = decoder.decode(*inputs, example.tokens_px)
    masks = logits[0].numpy() > 0
    ious = [float((mask & example.mask).sum() / max((mask | example.mask).sum(), 1)) for mask in masks]
    return ious, 1 + int(predicted[0, 1:].argmax())


def measure(decoder: TrainableDecoder, maker: ExampleMaker, items: Sequence[Item], count: int) -> str:
    rng, best, top = np.random.default_rng(9), [], []
    for item in items:
        for each in maker.make(item, rng, count):
            ious, chosen = measure_candidates(decoder, each)
            best.append(max(ious))
            top.append(ious[chosen])
    right = np.mean(np.array(top) >= 0.5)
    return f"best {np.mean(best):.3f} top {np.mean(top):.3f} right {right:.3f} of {len(top)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stills", type=Path, required=True)
    parser.add_argument("--kind", default="person")
    parser.add_argument("--part", choices=tuple(RATES), default="iou")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep embeddings here")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    folder = weights.model_folder("mobile_sam")
    encoder, _ = load_engine(EngineSettings(precision="f32", picture_side=512, decoder_threads=1), folder)
    assert isinstance(encoder, SamEncoder)
    maker, arrays = ExampleMaker(encoder, args.cache), read_arrays(folder, "mobile_sam")
    stills = load_stills(args.stills, 0.005, 10**6, 1)
    of_kind = [still for still in stills if any(each.category == args.kind for each in still.targets)]
    rng = np.random.default_rng(3)
    order = rng.permutation(len(of_kind)).tolist()
    cuts = int(0.55 * len(order)), int(0.7 * len(order))
    train, stop, test = (
        [(of_kind[k].picture, each.mask) for k in part for each in of_kind[k].targets if each.category == args.kind]
        for part in (order[: cuts[0]], order[cuts[0] : cuts[1]], order[cuts[1] :])
    )
    others = [(still.picture, each.mask) for still in stills if still not in of_kind for each in still.targets[:2]][:25]
    table = [(picture.load(), each.mask) for picture in load_bundled_pictures() for each in picture.read_objects()]
    sets = {args.kind: (test, 2), "table": (table, 1), "other stills": (others, 1)}
    count = -(-EXAMPLES // len(train))
    examples = [each for item in train for each in maker.make(item, rng, count)][:EXAMPLES]
    held_out = [each for item in stop for each in maker.make(item, rng, 2)]
    old = TrainableDecoder(arrays, args.part)
    for name, (items, repeats) in sets.items():
        print("before,", name, measure(old, maker, items, repeats), flush=True)
    begun_s, cpu_s = time.monotonic(), time.process_time()
    settings = TuningSettings(rate=RATES[args.part], epochs=args.epochs)
    tuned, epoch = tune_decoder(arrays, args.part, examples, held_out, settings, lambda done, total: True)
    took = f"{time.monotonic() - begun_s:.0f} s, {time.process_time() - cpu_s:.0f} s of one core"
    print(f"{args.part}: {len(examples)} examples, best epoch {epoch}, {took}")
    others = [
        each for picture in load_bundled_pictures(REHEARSED_FRAMES) for target in picture.read_objects()
        for each in maker.make((picture.load(), target.mask), rng, 1)
    ]  # fmt: skip
    print("chosen share of the tuned weights:", choose_share(arrays, args.part, tuned, held_out, others), flush=True)
    for share in (1.0, 0.75, *SHARES):
        new = TrainableDecoder({**arrays, **blend_weights(arrays, tuned, share)}, args.part)
        for name, (items, repeats) in sets.items():
            print(f"after, share {share:g},", name, measure(new, maker, items, repeats), flush=True)


if __name__ == "__main__":
    main()
