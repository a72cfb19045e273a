"""The decoder that learns is the one that engines run, and its weights come back into their graphs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engines import EngineSettings, EngineUnavailable, ModelError, Prompt, load
from engines.graph_store import GraphStore
from engines.graphs import EncoderGraph
from engines.models.safetensors import pack_safetensors, read_safetensors
from engines.models.weight_arrays import read_arrays

torch = pytest.importorskip("torch")
pytest.importorskip("openvino")

from engines.tuning import decoder_tuning  # noqa: E402
from engines.tuning.decoder_tuning import (  # noqa: E402
    DecoderExample,
    TuningSettings,
    choose_share,
    tune_decoder,
)
from engines.tuning.trainable_decoder import TrainableDecoder, encode_mask_prompt  # noqa: E402
from engines.tuning.weight_shares import MAX_LOSS, SHARES  # noqa: E402
from tests.realtime import scene  # noqa: E402


@pytest.fixture(scope="module")
def engine(weights_folder, engine_cache):
    settings = EngineSettings(precision="f32", picture_side=256, decoder_threads=1, cache_dir=engine_cache)
    encoder, decoder = load(settings, weights_folder)
    yield settings, encoder, decoder
    encoder.close()
    decoder.close()


def make_example(encoder, index, prompt=None):
    image = scene.picture(index)
    embedding = encoder.encode(image)
    rows, columns = EncoderGraph.of(embedding.letterbox).tokens
    tokens, absent = encoder.tokens(embedding.letterbox, [prompt or Prompt.click(*scene.centre(index))])
    mask = np.zeros((4 * rows, 4 * columns), np.bool_)
    mask[: 2 * rows] = True  # half the picture, which no candidate is
    return embedding, DecoderExample(encoder.keys(embedding), (rows, columns), tokens[0], absent[0], mask)


@pytest.mark.parametrize("is_correction", [False, True])
def test_the_decoder_that_learns_is_that_of_the_graphs(engine, weights_folder, is_correction):
    _, encoder, decoder = engine
    arrays = read_arrays(weights_folder, "mobile_sam")
    prompt = Prompt.click(*scene.centre(3))
    embedding, example = make_example(encoder, 3, prompt)
    if is_correction:
        (before,) = decoder.decode(embedding, [prompt])
        points, labels = np.array([scene.centre(3), (20, 20)], np.float32), np.array([1, 0], np.int8)
        prompt = Prompt(points, labels, mask_logits=before.logits[2])
        _, example = make_example(encoder, 3, prompt)
        example = replace(example, keys=example.keys + encode_mask_prompt(arrays, before.logits[2], example.tokens_px))
    (wanted,) = decoder.decode(embedding, [prompt])
    trainable = TrainableDecoder(arrays, "decoder")
    with torch.no_grad():
        logits, iou = trainable.decode(
            torch.from_numpy(example.keys), torch.from_numpy(example.tokens[None]),
            torch.from_numpy(example.absent[None]), example.tokens_px,
        )  # fmt: skip
    height, width = logits.shape[2:]
    assert np.abs(logits[0].numpy() - wanted.logits[:, :height, :width]).max() < 1e-2
    assert np.abs(iou[0].numpy() - wanted.predicted_iou).max() < 1e-4


@pytest.mark.parametrize("is_correction", [False, True])
def test_tuning_learns_a_mask_and_an_engine_runs_what_was_learned(engine, weights_folder, tmp_path, is_correction):
    settings, encoder, decoder = engine
    embedding, example = make_example(encoder, 3)
    example = replace(example, is_correction=is_correction)
    arrays = read_arrays(weights_folder, "mobile_sam")
    chosen = TuningSettings(rate=3e-4, epochs=4, batch=1)
    tuned, epoch = tune_decoder(arrays, "decoder", [example], [example], chosen, lambda done, total: True)
    assert epoch > 0
    assert set(tuned) <= set(arrays)
    file = tmp_path / "a.adapter"
    file.write_bytes(pack_safetensors(tuned, {"gazecast": json.dumps({})}))
    other = load(replace(settings, adapter=file), weights_folder)
    assert other[0].info.versions["adapter"]
    again = other[0].encode(scene.picture(3))
    prompt = Prompt.click(*scene.centre(3))
    height, width = example.mask.shape

    def best_iou(candidates):
        answers = candidates.logits[:1] if is_correction else candidates.logits[1:]
        masks = answers[:, :height, :width] > 0
        return max(float((m & example.mask).sum() / max((m | example.mask).sum(), 1)) for m in masks)

    assert best_iou(other[1].decode(again, [prompt])[0]) > best_iou(decoder.decode(embedding, [prompt])[0])


def test_a_stop_keeps_the_old_weights(engine, weights_folder):
    _, example = make_example(engine[1], 3)
    arrays = read_arrays(weights_folder, "mobile_sam")
    tuned, epoch = tune_decoder(arrays, "iou", [example] * 4, [example], TuningSettings(), lambda done, total: False)
    assert epoch == 0
    assert all((tuned[name] == arrays[name]).all() for name in tuned)
    assert all(name.startswith(("mask_decoder.iou", "mask_decoder.mask_tokens")) for name in tuned)


@pytest.mark.parametrize(
    ("own", "others", "wanted"),
    [
        ({0.15: 0.9, 0.25: 0.8, 0.35: 0.7, 0.5: 0.6}, {}, 0.5),
        ({0.15: 0.9, 0.25: 0.7, 0.35: 0.8, 0.5: 0.8}, {}, 0.25),
        ({0.15: 0.9, 0.25: 0.8, 0.35: 0.7, 0.5: 0.6}, {0.35: -2 * MAX_LOSS}, 0.25),
        ({0.15: 0.9, 0.25: 0.8, 0.35: 0.7, 0.5: 0.6}, {0.15: -2 * MAX_LOSS}, 0.0),
        ({0.15: 1.1, 0.25: 1.2, 0.35: 1.3, 0.5: 1.4}, {}, 0.0),
    ],
)
def test_the_share_is_the_best_on_held_out_masks_below_the_first_that_forgets(own, others, wanted, monkeypatch):
    name = "mask_decoder.iou_token.weight"
    assert set(own) == set(SHARES)

    def read_share(decoder):
        return round(float(decoder.weights[name].detach()[0]), 2)

    monkeypatch.setattr(decoder_tuning, "_measure", lambda decoder, _: {0.0: 1.0, **own}[read_share(decoder)])
    monkeypatch.setattr(decoder_tuning, "measure_choice", lambda decoder, _: 0.7 + others.get(read_share(decoder), 0))
    arrays, tuned = {name: np.zeros(1, np.float32)}, {name: np.ones(1, np.float32)}
    assert choose_share(arrays, "decoder", tuned, [], []) == wanted


def test_the_cache_tells_adapters_apart_and_other_weights_are_refused(weights_folder, tmp_path):
    files = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    shape = read_arrays(weights_folder, "mobile_sam")["mask_decoder.iou_token.weight"].shape
    files[0].write_bytes(pack_safetensors({"mask_decoder.iou_token.weight": np.zeros(shape, np.float32)}, {}))
    files[1].write_bytes(pack_safetensors({"mask_decoder.iou_token.weight": np.ones(shape, np.float32)}, {}))
    files[2].write_bytes(pack_safetensors({"image_encoder.neck.1.weight": np.ones(256, np.float32)}, {}))

    def store(adapter):
        return GraphStore(weights_folder, "mobile_sam", tmp_path, lambda line: None, adapter=adapter)

    keys = [store(adapter).key() for adapter in (None, *files[:2])]
    assert len({str(key) for key in keys}) == 3
    files[0].write_bytes(pack_safetensors(read_safetensors(files[0]), {"gazecast": "a ranker beside the weights"}))
    assert store(files[0]).key() == keys[1], "the same weights are the same engine"
    assert (store(files[1]).arrays["mask_decoder.iou_token.weight"] == 1).all()
    with pytest.raises(ModelError, match=r"neck\.1\.weight does not fit"):
        _ = store(files[2]).arrays
    files[2].write_bytes(pack_safetensors({"mask_decoder.iou_token.weight": np.full(shape, np.nan, np.float32)}, {}))
    with pytest.raises(ModelError, match=r"is damaged: .* not finite; learn it again"):
        _ = store(files[2]).arrays
    with pytest.raises(ModelError, match="not a readable"):
        store(tmp_path / "none")


def test_the_fake_engine_has_no_place_for_learned_weights(tmp_path):
    with pytest.raises(EngineUnavailable, match="learned weights"):
        load(EngineSettings(backend="fake", adapter=tmp_path / "a"), None)
