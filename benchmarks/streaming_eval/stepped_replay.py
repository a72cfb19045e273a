"""Steps clips frame by frame, with an encoder of a given latency: no clock, so no noise of the machine.

The encoder takes the newest frame that is worth it when it is free, and its keyframe is there so many frames later; the
keyframe behind a mask is then that to twice that old. A mask is there as soon as its frame, and every sample of gaze
until then has been seen.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import cv2
import numpy as np

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.device import gaze_dwells, scored_moments
from benchmarks.streaming_eval.gaze import GAZE_HZ, SimulatedGaze, is_blink
from benchmarks.streaming_eval.playback import MaskArrival, PlaybackLog, SentFrame
from benchmarks.streaming_eval.recognition import SteppedRecognizer
from benchmarks.streaming_eval.scoring import iou
from engines import Decoder, Embedding, Encoder, MaskCandidates, Prompt
from engines.base import Mask
from engines.recognition.base import Recognition
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.tracker import Tracker, TrackerSettings
from realtime.types import Frame, GazeSample

APART_S = 1.0
"""Pause between two clips."""
REMEMBERED = 256


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """Holds the result shown on a frame. gaze_s: time of the gaze sample that it is of."""

    mask: Mask | None
    gaze_s: float
    object: int | None
    should_encode: bool


class SteppedMethod(Protocol):
    """A method that makes masks frame by frame."""

    def step(self, frame: Frame, samples: Sequence[GazeSample], keyframe: Keyframe | None) -> StepResult | None:
        """Step as `Tracker.step` does; None before the first mask, when a keyframe is always wanted."""


class RememberingDecoder:
    """A decoder that caches its results: several followers decode the same prompts of one keyframe."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._known: OrderedDict[tuple[object, ...], MaskCandidates] = OrderedDict()
        self.info = decoder.info
        self.asked, self.spent_s = 0, 0.0

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """Answer each prompt; batches are computed as batches."""
        self.asked += 1
        keys = [(id(embedding), p.points_px.tobytes(), p.labels.tobytes()) for p in prompts]
        plain = all(p.mask_logits is None and p.box_px is None for p in prompts)
        if plain and all(key in self._known for key in keys):
            return tuple(self._known[key] for key in keys)
        begun = time.thread_time()
        found = self._decoder.decode(embedding, prompts)
        self.spent_s += time.thread_time() - begun
        if plain:
            self._known.update(zip(keys, found, strict=True))
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found

    def forget(self) -> None:
        """Clear the cache; its keys are addresses of embeddings, which are reused for others."""
        self._known.clear()

    def close(self) -> None:
        """Close the decoder."""
        self._decoder.close()


class EncodingCache:
    """A cache of the embeddings of one clip's frames."""

    def __init__(self, encoder: Encoder, clip: Clip, recognizer: SteppedRecognizer | None = None) -> None:
        self._encoder, self._clip = encoder, clip
        self.recognizer = recognizer or SteppedRecognizer(0)
        self._known: dict[int, Embedding] = {}

    def __getitem__(self, number: int) -> Embedding:
        if number not in self._known:
            self._known[number] = self._encoder.encode(self._clip.pictures[number])
        return self._known[number]


class TrackerMethod:
    """The product's tracker on the clips' time."""

    def __init__(self, decoder: Decoder, settings: TrackerSettings) -> None:
        self._now_ns = 0
        self._tracker = Tracker(decoder, lambda: self._now_ns, settings, frame_time=True)

    def step(self, frame: Frame, samples: Sequence[GazeSample], keyframe: Keyframe | None) -> StepResult | None:
        """Step one frame."""
        self._now_ns = frame.captured_ns
        should_encode = self._tracker.should_encode(frame)
        message = self._tracker.step(frame, samples, keyframe).result
        while self._tracker.refine():
            pass
        if message is None:
            return StepResult(None, 0.0, None, should_encode)
        return StepResult(message.mask, message.gaze.timestamp, message.object, should_encode)


