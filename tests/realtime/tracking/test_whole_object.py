"""A long fixation steps to the whole of an object, not to the object and its neighbour."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from engines import Embedding, EngineInfo, EngineSettings, Letterbox, MaskCandidates, Prompt, load
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.hypotheses import keyframe_masks
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.settings import TrackerSettings
from realtime.tracking.tracker import Tracker
from realtime.tracking.whole_object import find_addition, has_neighbour, is_nested
from realtime.types import Frame, GazeSample

SIZE = (320, 240)
LETTERBOX = Letterbox(*SIZE)
Box = tuple[int, int, int, int]
LABEL, LEFT, RIGHT, BOTH = (95, 105, 125, 135), (70, 80, 150, 160), (152, 84, 228, 158), (70, 80, 228, 160)
"""A label on the left of two boxes that stand side by side, px: x0 y0 x1 y1."""
CAP, BOTTLE = (100, 60, 130, 75), (90, 60, 140, 200)


def draw(*boxes: Box) -> np.ndarray:
    mask = np.zeros(SIZE[::-1], bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def candidates(*masks: np.ndarray) -> MaskCandidates:
    step = 256 / LETTERBOX.side
    width, height = (round(side * step) for side in LETTERBOX.content_size)
    logits = np.full((len(masks), 256, 256), -6, np.float32)
    for plane, mask in zip(logits, masks, strict=True):
        small = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        plane[:height, :width][small > 0] = 6
    return MaskCandidates(logits, np.full(len(masks), 0.9, np.float32), LETTERBOX)


def grid(*boxes: Box) -> np.ndarray:
    return np.asarray(keyframe_masks(candidates(draw(*boxes)))[0])


@pytest.mark.parametrize(
    ("mask", "core", "nested"),
    [((LABEL,), (LEFT,), True), ((BOTH,), (LEFT,), True), ((RIGHT,), (LEFT,), False), ((LEFT,), (LEFT,), True)],
)
def test_nested(mask: tuple[Box], core: tuple[Box], nested: bool) -> None:
    assert is_nested(grid(*mask), grid(*core)) is nested


@pytest.mark.parametrize(
    ("mask", "core", "has_addition"),
    [
        ((LABEL,), (LEFT,), False),  # a part adds nothing
        ((LEFT,), (LEFT,), False),
        ((LEFT,), (LABEL,), False),  # a label is too small to be a box's neighbour
        ((BOTTLE,), (CAP,), False),
        ((BOTH,), (LEFT,), True),
    ],
)
def test_additions_that_may_be_neighbours(mask: tuple[Box], core: tuple[Box], has_addition: bool) -> None:
    assert (find_addition(grid(*mask), grid(*core)) is not None) is has_addition


@pytest.mark.parametrize(
    ("offered", "is_neighbour"),
    [
        ((RIGHT, LABEL, RIGHT, BOTH), True),
        ((BOTH, LABEL, (160, 90, 170, 100), BOTH), False),  # there is no object of its own: the rest of one
        ((BOTH, BOTH, BOTH, BOTH), False),
    ],
)
def test_a_neighbour_is_an_object_of_its_own(offered: tuple[Box, ...], is_neighbour: bool) -> None:
    found = candidates(*(draw(box) for box in offered))
    assert has_neighbour(found, grid(BOTH), grid(LEFT)) is is_neighbour


class SceneDecoder:
    """A decoder that offers the part, the object and more at each point, as SAM does on two boxes."""

    def __init__(self, info: EngineInfo, right: Sequence[np.ndarray]) -> None:
        self.info, self._right = info, right

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        left = (draw(LEFT), draw(LABEL), draw(LEFT), draw(LEFT, RIGHT))
        return tuple(candidates(*(self._right if p.points_px[0, 0] > 151 else left)) for p in prompts)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("is_neighbour", [True, False])
def test_a_long_fixation_does_not_take_in_the_neighbour(is_neighbour: bool) -> None:
    """The right half is a box of its own, or the rest of one thing, which no candidate shows alone."""
    right = (draw(RIGHT), draw((190, 100, 200, 110)), draw(RIGHT), draw(LEFT, RIGHT))
    rest = (draw(LEFT, RIGHT), draw((190, 100, 200, 110)), draw((160, 84, 190, 158)), draw(LEFT, RIGHT))
    encoder, honest = load(EngineSettings(backend="fake"), None)
    now_ns = 0
    tracker = Tracker(
        SceneDecoder(honest.info, right if is_neighbour else rest), lambda: now_ns,
        TrackerSettings(dwell=DwellSettings(lock_s=0.3, step_s=0.5)), frame_time=True,
    )  # fmt: skip
    picture = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
    picture[draw(LEFT)], picture[draw(RIGHT)], picture[draw(LABEL)] = (40, 60, 160), (40, 140, 60), (200, 200, 200)
    embedding, areas, before = encoder.encode(picture), [], None
    for index in range(96):
        now_ns = index * 1_000_000_000 // 24
        frame = Frame(picture, index, index / 24, now_ns, now_ns)
        samples = [
            GazeSample(110.0, 142.0, "px", 0.95, at_ns / 1e9, at_ns, at_ns)
            for at_ns in range(now_ns - 1_000_000_000 // 24 + 1, now_ns + 1, 5_000_000)
        ]
        keyframe = None if before is None or index % 4 else Keyframe.from_frame(before, embedding, 1, now_ns)
        result, before = tracker.step(frame, samples, keyframe).result, frame
        while tracker.refine():
            pass
        if result is not None and result.mask is not None:
            areas.append(int(result.mask.sum()))
    box, both = draw(LEFT).sum(), draw(LEFT, RIGHT).sum()
    assert any(area == pytest.approx(box, rel=0.15) for area in areas)
    assert (max(areas) > 0.85 * both) is not is_neighbour
    assert min(areas) < 0.3 * box, "steps to parts go on"
