"""Plays stills as video with one fixation of each object, and judges the last mask, stepped without a clock.

The wearer's head moves a little. The gaze comes from the last object by a saccade; each fixation is off by a bias in a
random direction, which no smoothing removes, with drift and jitter on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.streaming_eval.embedding_cache import EmbeddingCache
from benchmarks.streaming_eval.gaze import GAZE_HZ
from benchmarks.streaming_eval.recognition import SteppedRecognizer
from benchmarks.streaming_eval.stills import SIZE, FixationTarget, Still
from engines import Decoder, Image, Mask
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker, TrackerSettings
from realtime.types import Frame, GazeSample, MaskResult

SACCADE_S = 0.04
FPS = 24.0
WARM_UP_S = 2.0
"""A fixation without error comes first, as live, where a program is awaited."""
RIGHT_IOU, NESTED_SHARE = 0.5, 0.8
VERDICTS = ("right", "part", "more", "other", "none")
ChooseWord = Callable[[Still, FixationTarget], str]


@dataclass(frozen=True, slots=True)
class FixationOutcome:
    """The last mask of one fixation.

    verdict: of `VERDICTS`. first_right_s: from landing to the first right mask, None without one.
    alternatives_right: whether that mask or one of its alternatives is right. area: the target's share of the picture.
    """

    verdict: str
    iou: float
    confidence: float
    alternatives_right: bool
    first_right_s: float | None
    area: float
    category: str


@dataclass(frozen=True, slots=True, eq=False)
class PlayedFrame:
    """A frame with its new samples; `affine` is the (2, 3) map from the still to it. Times are s since the landing."""

    frame: Frame
    samples: tuple[GazeSample, ...]
    affine: NDArray[np.float64]
    since_s: float


class WearerSimulation:
    """Makes the frames and gaze samples of one fixation after the other, on one clock."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 7])
        self._index = 0
        self._begin_s = 0.0
        self._gaze_px = np.zeros(2)

    def fixate(self, still: Still, target: FixationTarget, error_px: float, seconds: float) -> Iterator[PlayedFrame]:
        """Play one fixation, beginning with the saccade to it."""
        angle = self._rng.uniform(0, 2 * np.pi)
        bias = error_px * np.array([np.cos(angle), np.sin(angle)])
        start, drift, samples = self._gaze_px, np.zeros(2), []
        count = int(seconds * GAZE_HZ)
        number = -1
        for k in range(count):
            since_s = k / GAZE_HZ
            at_s = self._begin_s + since_s
            if int(since_s * FPS) > number:
                number = int(since_s * FPS)
                affine = _head_motion(self._index)
                image = _show(still.picture, affine)
                at_ns = round(at_s * 1e9)
                shown = Frame(image, self._index, at_s, at_ns, at_ns)
                yield PlayedFrame(shown, tuple(samples), affine, since_s - SACCADE_S)
                samples = []
                self._index += 1
            drift = 0.95 * drift + self._rng.normal(0, 0.6, 2)
            goal = affine @ np.array([*target.point_px, 1]) + bias + drift
            point = goal if since_s >= SACCADE_S else start + (goal - start) * (since_s / SACCADE_S)
            self._gaze_px = np.clip(point + self._rng.normal(0, 1.0, 2), 0, np.array(SIZE) - 1)
            at_ns = round(at_s * 1e9)
            x, y = map(float, self._gaze_px)
            samples.append(GazeSample(x, y, "px", 0.95, at_s, at_ns, at_ns))
        self._begin_s += seconds


def _head_motion(index: int) -> NDArray[np.float64]:
    """Make the (2, 3) map of a frame: a swaying head, on a picture enlarged by 2 %."""
    x, y = 6 * np.sin(index / 31.0), 4 * np.sin(index / 23.0 + 1)
    return np.array([[1.02, 0, x - 0.01 * SIZE[0]], [0, 1.02, y - 0.01 * SIZE[1]]])


