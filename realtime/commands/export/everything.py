"""Adds the masks of everything in a picture to those of the fixated objects, by SAM's automatic mask generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engines import Decoder, Encoder, Image, Mask
from engines.automatic_masks import generate_image_masks, run_to_end
from engines.automatic_masks.settings import AutomaticSettings
from realtime.commands.export.coco_json import CocoAnnotation, CocoImage


class EverythingAnnotator:
    """Finds the masks of a picture that are not of the fixated objects. One thread."""

    def __init__(self, encoder: Encoder, decoder: Decoder, settings: AutomaticSettings | None = None) -> None:
        self._encoder, self._decoder, self._settings = encoder, decoder, settings or AutomaticSettings()

    def annotate(
        self, image: CocoImage, picture: Image, found: Sequence[CocoAnnotation], last_id: int, category_id: int
    ) -> Iterator[CocoAnnotation]:
        """Yield annotations of what was not looked at, the first with `last_id`, then lower; raises `EngineError`.

        found: annotations of the fixated objects; their masks are left out.
        """
        masks = run_to_end(generate_image_masks(self._encoder, self._decoder, picture, self._settings))
        known = [each.mask for each in found]
        others = (each for each in masks if not _overlaps(each.mask, known, self._settings.duplicate_iou))
        for number, each in enumerate(others):
            yield CocoAnnotation(
                image.id, last_id - number, each.mask, category_id, each.predicted_iou, each.stability_score,
                each.point_coords, each.crop_box, {"looked_at": False},
            )  # fmt: skip


def _overlaps(mask: Mask, others: Sequence[Mask], limit: float) -> bool:
    return any(np.count_nonzero(mask & other) > limit * np.count_nonzero(mask | other) for other in others)
