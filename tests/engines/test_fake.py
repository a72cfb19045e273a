"""Tests the fake engine: masks follow the picture, prompts count, and it keeps the contract of engines."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import Decoder, Embedding, Encoder, EngineClosed, ForeignEmbedding, MaskCandidates, Prompt, PromptError
from engines.fake import FakeDecoder, FakeEncoder, open_fake
from engines.load import load
from engines.settings import EngineSettings

GREY, RED, GREEN, BLUE = (90, 90, 90), (40, 40, 210), (40, 190, 40), (220, 80, 40)


def scene(width: int = 320, height: int = 240) -> np.ndarray:
    """Draw grey noise with a red disc, two equal green rectangles, and a blue bar, BGR."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = GREY
    rows, columns = np.ogrid[:height, :width]
    image[(columns - 80) ** 2 + (rows - 80) ** 2 < 40**2] = RED
    image[150:200, 40:100] = GREEN
    image[150:200, 200:260] = GREEN
    image[20:30, 150:300] = BLUE
    noise = np.random.default_rng(3).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def mask(candidates: MaskCandidates, index: int | None = None) -> np.ndarray:
    best = candidates.best_index if index is None else index
    return candidates.letterbox.logits_to_picture(candidates.logits[best]) > 0


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.fixture
def pair() -> tuple[FakeEncoder, FakeDecoder]:
    return open_fake()


@pytest.fixture
def embedding(pair: tuple[FakeEncoder, FakeDecoder]) -> Embedding:
    return pair[0].encode(scene())


def red_disc() -> np.ndarray:
    rows, columns = np.ogrid[:240, :320]
    return (columns - 80) ** 2 + (rows - 80) ** 2 < 40**2


def test_keeps_the_protocols(pair: tuple[FakeEncoder, FakeDecoder]) -> None:
    assert isinstance(pair[0], Encoder)
    assert isinstance(pair[1], Decoder)
    assert pair[0].info == pair[1].info
    assert pair[0].info.masks == 4


def test_a_click_segments_the_object_under_it(pair: tuple[FakeEncoder, FakeDecoder], embedding: Embedding) -> None:
    (found,) = pair[1].decode(embedding, [Prompt.click(80, 80)])
    assert found.logits.shape == (4, 256, 256)
    assert found.logits.dtype == np.float32
    assert iou(mask(found), red_disc()) > 0.9
    assert found.predicted_iou[found.best_index] > 0.8


def test_like_colours_elsewhere_stay_out(pair: tuple[FakeEncoder, FakeDecoder], embedding: Embedding) -> None:
    (found,) = pair[1].decode(embedding, [Prompt.click(70, 175)])
    assert mask(found)[175, 70]
    assert not mask(found)[175, 230]


def test_candidates_grow_from_part_to_whole(pair: tuple[FakeEncoder, FakeDecoder]) -> None:
    ramp = np.repeat(np.linspace(20, 235, 320, dtype=np.uint8)[None, :], 240, 0)
    (found,) = pair[1].decode(pair[0].encode(np.dstack([ramp] * 3)), [Prompt.click(160, 120)])
    part, middle, whole = ((found.logits[i] > 0) for i in (1, 2, 3))
    assert part.sum() < middle.sum() < whole.sum()
    assert not (part & ~middle).any()
    assert not (middle & ~whole).any()


def test_a_plain_picture_is_trusted_less_than_an_object(
    pair: tuple[FakeEncoder, FakeDecoder], embedding: Embedding
) -> None:
    on, off = pair[1].decode(embedding, [Prompt.click(80, 80), Prompt.click(310, 230)])
    assert on.predicted_iou.max() > off.predicted_iou.max()


def test_a_negative_point_takes_its_side_away(pair: tuple[FakeEncoder, FakeDecoder]) -> None:
    image = np.full((200, 200, 3), 120, np.uint8)
    points = np.array([[50, 100], [150, 100]], np.float32)
    (both,) = pair[1].decode(pair[0].encode(image), [Prompt(points, np.array([1, 0], np.int8))])
    assert mask(both, 3)[100, 50]
    assert not mask(both, 3)[100, 150]
    assert not mask(both, 3)[:, 110:].any()


def test_a_box_holds_the_mask_in(pair: tuple[FakeEncoder, FakeDecoder], embedding: Embedding) -> None:
    (found,) = pair[1].decode(embedding, [Prompt.box(38, 38, 122, 122)])
    assert iou(mask(found), red_disc()) > 0.85
    (cut,) = pair[1].decode(embedding, [Prompt.box(80, 38, 122, 122)])
    assert not mask(cut)[:, :76].any()