def _show(picture: Image, affine: NDArray[np.float64]) -> Image:
    moved = cv2.warpAffine(picture, affine, SIZE, borderMode=cv2.BORDER_REFLECT)
    jpeg = cv2.imencode(".jpg", moved, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return np.asarray(cv2.imdecode(jpeg, 1), np.uint8)


class SteppedTracker:
    """A tracker with an encoder that takes a fixed number of frames, as in `stepped_replay`."""

    def __init__(
        self,
        encoder: EmbeddingCache,
        decoder: Decoder,
        settings: TrackerSettings,
        encode_frames: int,
        recognizer: SteppedRecognizer,
    ) -> None:
        self._now_ns = 0
        self._tracker = Tracker(decoder, lambda: self._now_ns, settings, frame_time=True)
        self._encoder, self._encode_frames, self._recognizer = encoder, encode_frames, recognizer
        self._waiting: Frame | None = None
        self._coming: Frame | None = None

    def set_word(self, text: str) -> None:
        """Search for a word from now on; "" for none."""
        self._tracker.control.set_word(self._recognizer.encode_word(text) if text else None)

    def step(self, played: PlayedFrame) -> MaskResult | None:
        """Step one frame, and let the encoder take the newest one that is worth it when it is free."""
        frame, ready = played.frame, None
        self._now_ns = frame.captured_ns
        if self._coming is not None and frame.index - self._coming.index >= self._encode_frames:
            embedding = self._encoder.encode(self._coming.image)
            encode_ns = frame.captured_ns - self._coming.captured_ns
            recognition = self._recognizer.recognize(self._coming.image)
            ready = Keyframe.from_frame(self._coming, embedding, encode_ns, frame.captured_ns, recognition)
            self._coming = None
        self._waiting = frame if self._tracker.should_encode(frame) else self._waiting
        found = self._tracker.step(frame, played.samples, ready)
        while self._tracker.refine():
            pass
        if self._coming is None and self._waiting is not None:
            self._coming, self._waiting = self._waiting, None
        return found.result


def judge_mask(mask: Mask | None, truth: Mask) -> tuple[str, float]:
    """Judge a mask against the object meant: one of `VERDICTS`, and the IoU.

    right: IoU of at least 0.5. part: 0.8 of the mask lie on the object. more: 0.8 of the object lie in the mask.
    """
    if mask is None or not mask.any():
        return "none", 0.0
    common = np.count_nonzero(mask & truth)
    iou = float(common / np.count_nonzero(mask | truth))
    if iou >= RIGHT_IOU:
        return "right", iou
    if common >= NESTED_SHARE * np.count_nonzero(mask):
        return "part", iou
    return ("more" if common >= NESTED_SHARE * np.count_nonzero(truth) else "other"), iou


def _enlarge(mask: Mask) -> Mask:
    return np.asarray(cv2.resize(mask.astype(np.uint8), SIZE, interpolation=cv2.INTER_NEAREST) > 0)


def replay_fixations(
    stills: Sequence[Still],
    tracker: SteppedTracker,
    error_px: float,
    seconds: float,
    seed: int,
    choose_word: ChooseWord | None = None,
) -> list[FixationOutcome]:
    """Play one fixation of every target of every still, one tracker through all of them.

    choose_word: returns the word that the user gives with a fixation.
    """
    wearer = WearerSimulation(seed)
    for played in wearer.fixate(stills[0], stills[0].targets[0], 0.0, WARM_UP_S):
        tracker.step(played)
    outcomes = []
    for still in stills:
        for target in still.targets:
            if choose_word is not None:
                tracker.set_word(choose_word(still, target))
            outcomes.append(_replay_fixation(wearer.fixate(still, target, error_px, seconds), tracker, target))
    return outcomes


def _replay_fixation(frames: Iterator[PlayedFrame], tracker: SteppedTracker, target: FixationTarget) -> FixationOutcome:
    first_right_s: float | None = None
    for played in frames:
        result = tracker.step(played)
        truth = cv2.warpAffine(target.mask.astype(np.uint8), played.affine, SIZE, flags=cv2.INTER_NEAREST) > 0
        verdict, iou = judge_mask(None if result is None else result.mask, truth)
        if verdict == "right" and first_right_s is None:
            first_right_s = played.since_s
    alternatives = () if result is None else result.alternatives
    return FixationOutcome(
        verdict, iou, 0.0 if result is None else result.confidence,
        verdict == "right" or any(judge_mask(_enlarge(each.mask), truth)[0] == "right" for each in alternatives),
        first_right_s, float(target.mask.mean()), target.category,
    )  # fmt: skip
