"""How well a mask fits the thing now, against how late its keyframe is: each step of keeping up, by itself.

    python benchmarks/keeping_up.py --data CLIPS --weights FOLDER [--late 1 2 3 4 6 8] [--out FILE.json]

CLIPS holds NAME/frames/*.jpg and NAME/masks/*.png (a mask on every frame, as in DAVIS). Nothing runs in real time: the
encoder is said to take E frames; it starts with the newest frame when it is free, so that the keyframe behind a mask
is E to 2E - 1 frames old. Every frame is prompted once, and its mask scored against that frame's truth by region J and
boundary F (Perazzi et al., CVPR 2016; tolerance 0.008 of the diagonal), their mean, the mean of frames, then of clips.

Gaze follows a point of the thing with the mask and jumps to its deepest point when it got shallow; added are one bias a
clip (sd --noise-px on each axis) and a wandering of about a third of it. The first 8 frames are not scored.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import zlib
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines import EngineSettings, Prompt, load
from realtime.choice import choose, vote
from realtime.clean import sharpen, tidy
from realtime.motion import Motion
from realtime.types import Frame

WARM, FPS, GAZE_HZ = 8, 24.0, 200
SACCADE_PX = 25.0


def clips(root: Path):
    for folder in sorted(root.iterdir()):
        pictures, truths = sorted(folder.glob("frames/*.jpg")), sorted(folder.glob("masks/*.png"))
        if pictures and len(pictures) == len(truths):
            yield folder.name, [cv2.imread(str(p)) for p in pictures], [cv2.imread(str(p), 0) > 127 for p in truths]


def followed(masks):
    """(N, 2) px: a point that moves with the mask and jumps to its deepest point when it has become shallow."""
    out, point, centre = [], None, None
    limit = np.array(masks[0].shape[::-1]) - 1
    for mask in masks:
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        if depth.max() == 0:
            out.append(point if point is not None else limit / 2)
            continue
        now = np.argwhere(mask).mean(0)[::-1]
        if point is not None:
            point = point + now - centre
        x, y = (0, 0) if point is None else np.clip(np.round(point).astype(int), 0, limit)
        if point is None or depth[y, x] < 0.4 * depth.max():
            point = np.array(np.unravel_index(depth.argmax(), depth.shape)[::-1], float)
        centre = now
        out.append(point)
    return np.array(out, float)


def gaze(name, masks, noise_px, seed):
    """(N, 2) px: where the eyes are said to look when each frame's mask is made, one frame in two after its capture."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    samples = int(len(masks) / FPS * GAZE_HZ)
    drift, push = np.zeros((samples, 2)), rng.normal(0, noise_px / 3 * 0.43, (samples, 2))
    for k in range(1, samples):
        drift[k] = 0.9 * drift[k - 1] + push[k]
    bias = rng.normal(0, noise_px, 2)
    at = np.minimum((np.arange(len(masks)) + 0.1) / FPS * GAZE_HZ, samples - 1).astype(int)
    return np.clip(followed(masks) + bias + drift[at], 0, np.array(masks[0].shape[::-1]) - 1).astype(np.float32)


