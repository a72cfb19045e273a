"""Computes streaming J&F: how well the newest received mask fits the object now, as a wearer sees it.

At the end of each frame's time on show the newest mask received is compared with that frame's truth (streaming
accuracy: Li, Wang & Ramanan, "Towards Streaming Perception", ECCV 2020) by region J and boundary F (Perazzi et al.,
"A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016; tolerance 0.008 of the
diagonal). Means are over a clip's frames, then over clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from benchmarks.streaming_eval.playback import MaskArrival, PlaybackLog, newest_arrivals, newest_frame_arrivals
from engines import Mask

TOLERANCE = 0.008
QUANTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class StreamingScore:
    """Holds the scores of one run of all clips.

    clips: (J, F) each. own_j: J of each frame's first mask against the frame that it names. unknown: messages
    that name a frame, and a gaze sample, that was never sent.
    """

    clips: dict[str, tuple[float, float]]
    own_j: list[float]
    frames_masked: float
    masks_per_s: float
    frame_to_mask_ms: list[float]
    gaze_to_mask_ms: list[float]
    unknown: tuple[int, int]

    @property
    def jf(self) -> float:
        """Return the mean of J and F over clips."""
        return float(np.mean(list(self.clips.values())))


def iou(a: Mask, b: Mask) -> float:
    """Compute the region measure J; 1 when both masks are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def j_and_f(mask: Mask | None, truth: Mask) -> tuple[float, float]:
    """Compute region J and boundary F; None counts as an empty mask, another size is resized to the truth's."""
    if mask is None:
        mask = np.zeros_like(truth)
    if mask.shape != truth.shape:
        mask = cv2.resize(mask.astype(np.uint8), truth.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    ours, theirs = _edge(mask), _edge(truth)
    if not ours.any() and not theirs.any():
        return iou(mask, truth), 1.0
    reach = int(np.ceil(TOLERANCE * np.hypot(*truth.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    precision = cv2.countNonZero(ours & cv2.dilate(theirs, disc)) / max(1, cv2.countNonZero(ours))
    recall = cv2.countNonZero(theirs & cv2.dilate(ours, disc)) / max(1, cv2.countNonZero(theirs))
    both = precision + recall
    return iou(mask, truth), 2 * precision * recall / both if both else 0.0


def _edge(mask: Mask) -> Any:
    """Draw (H, W) uint8 of pixels within one of the mask's border, on either side; the picture's border is none."""
    square = np.ones((3, 3), np.uint8)
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, square, borderType=cv2.BORDER_REPLICATE)


def score_playback(played: PlaybackLog, arrivals: Sequence[MaskArrival]) -> StreamingScore:
    """Score one run."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for moment in played.moments:
        seen = newest_arrivals(arrivals, moment.at_s)
        rows.setdefault(moment.clip.name, []).append(j_and_f(seen.mask if seen else None, moment.truth))
    span = [arrival for arrival in arrivals if arrival.at_s >= played.begin_s]
    first = newest_frame_arrivals(played, arrivals)
    own, late = [], []
    for index, arrival in first.items():
        sent = played.sent[index]
        late.append((arrival.at_s - sent.at_s) * 1e3)
        if len(sent.clip.objects) == 1:
            own.append(j_and_f(arrival.mask, sent.clip.objects[0][sent.number])[0])
    lasted_s = max(span[-1].at_s - span[0].at_s, 1e-9) if len(span) > 1 else 1.0
    return StreamingScore(
        {
            name: (float(np.mean([j for j, _ in row])), float(np.mean([f for _, f in row])))
            for name, row in rows.items()
        },
        own,
        len(first) / max(1, played.frames),
        len(span) / lasted_s,
        late,
        [(arrival.at_s + played.epoch_s - arrival.gaze_s) * 1e3 for arrival in span],
        (
            sum(arrival.frame not in played.sent for arrival in span),
            sum(round(arrival.gaze_s, 4) not in played.gaze_s for arrival in span),
        ),
    )


def pool_scores(fits: Sequence[StreamingScore]) -> dict[str, Any]:
    """Summarize several runs, one per seed, for JSON: means of the runs, percentiles of all that was timed in them."""
    clips = {name: np.mean([fit.clips[name] for fit in fits], 0) for name in fits[0].clips}
    own = [float(np.mean(fit.own_j)) for fit in fits if fit.own_j]
    return {
        "streaming_jf": round_or_none(np.mean([fit.jf for fit in fits])),
        "per_seed": [round_or_none(fit.jf) for fit in fits],
        "j": round_or_none(np.mean([j for j, _ in clips.values()])),
        "f": round_or_none(np.mean([f for _, f in clips.values()])),
        "own_frame_j": round_or_none(np.mean(own)) if own else None,
        "frames_masked": round_or_none(np.mean([fit.frames_masked for fit in fits])),
        "masks_per_s": round_or_none(np.mean([fit.masks_per_s for fit in fits]), 1),
        "frame_to_mask_ms": percentiles([ms for fit in fits for ms in fit.frame_to_mask_ms]),
        "frame_to_mask_ms_each_percent": each_percent([ms for fit in fits for ms in fit.frame_to_mask_ms]),
        "gaze_to_mask_ms": percentiles([ms for fit in fits for ms in fit.gaze_to_mask_ms]),
        "unknown_labels": [int(n) for n in np.sum([fit.unknown for fit in fits], 0)],
        "clips": {name: [round_or_none(j), round_or_none(f)] for name, (j, f) in clips.items()},
    }


def round_or_none(value: Any, digits: int = 3) -> float:
    """Return the fields for JSON."""
    return round(float(value), digits)


def percentiles(values: Sequence[float], of: Sequence[int] = QUANTILES) -> dict[str, float | None] | None:
    """Return {"p50": ...}; None where the percentile is infinite, and in place of it all when there are no values."""
    if not values:
        return None
    found = np.percentile(values, of, method="higher" if np.isinf(values).any() else "linear")
    return {f"p{p}": round_or_none(v, 1) if np.isfinite(v) else None for p, v in zip(of, found, strict=True)}


def each_percent(values: Sequence[float]) -> list[float]:
    """Compute the 1st to 99th percentile, to draw a distribution from."""
    return [round_or_none(v, 1) for v in np.percentile(values, np.arange(1, 100))] if values else []