def test_an_earlier_mask_counts(pair: tuple[FakeEncoder, FakeDecoder]) -> None:
    ramp = np.repeat(np.linspace(20, 235, 320, dtype=np.uint8)[None, :], 240, 0)
    embedding = pair[0].encode(np.dstack([ramp] * 3))
    left = np.full((256, 256), -10, np.float32)
    left[:, :128] = 10
    plain, biased = pair[1].decode(embedding, [Prompt.click(160, 120), Prompt.click(160, 120, mask_logits=left)])
    assert (biased.logits[2] > 0)[:, 128:].sum() < (plain.logits[2] > 0)[:, 128:].sum()
    assert (biased.logits[2] > 0)[:, :128].sum() > (plain.logits[2] > 0)[:, :128].sum()


def test_only_background_points_still_give_a_mask(pair: tuple[FakeEncoder, FakeDecoder], embedding: Embedding) -> None:
    prompt = Prompt(np.array([[80, 80]], np.float32), np.zeros(1, np.int8))
    (found,) = pair[1].decode(embedding, [prompt])
    assert not mask(found)[80, 80]


def test_one_mask_where_asked() -> None:
    encoder, decoder = open_fake(masks=1)
    (found,) = decoder.decode(encoder.encode(scene()), [Prompt.click(80, 80)])
    assert found.logits.shape == (1, 256, 256)
    assert iou(mask(found), red_disc()) > 0.9
    with pytest.raises(ValueError, match="4 or 1, got 3"):
        open_fake(masks=3)


@pytest.mark.parametrize(("size", "point"), [((196, 2), (0, 1)), ((2, 196), (1, 0)), ((300, 1), (299, 0))])
def test_a_point_at_the_edge_of_a_thin_picture_is_in_every_mask(size: tuple[int, int], point: tuple[int, int]) -> None:
    encoder, decoder = open_fake()
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    (found,) = decoder.decode(encoder.encode(image), [Prompt.click(*point)])
    assert [bool(mask(found, index)[point[1], point[0]]) for index in range(4)] == [True] * 4


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 300), st.integers(1, 300), st.integers(0, 9))
def test_any_size_and_any_point(data: st.DataObject, width: int, height: int, seed: int) -> None:
    encoder, decoder = open_fake()
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    embedding = encoder.encode(image)
    (first,), (again,) = (decoder.decode(embedding, [Prompt.click(x, y)]) for _ in range(2))
    assert np.isfinite(first.logits).all()
    assert ((first.predicted_iou >= 0) & (first.predicted_iou <= 1)).all()
    assert np.array_equal(first.logits, again.logits)
    assert np.array_equal(first.predicted_iou, again.predicted_iou)
    for index in range(4):
        assert mask(first, index)[y, x]


def test_invalid_input_is_refused(pair: tuple[FakeEncoder, FakeDecoder], embedding: Embedding) -> None:
    encoder, decoder = pair
    with pytest.raises(PromptError, match="no prompt"):
        decoder.decode(embedding, [])
    with pytest.raises(PromptError, match="outside the 320 x 240"):
        decoder.decode(embedding, [Prompt.click(320, 10)])
    with pytest.raises(PromptError, match="uint8"):
        encoder.encode(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ForeignEmbedding, match=embedding.engine_id):
        open_fake()[1].decode(embedding, [Prompt.click(1, 1)])


def test_closed_is_closed(pair: tuple[FakeEncoder, FakeDecoder], embedding: Embedding) -> None:
    for engine in pair:
        engine.close()
        engine.close()
    with pytest.raises(EngineClosed):
        pair[0].encode(scene())
    with pytest.raises(EngineClosed):
        pair[1].decode(embedding, [Prompt.click(1, 1)])


def test_delays_are_kept() -> None:
    encoder, decoder = open_fake(encode_delay_s=0.05, decode_delay_s=0.03)
    start_s = time.monotonic()
    embedding = encoder.encode(scene(16, 16))
    encoded_s = time.monotonic()
    decoder.decode(embedding, [Prompt.click(1, 1)])
    assert encoded_s - start_s >= 0.05
    assert time.monotonic() - encoded_s >= 0.03


def test_is_opened_by_name() -> None:
    encoder, decoder = load(EngineSettings(backend="fake"), None)
    (found,) = decoder.decode(encoder.encode(scene()), [Prompt.click(80, 80)])
    assert iou(mask(found), red_disc()) > 0.9
