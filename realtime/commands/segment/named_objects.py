"""Segments the objects that a detector recognizes, all of them or those of one word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines import Decoder, Encoder, Image, Prompt
from engines.automatic_masks import AutomaticMask, generate_image_masks, run_to_end, segment_prompts
from engines.recognition.base import Box, ObjectRecognizer, WordQuery
from engines.recognition.coco_names import NAMES
from engines.recognition.name_words import find_similar_names
from realtime.commands.export.coco_json import CocoAnnotation, CocoCategory
from realtime.commands.segment.instance_overlay import draw_instances, draw_names
from realtime.commands.segment.request import PictureRequest
from realtime.commands.segment.tasks import OnStep, PictureResult, build_document
from realtime.errors import SettingsError

_UNUSED_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_CATEGORIES = tuple(
    CocoCategory(number, name) for number, name in zip(sorted({*range(1, 91)} - _UNUSED_IDS), NAMES, strict=True)
)
"""The names with the ids that COCO's own files give them, 1 to 90 with gaps."""


MIN_WORD_SCORE = 0.5
"""A mask that a word fits with a lower score, a probability, is probably of something else."""
MAX_SHARED = 0.5
"""Of two masks that share more of the smaller one's area, one is of a part of the other's object."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedMask:
    """Holds the mask of a recognized object. score: the recognizer's of its name or word, 0..1."""

    mask: AutomaticMask
    category: CocoCategory
    score: float


class NameTask:
    """Segments the recognized objects, of one word where there is a query. Recognition is once a picture."""

    def __init__(self, request: PictureRequest, recognizer: ObjectRecognizer) -> None:
        """Raises `SettingsError` for a word that the recognizer does not know."""
        self._request, self._recognizer = request, recognizer
        self._query = find_query(recognizer, request.word) if request.word else None
        self._categories = COCO_CATEGORIES if self._query is None else (CocoCategory(1, request.word),)

    def compute(self, encoder: Encoder, decoder: Decoder, image: Image, file: Path, on_step: OnStep) -> PictureResult:
        """See `PictureTask.compute`."""
        named = self._find_objects(encoder, decoder, image)
        masks = [each.mask for each in named]
        document = build_document(self._request, encoder, image, file, _annotate(named), self._categories)
        drawn = draw_instances(image, masks)
        draw_names(drawn, [(each.mask, f"{each.category.name} {each.score:.2f}") for each in named])
        return PictureResult(len(named), drawn, document)

    def _find_objects(self, encoder: Encoder, decoder: Decoder, image: Image) -> list[NamedMask]:
        """Recognize, and decode all boxes in one batch; the surest first. Nothing is encoded for no box."""
        found = self._recognizer.recognize(image)
        regions: list[tuple[Box, CocoCategory, float]]
        if self._query is None:
            category_of = {category.name: category for category in self._categories}
            regions = [(each.box_px, category_of[each.name], each.score) for each in found.objects]
        else:
            # one whose best name it is, so that a word selects of what --names finds
            meant, category = self._query.code > 0, self._categories[0]
            regions = [(one.box_px, category, one.score) for one in found.objects if meant[int(np.argmax(one.scores))]]
        if not regions:
            return []
        masks = segment_prompts(decoder, encoder.encode(image), [Prompt.box(*box) for box, _, _ in regions])
        named = [NamedMask(mask, *region[1:]) for mask, region in zip(masks, regions, strict=True) if mask.area_px]
        return sorted(named, key=lambda each: -each.score)


class WordTask:
    """Segments every object, and keeps those that a word fits: for recognizers without boxes, such as CLIP."""

    def __init__(self, request: PictureRequest, recognizer: ObjectRecognizer) -> None:
        """Raises `SettingsError` for a word that the recognizer does not know."""
        self._request, self._recognizer = request, recognizer
        self._query = find_query(recognizer, request.word)

    def compute(self, encoder: Encoder, decoder: Decoder, image: Image, file: Path, on_step: OnStep) -> PictureResult:
        """See `PictureTask.compute`."""
        category, recognition = CocoCategory(1, self._request.word), self._recognizer.recognize(image)
        masks = run_to_end(generate_image_masks(encoder, decoder, image, self._request.settings), on_step)
        scores = [float(recognition.score_word(each.mask[None], self._query)[0]) for each in masks]
        named = select_named([NamedMask(mask, category, score) for mask, score in zip(masks, scores, strict=True)])
        document = build_document(self._request, encoder, image, file, _annotate(named), (category,))
        drawn = draw_instances(image, [each.mask for each in named])
        draw_names(drawn, [(each.mask, f"{category.name} {each.score:.2f}") for each in named])
        return PictureResult(len(named), drawn, document)


def select_named(found: Sequence[NamedMask]) -> list[NamedMask]:
    """Select the masks that a word fits more probably than not, the surest first, and none that lies on a surer one."""
    selected: list[NamedMask] = []
    for each in sorted(found, key=lambda each: -each.score):
        if each.score < MIN_WORD_SCORE:
            break
        mask = each.mask.mask
        shared = (np.count_nonzero(mask & other.mask.mask) for other in selected)
        smaller = (min(each.mask.area_px, other.mask.area_px) for other in selected)
        if all(common <= MAX_SHARED * area for common, area in zip(shared, smaller, strict=True)):
            selected.append(each)
    return selected


def find_query(recognizer: ObjectRecognizer, word: str) -> WordQuery:
    """Encode a word; raises `SettingsError` that names similar ones where it is unknown."""
    query = recognizer.encode_word(word)
    if query.is_known:
        return query
    similar = find_similar_names(word, NAMES)
    hint = f"similar: {', '.join(similar)}" if similar else f"it knows {', '.join(NAMES)}"
    raise SettingsError(f"--text: the detector has no name for {word!r}; {hint}")


def _annotate(named: Sequence[NamedMask]) -> Iterator[CocoAnnotation]:
    for number, each in enumerate(named, 1):
        yield CocoAnnotation(
            1, number, each.mask.mask, each.category.id, each.mask.predicted_iou, each.mask.stability_score,
            extra={"score": each.score},
        )  # fmt: skip
