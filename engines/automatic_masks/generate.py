"""Generates masks of everything in a picture (Kirillov et al., "Segment Anything", ICCV 2023, section 5, appendix B).

A grid of clicks gives three masks each; masks of low predicted IoU, unstable masks and duplicates are removed. Long
work is a generator that may be closed at any step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from engines.automatic_masks.overlap import Boxes, is_cut_by_crop, remove_small_regions, suppress_duplicates
from engines.automatic_masks.packed_mask import AutomaticMask, pack_mask
from engines.automatic_masks.prompted import pack_logits
from engines.automatic_masks.quality import GridCells, measure_quality
from engines.automatic_masks.settings import AutomaticSettings, Crop, click_grid, crop_boxes
from engines.base import Decoder, Embedding, Encoder, Image, MaskCandidates, Prompt, PromptError, check_image
from engines.letterbox import Letterbox


@dataclass(frozen=True, slots=True)
class GenerationStep:
    """Holds the progress: clicks done and in total, and masks accepted in this crop before duplicates are removed."""

    done: int
    total: int
    kept: int


Steps = Generator[GenerationStep, None, tuple[AutomaticMask, ...]]
"""Yields a step for every batch of clicks and returns all masks, best predicted IoU first. Closing it cancels."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class CropPass:
    """A crop of a (width, height) picture: clicks along its side, done before it, and of all crops together."""

    crop: Crop
    size: tuple[int, int]
    side: int
    done: int
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class KeptMask:
    """Holds an accepted mask's logits. box: x0 y0 x1 y1 px of the picture. point: px of the crop."""

    box: tuple[float, float, float, float]
    predicted_iou: float
    stability: float
    point: tuple[float, float]
    cells: GridCells


def generate_masks(decoder: Decoder, embedding: Embedding, settings: AutomaticSettings | None = None) -> Steps:
    """Generate the masks of an encoded image, one batch of clicks a step; `run_to_end` runs all.

    Holds no mask of the picture's size: of one that has passed its low-resolution logits, at most 128 KiB, and of one
    that stays its packed bits. Raises `PromptError` for settings with crops, which need the picture, and what
    `Decoder.decode` raises.
    """
    chosen = settings or AutomaticSettings()
    if chosen.crop_layers:
        raise PromptError("crops are encoded anew, which needs the picture; use generate_image_masks, or no crops")
    size = embedding.letterbox.width, embedding.letterbox.height
    side = chosen.points_per_side
    found = yield from _generate_in_crop(decoder, embedding, CropPass((0, 0, *size), size, side, 0, side**2), chosen)
    return _remove_specks(found, chosen)


def generate_image_masks(
    encoder: Encoder, decoder: Decoder, image: Image, settings: AutomaticSettings | None = None
) -> Steps:
    """Generate the masks of a (H, W, 3) uint8 BGR picture, with the crops of the settings; see `generate_masks`.

    The first step precedes all encoding.
    """
    chosen = settings or AutomaticSettings()
    check_image(image)
    size = image.shape[1], image.shape[0]
    parts = list(crop_boxes(*size, chosen))
    total = sum(chosen.side_of(layer) ** 2 for layer, _ in parts)
    found: list[AutomaticMask] = []
    done = 0
    yield GenerationStep(0, total, 0)
    for layer, crop in parts:
        x0, y0, x1, y1 = crop
        embedding = encoder.encode(np.ascontiguousarray(image[y0:y1, x0:x1]))
        part = CropPass(crop, size, chosen.side_of(layer), done, total)
        found += yield from _generate_in_crop(decoder, embedding, part, chosen)
        done += part.side**2
    if len(parts) > 1:
        # Smaller crops first: their resolution is higher. Areas are whole pixels, so that the IoU breaks ties.
        scores = [each.predicted_iou - each.crop_box[2] * each.crop_box[3] for each in found]
        found = [found[index] for index in suppress_duplicates(_boxes(found), scores, chosen.crop_duplicate_iou)]
    return _remove_specks(found, chosen)


def run_to_end(
    steps: Generator[GenerationStep, None, Result], report: Callable[[GenerationStep], None] | None = None
) -> Result:
    """Run a generation to its end and return its masks or edges.

    report: called with every step; an exception that it raises cancels the generation and is passed on.
    """
    try:
        while True:
            step = next(steps)
            if report is not None:
                report(step)
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        steps.close()


