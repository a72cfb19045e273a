"""Tests in ONNX Runtime that typed graphs compute the same as the float32 graph, within their format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.measure_padding import natural_noise
from engines import EngineUnavailable, ModelError
from engines.graph_store import GraphStore
from engines.graphs import ABSENT, DecoderGraph, EncoderGraph, LetterboxGraph
from engines.letterbox import Letterbox
from engines.letterbox_graph import letterbox_graph
from engines.models.ranges import measure_ranges
from engines.number_formats import find_quantisable_layers, retype_graph

ort = pytest.importorskip("onnxruntime")
ENCODER, DECODER = EncoderGraph(128, 224), DecoderGraph(8, 14, 1, 2, False)
PICTURE = natural_noise(3, 128, 224)


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip((each.name for each in session.get_outputs()), session.run(None, inputs), strict=True))


def error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found.astype(np.float32) - wanted) / np.linalg.norm(wanted))


@pytest.fixture(scope="module")
def store(weights_folder: Path, engine_cache: Path) -> GraphStore:
    """Provide the store whose graphs the runner's tests share."""
    return GraphStore(weights_folder, "mobile_sam", engine_cache, lambda line: None)


@pytest.fixture(scope="module")
def exact(store) -> dict[str, np.ndarray]:
    return run(store.onnx_model(ENCODER), {"image": PICTURE})


def test_a_float16_encoder_is_off_by_rounding_only(store, exact):
    found = run(retype_graph(store.onnx_model(ENCODER), "f16"), {"image": PICTURE})
    for name, wanted in exact.items():
        assert found[name].dtype == np.float16
        assert error(found[name], wanted) < 0.005


def test_an_int8_encoder_is_off_by_little(store, exact):
    ranges = measure_ranges(store.onnx_model(ENCODER), ENCODER, [PICTURE])
    assert set(ranges) == set(find_quantisable_layers(store.onnx_model(ENCODER).graph))
    assert all(value > 0 for value in ranges.values())
    found = run(retype_graph(store.onnx_model(ENCODER), "int8", ranges), {"image": PICTURE})
    assert 0.001 < error(found["keys"], exact["keys"]) < 0.1


def test_ranges_are_needed_and_complete(store):
    with pytest.raises(EngineUnavailable, match="needs measured ranges"):
        retype_graph(store.onnx_model(ENCODER), "int8")
    with pytest.raises(EngineUnavailable, match=r"no range was measured for encoder\."):
        retype_graph(store.onnx_model(ENCODER), "fp8", {"encoder.somewhere": 1.0})


def test_a_float16_decoder_gives_the_same_masks(store, exact):
    rng = np.random.default_rng(0)
    prompt = rng.normal(size=(1, 2, 256)).astype(np.float32)
    absent = np.array([[0, ABSENT]], np.float32)
    wanted = run(store.onnx_model(DECODER), {**exact, "prompt": prompt, "absent": absent})
    half = {name: value.astype(np.float16) for name, value in exact.items()}
    found = run(retype_graph(store.onnx_model(DECODER), "f16"), {**half, "prompt": prompt, "absent": absent})
    assert found["logits_out"].dtype == np.float32
    for name, value in wanted.items():
        assert error(found[name], value) < 0.01
    # A token that is not there changes nothing, though -1e9 is past float16.
    other = prompt.copy()
    other[0, 1] += 3
    again = run(retype_graph(store.onnx_model(DECODER), "f16"), {**half, "prompt": other, "absent": absent})
    np.testing.assert_array_equal(again["logits_out"], found["logits_out"])


def test_the_last_norm_of_the_neck_does_not_fit_into_float16(sam):
    """It must stay float32: its sums exceed 65504 on an ordinary picture."""
    import torch

    from tests.engines.networks.model import normalised

    seen = []
    hook = sam.image_encoder.neck[3].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    try:
        with torch.inference_mode():
            sam.image_encoder(normalised(torch.from_numpy(natural_noise(3, 576, 1024))))
    finally:
        hook.remove()
    assert float(seen[0].square().sum(-1).max()) > float(np.finfo(np.float16).max)


def test_a_weight_that_float16_cannot_hold_is_refused():
    weight = numpy_helper.from_array(np.full((2, 2), 1e5, np.float32), "big")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "big"], ["y"], "m")], "g", [values[0]], [values[1]], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    with pytest.raises(ModelError, match="past float16; choose bf16 or f32"):
        retype_graph(model, "f16")


def test_bfloat16_rounds_to_nearest_even():
    from engines.number_formats import _tensor

    values = np.array([1.0, 1.00390625, 1.01171875, -3.14159, 239.7, 1e-30], np.float32)
    wide = numpy_helper.to_array(_tensor("wide", values, TensorProto.BFLOAT16)).astype(np.float32)
    np.testing.assert_allclose(wide, values, rtol=2**-8)
    assert list(wide[:3]) == [1.0, 1.0, 1.015625]


@pytest.mark.parametrize("size", [(1280, 720), (854, 480), (90, 160), (1, 1), (2000, 301)])
def test_resizing_in_a_graph_is_the_letterboxs(size):
    width, height = size
    box = Letterbox(width, height, picture_side=448)
    columns, rows = box.content_size
    frame = natural_noise(1, min(height, 1024), min(width, 1024))
    frame = np.resize(frame, (height, width, 3))
    found = run(letterbox_graph(LetterboxGraph(height, width, rows, columns)), {"frame": frame})["image"]
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - box.resize(frame)).max() <= 1
