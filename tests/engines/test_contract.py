"""Tests the contract of engines, on every engine that can run here."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import (
    Embedding,
    EngineClosed,
    EngineSettings,
    EngineUnavailable,
    ForeignEmbedding,
    ModelError,
    Prompt,
    PromptError,
    load,
)
from engines.batching import as_batch_decoder, as_batch_encoder

CLICK = Prompt.click(106, 90)
EMPTY = (np.zeros((0, 2), np.float32), np.zeros(0, np.int8))


@pytest.fixture(scope="module")
def embedding(engine, picture) -> Embedding:
    return engine[0].encode(picture)


def test_info_describes_the_engine(engine):
    encoder, decoder = engine
    assert encoder.info == decoder.info
    assert encoder.info.masks in (1, 4)
    assert set(encoder.info.threads) >= {"encoder", "decoder"} or encoder.info.backend == "fake"


def test_a_click_segments_the_object_under_it(engine, embedding):
    (found,) = engine[1].decode(embedding, [CLICK])
    assert found.logits.shape == (engine[1].info.masks, 256, 256)
    assert found.logits.dtype == np.float32
    assert found.predicted_iou.shape == (engine[1].info.masks,)
    mask = found.letterbox.logits_to_picture(found.logits[found.best_index]) > 0
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    disc = (columns - 106) ** 2 + (rows - 90) ** 2 <= 40**2
    assert (mask & disc).sum() / (mask | disc).sum() > 0.85


def test_masks_exclude_the_padding(engine, embedding):
    (found,) = engine[1].decode(embedding, [CLICK])
    if engine[1].info.masks == 4:
        assert (found.logits[:, 146:] < 0).all()


def test_a_box_segments_its_object(engine, embedding):
    (found,) = engine[1].decode(embedding, [Prompt.box(198, 48, 292, 142)])
    mask = found.letterbox.logits_to_picture(found.logits[found.best_index]) > 0
    assert mask[95, 245]
    assert not mask[95, 106]


def test_prompts_together_are_as_prompts_alone(engine, embedding):
    prompts = [CLICK, Prompt.click(245, 95), Prompt.box(60, 45, 150, 135), Prompt.click(20, 20), CLICK]
    together = engine[1].decode(embedding, prompts)
    assert len(together) == len(prompts)
    for prompt, found in zip(prompts, together, strict=True):
        (alone,) = engine[1].decode(embedding, [prompt])
        scale = max(1.0, float(np.abs(alone.logits).max()))
        assert np.abs(alone.logits - found.logits).max() / scale < 0.05
        assert np.abs(alone.predicted_iou - found.predicted_iou).max() < 0.03


def test_a_previous_mask_is_taken_in(engine, embedding):
    (first,) = engine[1].decode(embedding, [CLICK])
    again = replace(CLICK, mask_logits=first.logits[first.best_index])
    (second, plain) = engine[1].decode(embedding, [again, CLICK])
    a, b = first.logits[first.best_index] > 0, second.logits[second.best_index] > 0
    assert (a & b).sum() / (a | b).sum() > 0.7
    assert np.abs(plain.predicted_iou - first.predicted_iou).max() < 0.03


def test_results_are_the_callers_to_keep(engine, embedding, picture):
    (first,) = engine[1].decode(embedding, [CLICK])
    kept = first.logits.copy()
    engine[1].decode(embedding, [Prompt.click(245, 95)])
    engine[0].encode(255 - picture)
    (again,) = engine[1].decode(embedding, [CLICK])
    np.testing.assert_array_equal(first.logits, kept)
    np.testing.assert_allclose(again.logits, kept, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (90, 160)], ids=["one pixel", "portrait"])
def test_other_shapes_work(engine, size):
    width, height = size
    image = np.full((height, width, 3), 90, np.uint8)
    image[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 240
    (found,) = engine[1].decode(engine[0].encode(image), [Prompt.click(width // 3, height // 3)])
    assert np.isfinite(found.logits).all()
    assert found.letterbox.logits_to_picture(found.logits[0]).shape == (height, width)


def test_encoder_and_decoder_run_at_once(engine, embedding, picture):
    (wanted,) = engine[1].decode(embedding, [CLICK])
    done = threading.Event()

    def encode() -> None:
        engine[0].encode(picture)
        done.set()

    worker = threading.Thread(target=encode)
    worker.start()
    while True:
        (found,) = engine[1].decode(embedding, [CLICK])
        np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-3)
        if done.is_set():
            break
    worker.join()


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), None],
    ids=["grey", "float", "empty", "none"],
)
def test_an_invalid_picture_is_refused(engine, image):
    with pytest.raises(PromptError, match="picture"):
        engine[0].encode(image)


def test_no_prompt_is_refused(engine, embedding):
    with pytest.raises(PromptError, match="at least one"):
        engine[1].decode(embedding, [])
    with pytest.raises(PromptError, match="empty"):
        Prompt(*EMPTY)


@pytest.mark.parametrize("point", [(-1, 10), (320, 10), (10, 180)])
def test_a_point_outside_is_refused(engine, embedding, point):
    with pytest.raises(PromptError, match="outside the 320 x 180 picture"):
        engine[1].decode(embedding, [Prompt.click(*point)])


def test_a_foreign_embedding_is_refused(engine, embedding):
    with pytest.raises(ForeignEmbedding, match="opened together"):
        engine[1].decode(replace(embedding, engine_id="another"), [CLICK])


def test_many_points_work_and_too_many_are_refused(engine, embedding):
    def points(count: int) -> Prompt:
        places = np.stack([np.linspace(80, 130, count), np.full(count, 90)], 1).astype(np.float32)
        return Prompt(places, np.ones(count, np.int8))

    (found,) = engine[1].decode(embedding, [points(6)])
    assert found.letterbox.logits_to_picture(found.logits[found.best_index])[90, 106] > 0
    if engine[1].info.masks == 4 and engine[1].info.backend != "fake":
        with pytest.raises(PromptError, match="at most 64"):
            engine[1].decode(embedding, [points(70)])


@pytest.mark.parametrize("name", ["fake", "stock", "openvino", "onnxruntime", "torch"])
def test_a_closed_engine_raises(name, request, engine_cache, picture):
    folder = None if name == "fake" else request.getfixturevalue("weights_folder")
    try:
        encoder, decoder = load(EngineSettings(name, cache_dir=engine_cache), folder)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    for half in (encoder, decoder, encoder, decoder):
        half.close()
    with pytest.raises(EngineClosed, match="the engine again"):
        encoder.encode(picture)
    with pytest.raises(EngineClosed, match="the engine again"):
        decoder.decode(Embedding(decoder.info.engine_id, None, None), [CLICK])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["stock", "openvino", "onnxruntime", "torch"])
def test_a_folder_without_weights_is_refused(name, tmp_path: Path):
    with pytest.raises((ModelError, EngineUnavailable), match=r"encoder\.onnx|not installed"):
        load(EngineSettings(name, cache_dir=tmp_path), tmp_path, frame_size=(64, 36))


@pytest.mark.parametrize("name", ["stock", "openvino"])
def test_a_truncated_weight_file_is_refused(name, tmp_path: Path, weights_folder: Path):
    for file in ("encoder.onnx", "sam.onnx"):
        whole = (weights_folder / file).read_bytes()
        (tmp_path / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="fetch it again"):
        load(EngineSettings(name, cache_dir=tmp_path / "cache"), tmp_path, frame_size=(64, 36))


def test_an_unknown_backend_is_refused():
    with pytest.raises(EngineUnavailable, match="choose one of"):
        load(EngineSettings("abacus"), None)  # type: ignore[arg-type]


def differ(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / max(1.0, float(np.abs(one).max())))


def test_pictures_together_are_as_pictures_alone(engine, picture):
    encoder, decoder = as_batch_encoder(engine[0]), as_batch_decoder(engine[1])
    pictures = [picture, 255 - picture, picture[::-1].copy()]
    together = encoder.encode_batch([encoder.stage(each) for each in pictures])
    requests = [decoder.stage(each, [CLICK]) for each in together]
    batch = decoder.decode_batch(requests)
    assert len(together) == len(batch) == len(pictures)
    is_exact = engine[0].info.backend in ("fake", "stock")
    for each, (found,) in zip(pictures, batch, strict=True):
        (alone,) = engine[1].decode(engine[0].encode(each), [CLICK])
        assert differ(alone.logits, found.logits) <= (0 if is_exact else 0.05)
        assert np.abs(alone.predicted_iou - found.predicted_iou).max() <= (0 if is_exact else 0.03)
    assert differ(batch[0][0].logits, batch[1][0].logits) > 0.05  # no picture got another's mask
    assert differ(batch[0][0].logits, batch[2][0].logits) > 0.05


def test_prompts_with_masks_are_decoded_together(engine, picture):
    decoder = as_batch_decoder(engine[1])
    embeddings = [engine[0].encode(each) for each in (picture, 255 - picture)]
    first = [engine[1].decode(each, [CLICK])[0] for each in embeddings]
    prompts = [replace(CLICK, mask_logits=found.logits[found.best_index]) for found in first]
    batch = decoder.decode_batch(
        [decoder.stage(*each) for each in zip(embeddings, [[p] for p in prompts], strict=True)]
    )
    for embedding, prompt, (found,) in zip(embeddings, prompts, batch, strict=True):
        (alone,) = engine[1].decode(embedding, [prompt])
        assert differ(alone.logits, found.logits) < 0.05


def test_what_is_staged_is_checked(engine, embedding):
    encoder, decoder = as_batch_encoder(engine[0]), as_batch_decoder(engine[1])
    with pytest.raises(PromptError, match="picture"):
        encoder.stage(np.zeros((4, 4), np.uint8))
    with pytest.raises(PromptError, match="at least one"):
        decoder.stage(embedding, [])
    with pytest.raises(ForeignEmbedding):
        decoder.stage(replace(embedding, engine_id="another"), [CLICK])
