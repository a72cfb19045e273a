"""Tests automatic masks: parts against SAM's own code, the whole on the fake engine and on MobileSAM."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engines import Embedding, EngineClosed, Letterbox, Prompt, PromptError
from engines.automatic_masks import AutomaticSettings, generate_image_masks, generate_masks, run_to_end, segment_prompt
from engines.automatic_masks.overlap import is_cut_by_crop, remove_small_regions, suppress_duplicates
from engines.automatic_masks.packed_mask import AutomaticMask, pack_mask
from engines.automatic_masks.quality import GridCells, logits_window, measure_quality
from engines.automatic_masks.settings import click_grid, crop_boxes
from engines.fake import open_fake

FEW = AutomaticSettings(points_per_side=8)
BLOCKS = ((20, 30, 60, 40), (110, 20, 40, 90), (30, 100, 50, 40))
"""x, y, width, height of the blocks in the picture."""


@pytest.fixture(scope="module")
def blocks():
    """Draw three plain blocks of different colours on a grey ground, 200 x 160."""
    image = np.full((160, 200, 3), 128, np.uint8)
    for (x, y, width, height), colour in zip(BLOCKS, ((40, 40, 220), (210, 60, 30), (40, 200, 60)), strict=True):
        image[y : y + height, x : x + width] = colour
    return image


@pytest.fixture(scope="module")
def amg():
    """Load segment-anything's small functions; the package needs torchvision, this file of it does not."""
    pytest.importorskip("torch")
    package = importlib.util.find_spec("segment_anything")
    if package is None or not package.submodule_search_locations:
        pytest.skip("segment-anything is not installed")
    file = Path(package.submodule_search_locations[0]) / "utils" / "amg.py"
    spec = importlib.util.spec_from_file_location("amg", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def box_mask(box, shape):
    x, y, width, height = box
    mask = np.zeros(shape, bool)
    mask[y : y + height, x : x + width] = True
    return mask


# -- the parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height", "layers"), [(640, 480, 2), (333, 500, 1), (3, 2, 1), (1500, 1500, 3)])
def test_crops_are_those_of_sams_own_generator(amg, width, height, layers):
    ours = list(crop_boxes(width, height, AutomaticSettings(crop_layers=layers)))
    boxes, numbers = amg.generate_crop_boxes((height, width), layers, 512 / 1500)
    assert ours == [(number, tuple(box)) for number, box in zip(numbers, boxes, strict=True)]


def test_the_grid_is_sams_in_our_pixels(amg):
    # theirs counts from the corner of the top left pixel, ours from its centre
    ours = click_grid(5, (10, 20, 110, 70))
    np.testing.assert_allclose(ours, amg.build_point_grid(5) * (100, 50) + (10, 20) - 0.5, atol=1e-5)


@given(hnp.arrays(bool, st.tuples(st.integers(6, 14), st.integers(6, 14))), st.integers(1, 9))
def test_specks_go_as_in_sams_own_code(amg, mask, smallest):
    # What is open to the edge is no hole of ours; here that is so large that it is none of theirs either.
    mask = np.pad(mask, 2)
    if mask.any():
        filled, _ = amg.remove_small_regions(mask, smallest, "holes")
        wanted, _ = amg.remove_small_regions(filled, smallest, "islands")
        ours = remove_small_regions(mask, smallest)
        # where all islands are too small the largest stays, and either of two as large is right
        tie = wanted.sum() < smallest and ours.sum() == wanted.sum() and not (ours & ~filled).any()
        assert tie or np.array_equal(ours, wanted)


@pytest.mark.parametrize("box", [(100, 100, 300, 300), (90, 150, 200, 200), (0, 0, 150, 150), (150, 150, 385, 250)])
def test_masks_cut_by_a_crop_are_found_as_in_sams_own_code(amg, box):
    import torch

    crop, size = (85, 15, 400, 400), (500, 400)
    local = torch.tensor([[box[0] - 85, box[1] - 15, box[2] - 85, box[3] - 15]])
    theirs = bool(amg.is_box_near_crop_edge(local, list(crop), [0, 0, *size])[0])
    assert is_cut_by_crop(box, crop, size, 20.0) == theirs


@given(hnp.arrays(int, st.tuples(st.integers(0, 12), st.just(4)), elements=st.integers(0, 9)), st.floats(0.05, 0.95))
def test_duplicates_go_one_by_one(corners, most):
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], 1).astype(float)
    scores = np.random.default_rng(len(boxes)).integers(0, 4, len(boxes)).tolist()
    cells = [box_mask((b[0], b[1], b[2] - b[0], b[3] - b[1]), (20, 20)) for b in boxes.astype(int)]
    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(cells[index], cells[other]) <= most for other in kept):
            kept.append(index)
    assert suppress_duplicates(boxes, scores, most) == kept


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 300), st.sampled_from([224, 512, 1024]))
def test_a_window_of_the_logits_holds_all_of_the_mask_and_cells_keep_it(seed, width, height, side):
    rng = np.random.default_rng(seed)
    letterbox = Letterbox(width, height, picture_side=side)
    coarse = rng.normal(-1.5, 1.5, (8, 8)).astype(np.float32)
    logits = cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC)
    whole = letterbox.logits_to_picture(logits) > 0
    x0, y0, x1, y1 = logits_window(logits, letterbox, 0.0)
    put_back = np.zeros_like(whole)
    put_back[y0:y1, x0:x1] = letterbox.logits_to_picture(logits, (x0, y0, x1, y1)) > 0
    # the affine map counts in 1/32 px, so that a window may differ by a hair
    assert (put_back != whole).sum() <= max(2, 0.01 * whole.size)
    again = letterbox.logits_to_picture(GridCells.of(logits).logits()) > 0
    assert (again != whole).sum() <= max(1, 0.002 * whole.size)


