"""Makes looks from labelled pictures: each object is fixated once, and what was meant is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from engines import Decoder, Embedding, Encoder, Image, Mask, Prompt
from realtime.learning.coco_pictures import LabelledObject, LabelledPicture
from realtime.learning.looks import FixationChoice, LabelledLook, describe_choice, hash_texts, label_choice
from realtime.tracking.hypotheses import Hypothesis, make_hypotheses
from realtime.tracking.mask_selection import SelectionSettings, compute_evidence
from realtime.tracking.prompter import PrompterSettings, place_voter

REFERENCE_WIDTH = 640
RADIUS_SHARE = 0.012
"""The error radius of the gaze where it is unknown, in picture widths: 1.2 degrees of a camera that sees 100."""
OnPicture = Callable[[int, int], bool]
"""Receives the completed pictures and all; returns False to stop."""


@dataclass(frozen=True, slots=True)
class PictureFixations:
    """Settings of the fixations on labelled pictures.

    error_px: of the simulated gaze in a picture of 640 px, where no gaze point is known. repeats: fixations of each
    object. min_area: least share of the picture of an object.
    """

    error_px: float = 20.0
    repeats: int = 1
    min_area: float = 0.003
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    prompter: PrompterSettings = field(default_factory=PrompterSettings)


def find_middle(mask: Mask) -> tuple[float, float]:
    """Find the point of a mask that is farthest from its edge, px."""
    inside = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(column), float(row)


def simulate_gaze(mask: Mask, error_px: float, rng: np.random.Generator) -> tuple[float, float]:
    """Simulate a gaze point on an object, off by an error in a random direction, within the picture."""
    (x, y), angle = find_middle(mask), rng.uniform(0, 2 * np.pi)
    height, width = mask.shape
    return (
        float(np.clip(x + error_px * np.cos(angle), 0, width - 1)),
        float(np.clip(y + error_px * np.sin(angle), 0, height - 1)),
    )


def find_error_region(truth: Mask, mask: Mask) -> Mask | None:
    """Find the largest region in which a mask is wrong; None for equal masks."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((truth ^ mask).astype(np.uint8), connectivity=8)
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))) if count > 1 else None


def find_error_click(truth: Mask, mask: Mask) -> tuple[float, float, Literal[0, 1]] | None:
    """Find the deepest point of the largest region in which a mask is wrong, px, and 1 where it is of the object.

    A person is assumed to click there, as in the training of SAM (Kirillov et al., 2023). None for equal masks.
    """
    region = find_error_region(truth, mask)
    if region is None:
        return None
    x, y = find_middle(region)
    return x, y, 1 if truth[int(y), int(x)] else 0


def find_hypotheses(
    decoder: Decoder, embedding: Embedding, point_px: tuple[float, float], radius_px: float,
    fixations: PictureFixations,
) -> list[Hypothesis]:  # fmt: skip
    """Decode a fixation on an encoded picture as the tracker does without motion, in no order."""
    size, voters = (embedding.letterbox.width, embedding.letterbox.height), fixations.prompter.voters
    points = [point_px, *(place_voter(point_px, radius_px, size, k, voters) for k in range(voters))]
    found = decoder.decode(embedding, [Prompt.click(*point) for point in points])
    answers = list(zip(points, found, strict=True))
    return make_hypotheses(answers, point_px, fixations.selection.gaze_radii * radius_px)


def choose_on_picture(
    decoder: Decoder, embedding: Embedding, image: Image, point_px: tuple[float, float], radius_px: float,
    place: str, fixations: PictureFixations,
) -> FixationChoice:  # fmt: skip
    """Describe the hypotheses of a fixation on an encoded picture, ranked by the settings."""
    hypotheses = find_hypotheses(decoder, embedding, point_px, radius_px, fixations)
    order = np.argsort(-compute_evidence(hypotheses, fixations.selection), kind="stable")
    return describe_choice([hypotheses[k] for k in order.tolist()], fixations.selection, place, image)


def choose_on_pictures(
    pictures: Sequence[LabelledPicture],
    engine: tuple[Encoder, Decoder],
    fixations: PictureFixations,
    on_picture: OnPicture,
) -> list[FixationChoice] | None:
    """Fixate every object of the pictures; None where it was stopped. Raises `LearningError` and `EngineError`.

    A choice names its picture by a hash of its pixels, so that the same picture is known under another name.
    """
    encoder, decoder = engine
    choices: list[FixationChoice] = []
    for number, picture in enumerate(pictures):
        if not on_picture(number, len(pictures)):
            return None
        image = picture.load()
        content, embedding = hash_texts([image.tobytes()]), encoder.encode(image)
        for each, point, radius in list_fixations(picture, image.shape[1], fixations, content):
            place = f"{content}/{each.name}"
            choices.append(choose_on_picture(decoder, embedding, image, point, radius, place, fixations))
    on_picture(len(pictures), len(pictures))
    return choices


def label_pictures(
    pictures: Sequence[LabelledPicture], choices: Sequence[FixationChoice], fixations: PictureFixations
) -> Iterator[LabelledLook]:
    """Yield the looks of `choose_on_pictures` with the true masks."""
    waiting = iter(choices)
    for picture in pictures:
        for each in _list_objects(picture, fixations):
            for _ in range(_count_repeats(each, fixations)):
                choice = next(waiting)
                group = picture.group or choice.place.partition("/")[0]
                yield label_choice(choice, "corrected", group, f"{group}/{each.name}", each.mask)


def _list_objects(picture: LabelledPicture, fixations: PictureFixations) -> list[LabelledObject]:
    return [each for each in picture.read_objects() if each.mask.mean() >= fixations.min_area]


def _count_repeats(each: LabelledObject, fixations: PictureFixations) -> int:
    return 1 if each.point_px is not None else fixations.repeats


def list_fixations(
    picture: LabelledPicture, width: int, fixations: PictureFixations, content: str
) -> Iterator[tuple[LabelledObject, tuple[float, float], float]]:
    """Yield object, gaze point and error radius, px, of each fixation; simulated ones are seeded by picture and name.

    content: hash of the picture.
    """
    for each in _list_objects(picture, fixations):
        radius = each.radius_px or RADIUS_SHARE * width
        rng = np.random.default_rng(int(hash_texts([content, each.name]), 16))
        for _ in range(_count_repeats(each, fixations)):
            error = fixations.error_px * width / REFERENCE_WIDTH
            yield each, each.point_px or simulate_gaze(each.mask, error, rng), radius
