from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np

from engines import Image, Letterbox, Mask, MaskCandidates
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.mask_carrier import MaskCarrier
from realtime.tracking.motion.layered_motion import LayerSettings
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompter import PromptResult
from realtime.tracking.tracked_mask import MaskProvenance, TrackedMask
from realtime.types import Frame, GazeSample
from tests.realtime.tracking.motion.test_layered_motion import HEIGHT, WIDTH, disc, iou, scene

LETTERBOX = Letterbox(WIDTH, HEIGHT, 1024, 1024)
SAMPLE = GazeSample(180, 100, "px", 1.0, 0.0, 0, 0)


class Run:
    """A carrier, fed with pictures; keyframes are decoded to a given mask."""

    def __init__(self) -> None:
        self.motion = FlowHistory()
        self.carrier = MaskCarrier(self.motion, LayerSettings())
        self.count = 0

    def push(self, image: Image) -> None:
        self.motion.push(Frame(image, self.count, self.count / 24, self.count, self.count))
        self.count += 1

    def decode(self, mask: Mask) -> PromptResult:
        """The newest frame's mask as a decoder gives it."""
        width, height = (round(side / 4) for side in LETTERBOX.content_size)
        logits = np.full((1, 256, 256), -10, np.float32)
        small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        logits[0, :height, :width] = 20 * small - 10
        keyframe = Keyframe(self.count - 1, 0.0, 0, 0, (WIDTH, HEIGHT), cast(Any, None), 0, 0)
        candidates = MaskCandidates(logits, np.ones(1, np.float32), LETTERBOX)
        return PromptResult(keyframe, 0, SAMPLE, (180.0, 100.0), 10.0, candidates, (0, 0))

    def warp(self, result: PromptResult) -> TrackedMask:
        """Warp a result to the newest frame along the chain, as the tracker does."""
        chain = self.motion.chain(result.keyframe.index)
        assert chain is not None
        logits = chain.warp_logits(result.candidates.logits, LETTERBOX)[0]
        provenance = MaskProvenance(result.keyframe, SAMPLE, (180.0, 100.0), 10.0, 1.0, 1.0, (0, 0))
        return TrackedMask(logits, provenance, result, 0)


def carry_late(late: int) -> tuple[Run, PromptResult, Mask]:
    """Decode frame 0, which is there `late` frames later, and carry it to there and ten frames on."""
    run, result, mask = Run(), None, np.zeros((HEIGHT, WIDTH), np.bool_)
    for k in range(late + 11):
        run.push(scene(160 + 3 * k, 100, 30, pan=-2 * k))
        result = result or run.decode(disc(160, 100, 30))
        if k >= late:
            _, decoded = run.carrier.carry(None, run.warp(result))
            assert decoded is not None
            mask = decoded.mask
    assert result is not None
    return run, result, mask


def test_a_late_mask_is_on_its_object_and_stays_there() -> None:
    for late in (0, 3, 8):
        _, _, mask = carry_late(late)
        assert iou(mask, disc(160 + 3 * (late + 10), 100, 30)) > 0.85


def test_the_same_frames_give_the_same_mask() -> None:
    assert carry_late(6)[2].tobytes() == carry_late(6)[2].tobytes()


def test_a_frame_is_carried_once() -> None:
    run, result, mask = carry_late(4)
    shown, decoded = run.carrier.carry(run.warp(result), run.warp(result))
    assert shown is not None
    assert decoded is not None
    assert np.array_equal(shown.mask, mask)
    assert np.array_equal(decoded.mask, mask)


def test_the_shown_mask_waits_while_another_begins_and_then_goes_on() -> None:
    run, result, _ = carry_late(2)
    shown, _ = run.carrier.carry(run.warp(result), None)
    newer = None
    for k in range(13, 18):
        run.push(scene(160 + 3 * k, 100, 30, pan=-2 * k))
        newer = newer or run.decode(disc(160 + 3 * k, 100, 30))
        since = run.motion.chain(k - 1)
        assert since is not None
        assert shown is not None
        shown, decoded = run.carrier.carry(shown.warp(since), run.warp(newer))
        assert shown is not None
        assert decoded is not None
        for mask in (shown.mask, decoded.mask):
            assert iou(mask, disc(160 + 3 * k, 100, 30)) > 0.8


def test_nothing_is_carried_across_a_reset() -> None:
    run, result, mask = carry_late(2)
    run.carrier.reset()
    assert run.carrier.carry(None, None) == (None, None)
    _, decoded = run.carrier.carry(None, run.warp(result))
    assert decoded is not None
    assert iou(decoded.mask, mask) > 0.6