def test_the_padding_does_not_change_the_last_row_of_the_picture():
    letterbox = Letterbox(640, 480)
    logits = np.full((256, 256), 4.0, np.float32)
    logits[192:] = -32
    assert (letterbox.logits_to_picture(logits) > 0).all()


def test_stability_is_sams_at_the_size_of_the_picture(amg):
    import torch

    letterbox = Letterbox(300, 200)
    slope = np.tile(np.linspace(-6, 6, 256, dtype=np.float32), (256, 1))
    theirs = amg.calculate_stability_score(torch.from_numpy(letterbox.logits_to_picture(slope))[None], 0.0, 1.0)
    found = measure_quality(slope, letterbox, 1.0)
    assert found.stability == pytest.approx(float(theirs), abs=1e-6)
    assert found.box is not None
    assert found.box[2:] == (300, 200)


def test_a_large_picture_is_judged_at_the_models_size_in_its_own_pixels():
    small, large = Letterbox(1000, 500), Letterbox(8000, 4000)
    logits = np.full((256, 256), -4.0, np.float32)
    logits[20:60, 40:90] = 4
    boxes = [measure_quality(logits, letterbox, 1.0).box for letterbox in (small, large)]
    np.testing.assert_allclose(np.array(boxes[0]) * 8, boxes[1], atol=12)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_a_packed_mask_is_restored(mask):
    box, area, packed = pack_mask(mask, (2, 1))
    size = mask.shape[1] + 5, mask.shape[0] + 4
    found = AutomaticMask(size, box, area, 0.9, 0.9, (), (0, 0, *size), packed)
    wanted = np.zeros(size[::-1], bool)
    wanted[1 : 1 + mask.shape[0], 2 : 2 + mask.shape[1]] = mask
    np.testing.assert_array_equal(found.mask, wanted)
    assert found.area_px == mask.sum()


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_every_block_is_found_once(blocks):
    encoder, decoder = open_fake()
    steps = []
    found = run_to_end(generate_masks(decoder, encoder.encode(blocks), FEW), steps.append)
    for box in BLOCKS:
        truth = box_mask(box, blocks.shape[:2])
        assert sum(iou(each.mask, truth) > 0.8 for each in found) == 1, box
    assert [step.done for step in steps] == list(range(8, 65, 8))
    assert {step.total for step in steps} == {64}
    scores = [each.predicted_iou for each in found]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0.88
    assert min(each.stability_score for each in found) >= 0.95


def test_it_can_be_left_at_any_step(blocks):
    encoder, decoder = open_fake()
    asked = []
    decode, decoder.decode = decoder.decode, lambda *args: asked.append(1) or decode(*args)
    steps = generate_image_masks(encoder, decoder, blocks, FEW)
    assert next(steps).done == 0
    assert not asked
    assert next(steps).done == 8
    steps.close()
    assert len(asked) == 1

    def interrupt(step):
        if step.done == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_to_end(generate_image_masks(encoder, decoder, blocks, FEW), interrupt)
    assert len(asked) == 3


def test_crops_find_in_the_pictures_own_pixels(blocks):
    encoder, decoder = open_fake()
    found = run_to_end(
        generate_image_masks(encoder, decoder, blocks, replace(FEW, crop_layers=1, crop_points_divisor=2))
    )
    cropped = [each for each in found if each.crop_box != (0, 0, 200, 160)]
    assert cropped
    for box in BLOCKS:
        truth = box_mask(box, blocks.shape[:2])
        assert sum(iou(each.mask, truth) > 0.8 for each in found) == 1, box
    for each in found:
        (x, y), (x0, y0, width, height) = each.point_coords[0], each.crop_box
        assert x0 - 0.5 <= x < x0 + width
        assert y0 - 0.5 <= y < y0 + height