def _generate_in_crop(
    decoder: Decoder, embedding: Embedding, part: CropPass, settings: AutomaticSettings
) -> Generator[GenerationStep, None, list[AutomaticMask]]:
    """Generate the masks of one crop, whose embedding is given."""
    kept = yield from collect_masks(decoder, embedding, part, settings)
    return [_to_automatic_mask(one, embedding.letterbox, part) for one in kept]


def collect_masks(
    decoder: Decoder, embedding: Embedding, part: CropPass, settings: AutomaticSettings, margin: int = 1
) -> Generator[GenerationStep, None, list[KeptMask]]:
    """Collect the accepted masks of one crop without duplicates; margin: see `GridCells.of`."""
    x0, y0, x1, y1 = part.crop
    points = click_grid(part.side, (0, 0, x1 - x0, y1 - y0)).tolist()
    kept: list[KeptMask] = []
    count = settings.clicks_at_once
    for begin in range(0, len(points), count):
        batch = [(x, y) for x, y in points[begin : begin + count]]
        answers = decoder.decode(embedding, [Prompt.click(x, y) for x, y in batch])
        for point, answer in zip(batch, answers, strict=True):
            for one in _select_masks(answer, point, (x0, y0), settings, margin):
                if not is_cut_by_crop(one.box, part.crop, part.size, settings.crop_edge_px):
                    kept.append(one)
        yield GenerationStep(part.done + begin + len(batch), part.total, len(kept))
    boxes = np.array([one.box for one in kept], float)
    stay = suppress_duplicates(boxes, [one.predicted_iou for one in kept], settings.duplicate_iou)
    return [kept[index] for index in stay]


def _select_masks(
    answer: MaskCandidates,
    point: tuple[float, float],
    corner: tuple[int, int],
    settings: AutomaticSettings,
    margin: int,
) -> Iterator[KeptMask]:
    """Select a click's masks of high predicted IoU and high stability."""
    first = 1 if len(answer.predicted_iou) > 1 else 0  # of four, SAM's first is for several clicks
    for logits, iou in zip(answer.logits[first:], answer.predicted_iou[first:].tolist(), strict=True):
        if iou <= settings.least_predicted_iou:
            continue
        found = measure_quality(logits, answer.letterbox, settings.stability_offset)
        if found.box is not None and found.stability >= settings.least_stability:
            (x0, y0, x1, y1), (x, y) = found.box, corner
            box = x0 + x, y0 + y, x1 + x, y1 + y
            yield KeptMask(box, iou, found.stability, point, GridCells.of(logits, margin))


def _to_automatic_mask(one: KeptMask, letterbox: Letterbox, part: CropPass) -> AutomaticMask:
    """Upsample an accepted mask to the image's size."""
    x0, y0, x1, y1 = part.crop
    box, area, packed = pack_logits(one.cells.logits(), letterbox, (x0, y0))
    point = one.point[0] + x0, one.point[1] + y0
    crop_box = x0, y0, x1 - x0, y1 - y0
    return AutomaticMask(part.size, box, area, one.predicted_iou, one.stability, (point,), crop_box, packed)


def _remove_specks(found: list[AutomaticMask], settings: AutomaticSettings) -> tuple[AutomaticMask, ...]:
    """Remove small regions, then the resulting duplicates; masks without small regions are preferred."""
    if not settings.smallest_region_px or not found:
        return tuple(found)
    mended, whole = [], []
    for each in found:
        part = each.cropped_mask
        clean = remove_small_regions(part, settings.smallest_region_px)
        whole.append(float(np.array_equal(part, clean)))
        box, area, packed = pack_mask(clean, each.box_xywh[:2])
        mended.append(replace(each, box_xywh=box, area_px=area, packed=packed))
    most = max(settings.duplicate_iou, settings.crop_duplicate_iou)
    return tuple(mended[index] for index in suppress_duplicates(_boxes(mended), whole, most))


def _boxes(found: list[AutomaticMask]) -> Boxes:
    xywh = np.array([each.box_xywh for each in found], float).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