class ClickMethod:
    """A baseline for the tracker: no filter, no memory, one click at the newest gaze.

    "old": the keyframe's mask where it was. "warped": carried to the newest frame, top-scored. "best": carried, of the
    four candidates the one nearest the truth, as an upper bound for the selection.
    """

    def __init__(self, decoder: Decoder, way: Literal["old", "warped", "best"], truths: Sequence[Mask]) -> None:
        self._decoder, self._way, self._truths = decoder, way, truths
        self._motion = FlowHistory()
        self._keyframe: Keyframe | None = None
        self._newest_gaze: GazeSample | None = None
        self._count = -1

    def step(self, frame: Frame, samples: Sequence[GazeSample], keyframe: Keyframe | None) -> StepResult | None:
        """Step one frame."""
        self._count += 1
        self._motion.push(frame)
        self._keyframe = keyframe or self._keyframe
        self._newest_gaze = next((sample for sample in reversed(samples) if sample.confidence > 0), self._newest_gaze)
        if self._keyframe is None or self._newest_gaze is None:
            return None
        chain = self._motion.chain(self._keyframe.index)
        if chain is None:
            return None
        point = np.array([self._newest_gaze.to_px(frame.size)], np.float32)
        then = point if self._way == "old" else chain.to_then(point)
        found = self._decoder.decode(self._keyframe.embedding, [Prompt.click(*map(float, then[0]))])[0]
        if self._way == "old":
            mask = np.asarray(found.letterbox.logits_to_picture(found.logits[found.best_index]) > 0)
        else:
            carried = chain.warp_logits(found.logits, found.letterbox)
            masks = [
                np.asarray(cv2.resize(logits, frame.size, interpolation=cv2.INTER_LINEAR) > 0) for logits in carried
            ]
            truth = self._truths[self._count]
            mask = max(masks, key=lambda m: iou(m, truth)) if self._way == "best" else masks[found.best_index]
        return StepResult(mask, self._newest_gaze.timestamp, None, True)


@dataclass(slots=True)
class SteppedRun:
    """Holds a stepped run.

    step_ms: CPU time of each step's thread without decodes. decodes, decode_ms: their number and time.
    """

    played: PlaybackLog
    arrivals: list[MaskArrival] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)
    decodes: int = 0
    decode_ms: float = 0.0


def replay_stepped(
    stepped: SteppedRun,
    clip: Clip,
    gaze: SimulatedGaze,
    encodings: EncodingCache,
    decoder: RememberingDecoder,
    make: Callable[[Decoder, Clip], SteppedMethod],
    late: int,
) -> None:
    """Play one clip to a new follower, and add to `stepped`. late: latency of encoding, frames."""
    played = stepped.played
    play = len({sent.play for sent in played.sent.values()})
    last_s = max((sent.at_s for sent in played.sent.values()), default=0.0)
    start_s, first = last_s + APART_S, len(played.sent)
    played.moments += scored_moments(clip, gaze, played.fps, start_s, play)
    played.dwells += gaze_dwells(gaze, len(clip) / played.fps, start_s, play)
    follower, before, before_s = make(decoder, clip), decoder.asked, decoder.spent_s
    waiting: Frame | None = None
    coming: Frame | None = None
    sample = 0
    for number, picture in enumerate(clip.pictures):
        at_s = start_s + number / played.fps
        frame = Frame(picture, first + number, at_s, round(at_s * 1e9), round(at_s * 1e9))
        played.sent[frame.index] = SentFrame(at_s, clip, number, play)
        end = min(len(gaze.points_px), int(number / played.fps * GAZE_HZ + 1e-6) + 1)
        samples = [_sample(gaze, k, start_s, len(played.gaze_s) + k - sample) for k in range(sample, end)]
        played.gaze_s |= {round(s.timestamp, 4) for s in samples}
        sample = end
        ready = None
        if coming is not None and frame.index - coming.index >= late:
            embedding, recognition = encodings[coming.index - first], encodings.recognizer.recognize(coming.image)
            ready, coming = _keyframe(coming, frame, embedding, recognition), None
        begun = time.thread_time() - decoder.spent_s
        answer = follower.step(frame, samples, ready)
        stepped.step_ms.append((time.thread_time() - decoder.spent_s - begun) * 1e3)
        if answer is not None and answer.gaze_s:
            stepped.arrivals.append(MaskArrival(at_s, answer.mask, frame.index, answer.gaze_s, answer.object))
        waiting = frame if answer is None or answer.should_encode else waiting
        if coming is None and waiting is not None:
            coming, waiting = waiting, None
    stepped.decodes += decoder.asked - before
    stepped.decode_ms += (decoder.spent_s - before_s) * 1e3


def _sample(gaze: SimulatedGaze, number: int, start_s: float, sent: int) -> GazeSample:
    x, y = map(float, gaze.points_px[number])
    at_s = start_s + number / GAZE_HZ
    at_ns = round(at_s * 1e9)
    # The eyes close on the device's count, which goes on from clip to clip.
    return GazeSample(x, y, "px", 0.0 if is_blink(sent) else 0.95, at_s, at_ns, at_ns)


def _keyframe(frame: Frame, now: Frame, embedding: Embedding, recognition: Recognition | None) -> Keyframe:
    return Keyframe.from_frame(frame, embedding, now.captured_ns - frame.captured_ns, now.captured_ns, recognition)