def test_crops_want_the_picture(blocks):
    encoder, decoder = open_fake()
    with pytest.raises(PromptError, match="generate_image_masks"):
        run_to_end(generate_masks(decoder, encoder.encode(blocks), AutomaticSettings(crop_layers=1)))


def test_small_regions_go_and_duplicates_that_this_makes(blocks):
    speckled = blocks.copy()
    speckled[45:50, 45:50] = 128
    encoder, decoder = open_fake()
    kept, filled = (
        run_to_end(generate_masks(decoder, encoder.encode(speckled), replace(FEW, smallest_region_px=size)))
        for size in (0, 60)
    )
    truth = box_mask(BLOCKS[0], blocks.shape[:2])
    assert not any(
        np.array_equal(each.mask, truth) or each.mask[47, 47] for each in kept if iou(each.mask, truth) > 0.8
    )
    (block,) = [each for each in filled if iou(each.mask, truth) > 0.8]
    assert block.mask[47, 47]
    assert block.area_px == block.mask.sum()


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt.click(40, 45),
        Prompt.box(18, 28, 82, 72),
        Prompt(np.array([[30, 40], [70, 60], [120, 60]], np.float32), np.array([1, 1, 0], np.int8)),
    ],
    ids=["click", "box", "clicks"],
)
def test_one_prompt_is_one_mask(blocks, prompt):
    encoder, decoder = open_fake()
    found = segment_prompt(decoder, encoder.encode(blocks), prompt)
    assert iou(found.mask, box_mask(BLOCKS[0], blocks.shape[:2])) > 0.8
    assert found.point_coords == tuple((float(x), float(y)) for x, y in prompt.points_px[prompt.labels == 1])


def test_a_box_is_cut_to_the_picture_and_refused_beside_it(blocks):
    encoder, decoder = open_fake()
    embedding = encoder.encode(blocks)
    x0, y0 = BLOCKS[0][:2]
    beyond, within = (
        segment_prompt(decoder, embedding, Prompt.box(*edges, 80, 70)) for edges in ((-900, -900), (0, 0))
    )
    assert np.array_equal(beyond.mask, within.mask)
    assert within.mask[y0 + 5, x0 + 5]
    with pytest.raises(PromptError, match="outside the 200 x 160 picture"):
        segment_prompt(decoder, embedding, Prompt.box(200, 5, 300, 50))


@pytest.mark.parametrize("size", [(1, 1), (2, 300)])
def test_the_smallest_pictures_and_engines_with_one_mask_are_fine(size):
    encoder, decoder = open_fake(masks=1)
    image = np.zeros((*size, 3), np.uint8)
    lenient = AutomaticSettings(points_per_side=2, least_predicted_iou=0, least_stability=0)
    (found,) = run_to_end(generate_image_masks(encoder, decoder, image, lenient))
    assert found.mask.shape == size
    decoder.close()
    with pytest.raises(EngineClosed):
        run_to_end(generate_image_masks(encoder, decoder, image, lenient))


@pytest.mark.parametrize(
    ("field", "value"),
    [("points_per_side", 0), ("least_predicted_iou", float("nan")), ("crop_layers", 5), ("crop_overlap", 1.0)],
)
def test_settings_that_cannot_be_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        AutomaticSettings(**{field: value})


class Plain:
    """An engine of MobileSAM's modules, so that no graph is built for a test."""

    def __init__(self, reference):
        self.reference = reference

    def encode(self, image):
        letterbox = Letterbox(image.shape[1], image.shape[0], picture_side=512)
        return Embedding("plain", letterbox, self.reference.encode(image, letterbox))

    def decode(self, embedding, prompts):
        return [self.reference.decode(embedding.tensors, embedding.letterbox, prompt) for prompt in prompts]


def test_mobile_sam_finds_the_objects_of_a_picture(sam, picture):
    from tests.engines.networks.model import PlainEngine

    engine = Plain(PlainEngine(sam))
    found = run_to_end(generate_image_masks(engine, engine, picture, AutomaticSettings(points_per_side=4)))
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    disc = (rows - 90) ** 2 + (columns - 106) ** 2 <= 40**2
    for truth in (disc, box_mask((200, 50, 91, 91), picture.shape[:2])):
        assert sum(iou(each.mask, truth) > 0.85 for each in found) == 1