def j_and_f(mask, truth):
    union = (mask | truth).sum()
    j = float((mask & truth).sum() / union) if union else 1.0

    def edge(m):
        return cv2.morphologyEx(
            m.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE
        )

    r = int(np.ceil(0.008 * np.hypot(*truth.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1))
    a, b = edge(mask), edge(truth)
    if not a.any() and not b.any():
        return j, 1.0
    p = (a & cv2.dilate(b, kernel)).sum() / max(a.sum(), 1)
    q = (b & cv2.dilate(a, kernel)).sum() / max(b.sum(), 1)
    return j, float(2 * p * q / (p + q)) if p + q else 0.0


@dataclass
class Moment:
    """All that a way of keeping up may look at, and the truth for the upper mark."""

    frame: Frame
    chain: object
    step: object
    now_px: np.ndarray
    then_px: np.ndarray
    rested_px: np.ndarray
    radius_px: float
    embedding: object
    decode: object
    truth: np.ndarray
    spent: dict


class Way:
    """One way to make a mask; flags switch its parts. Keeps what was on show."""

    def __init__(self, warp=True, rested=False, agree=False, dense=False, vote=0, sharp=False, best=False):
        self.warp, self.rested, self.agree, self.dense = warp, rested, agree, dense
        self.vote, self.sharp, self.best = vote, sharp, best
        self.shown = None
        self.logits = None

    def __call__(self, m: Moment):
        """(H, W) bool for this moment's frame."""
        point = m.rested_px if self.rested else m.then_px if self.warp else m.now_px
        box = m.embedding.letterbox
        carried = m.step.carry(self.shown) if self.agree and self.shown is not None and m.step else None
        shown = m.chain.back_to_logits(carried, box) if carried is not None else None
        prompts = self._prompts(point, m, box)
        answers = m.decode(m.embedding, prompts)
        if self.best:
            masks = [m.chain.carry_logits(logits, box) > 0 for logits in answers[0].logits]
            return max(masks, key=lambda mask: (mask & m.truth).sum() / max(1, (mask | m.truth).sum()))
        logits = self._chosen(answers, point, shown, m)
        if not self.warp:
            return box.logits_to_picture(logits) > 0
        self.logits = m.chain.carry_logits(logits, box)
        mask = self.logits > 0
        if self.sharp and mask.any():
            start = time.thread_time()
            mask = tidy(sharpen(mask, m.frame.image, m.chain.age, m.chain.similarity), tuple(m.now_px))
            m.spent["clean"].append(time.thread_time() - start)
        self.shown = mask
        return mask

    def _prompts(self, point, m, box):
        previous = None
        if self.dense and self.logits is not None and m.step:
            previous = m.chain.back_to_logits(np.clip(self.logits, -10, 10), box)
        turns = np.arange(self.vote) * 2 * np.pi / max(1, self.vote)
        round_it = point + m.radius_px * np.stack([np.cos(turns), np.sin(turns)], 1)
        limit = np.array(m.frame.size) - 1
        points = np.clip(np.vstack([point[None], round_it]), 0, limit)
        return [Prompt.click(float(x), float(y), mask_logits=previous) for x, y in points]

    def _chosen(self, answers, point, shown, m):
        if not self.agree:
            return answers[0].logits[answers[0].top]
        start = time.thread_time()
        if len(answers) > 1:
            answer, picked = vote(answers, tuple(point), m.radius_px, shown)
        else:
            answer, picked = 0, choose(answers[0], tuple(point), m.radius_px, shown)
        m.spent[f"choose of {len(answers)}"].append(time.thread_time() - start)
        return answers[answer].logits[picked.index]


WAYS = {
    "the old frame's mask on the new frame": lambda: Way(warp=False),
    "warped by flow, top-scored mask": lambda: Way(),
    "warped, the candidate that agrees": lambda: Way(agree=True),
    "agrees, previous logits as dense prompt": lambda: Way(agree=True, dense=True),
    "agrees, clean": lambda: Way(agree=True, sharp=True),
    "agrees, prompt where the eyes rested": lambda: Way(agree=True, rested=True),
    "agrees, rested, clean": lambda: Way(agree=True, rested=True, sharp=True),
    "agrees, rested, clean, vote of 4 points": lambda: Way(agree=True, rested=True, sharp=True, vote=3),
    "best of four candidates (an upper mark)": lambda: Way(best=True),
}


def play(name, pictures, truths, late, seed, args, engine, spent):
    """J&F of every way and every lateness on one clip -> {(way, E): [(j, f)]}."""
    encoder, decoder = engine
    looks = gaze(name, truths, args.noise_px, seed)
    ways = {(way, e): make() for way, make in WAYS.items() if way in args.ways for e in late}
    scores, motion = defaultdict(list), Motion()
    embeddings: deque = deque(maxlen=2 * max(late))
    jumped = 0

    known: dict = {}

    def decode(embedding, prompts):
        """Several ways ask the same; a prompt with a mask is nobody else's."""
        key = (id(embedding), tuple(prompt.points_px.tobytes() for prompt in prompts))
        if key in known and all(prompt.mask_logits is None for prompt in prompts):
            return known[key]
        start = time.thread_time()
        out = decoder.decode(embedding, prompts)
        dense = any(prompt.mask_logits is not None for prompt in prompts)
        spent["decode with dense prompt" if dense else f"decode {len(prompts)}"].append(time.thread_time() - start)
        if not dense:
            known[key] = out
        return out

    for t, picture in enumerate(pictures):
        frame = Frame(picture, t, t / FPS, 0, 0)
        start = time.thread_time()
        motion.push(frame)
        spent["push"].append(time.thread_time() - start)
        embeddings.append((t, encoder.encode(picture)))
        known.clear()
        step = motion.chain(t - 1) if t else None
        if step is None or np.hypot(*(step.to_then(looks[t][None])[0] - looks[t - 1])) > SACCADE_PX:
            jumped = t
        for e in late:
            key = max(0, t // e * e - e)
            start = time.thread_time()
            chain = motion.chain(key)
            spent["chain"].append(time.thread_time() - start)
            if t < min(e, WARM) or chain is None:
                continue
            then = chain.to_then(looks[t][None])[0]
            embedding = next(value for index, value in embeddings if index == key)
            moment = Moment(
                frame, chain, step, looks[t], then, looks[key] if jumped <= key else then, args.noise_px, embedding,
                decode, truths[t], spent,
            )  # fmt: skip
            for (way, lateness), make in ways.items():
                if lateness == e:
                    mask = make(moment)
                    if t >= WARM:
                        scores[way, e].append(j_and_f(mask, truths[t]))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--late", type=int, nargs="*", default=[1, 2, 3, 4, 6, 8])
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--noise-px", type=float, default=10.0)
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    engine = load(EngineSettings(decoder_threads=1), args.weights, frame_size=(854, 480))
    table, per_clip, spent = defaultdict(list), {}, defaultdict(list)
    for name, pictures, truths in clips(args.data):
        merged = defaultdict(list)
        for seed in args.seeds:
            for key, rows in play(name, pictures, truths, args.late, seed, args, engine, spent).items():
                merged[key] += rows
        for key, rows in merged.items():
            table[key].append(float(np.mean(rows)))
            per_clip.setdefault(f"{key[0]}, E={key[1]}", {})[name] = [round(float(v), 3) for v in np.mean(rows, 0)]
        print(name, flush=True)
    print("| E | " + " | ".join(map(str, args.late)) + " |")
    for way in args.ways:
        print(f"| {way} | " + " | ".join(f"{np.mean(table[way, e]):.3f}" for e in args.late) + " |")
    cost = {k: [round(1e3 * float(np.percentile(v, q)), 2) for q in (50, 95)] for k, v in spent.items()}
    print("CPU ms, median and 95th:", cost)
    if args.out:
        result = {
            "machine": f"{platform.machine()}, {engine[1].info.device}, {engine[1].info.precision}",
            "seeds": args.seeds, "noise_px": args.noise_px, "cpu_ms_p50_p95": cost, "j_and_f": per_clip,
            "mean": {way: {str(e): round(float(np.mean(table[way, e])), 3) for e in args.late} for way in args.ways},
        }  # fmt: skip
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
