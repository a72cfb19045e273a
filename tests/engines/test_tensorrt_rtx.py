"""Tests every graph in every number format: TensorRT-RTX parses and builds it on this machine's CPU.

Proves that TensorRT takes the graphs, that every layer has the type that was meant, and that plans come of them for
Ampere, Ada and Blackwell ahead of time. Proves nothing about kernels: those run on GPUs alone.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from engines import EngineSettings, EngineUnavailable, ModelError, load
from engines.backends.tensorrt.build import build_plan, parse_onnx
from engines.backends.tensorrt.layers import FLOATS, QUANTIZED_TYPES, find_wrong_types, read_layers
from engines.backends.tensorrt.library import TensorRtLibrary, find_library, make_logger
from engines.graph_store import GraphStore
from engines.graphs import BATCHES, DecoderGraph, EncoderGraph, LetterboxGraph
from engines.number_formats import LESS_MEAN, find_linear_layers, retype_graph

trt = pytest.importorskip("tensorrt_rtx_bindings")
torch = pytest.importorskip("torch")

TARGETS = ("8.6", "8.9", "12.0")
"""Ampere, Ada and Blackwell, all in one plan."""
FORMATS = ("f32", "f16", "bf16", "int8", "fp8")
ENCODERS = (EncoderGraph(576, 1024), EncoderGraph(1024, 683), EncoderGraph(288, 512), EncoderGraph(1024, 1024))
"""Sizes with surroundings below, to the right, on both sides, and none."""
DECODERS = (
    *(DecoderGraph(36, 64, batch, 2, False) for batch in BATCHES),
    DecoderGraph(36, 64, 1, 2, True),
    DecoderGraph(64, 43, 1, 4, False),
    DecoderGraph(18, 32, 1, 2, False),
)
CASES = [
    *((ENCODERS[0], numbers) for numbers in FORMATS), (ENCODERS[1], "int8"), (ENCODERS[2], "f16"), (ENCODERS[3], "fp8"),
    *((DECODERS[0], numbers) for numbers in FORMATS[:3]), *((graph, "f16") for graph in DECODERS[1:]),
]  # fmt: skip
"""Every graph, and every format; writing a format does not depend on a graph's size."""


def open_library() -> TensorRtLibrary:
    found = find_library()
    return found if found.rtx else TensorRtLibrary(trt, "TensorRT-RTX", str(trt.__version__), True)


@pytest.fixture(scope="module")
def library() -> TensorRtLibrary:
    return open_library()


class Graphs(GraphStore):
    """Use arbitrary ranges: they change values and no types."""

    def typed_file(self, graph, numbers, **more):
        if numbers in QUANTIZED_TYPES and isinstance(graph, EncoderGraph) and not self.has_ranges(graph):
            self.save_ranges(graph, dict.fromkeys(find_linear_layers(self.onnx_model(graph).graph), 5.0))
        return super().typed_file(graph, numbers, **more)


@pytest.fixture(scope="module")
def store(weights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> GraphStore:
    return Graphs(weights_folder, "mobile_sam", tmp_path_factory.mktemp("typed"), lambda line: None)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAM's ViT-B, full width and grid, random weights, cut to a block of each kind: in windows, and everywhere."""
    from engines.models.onnx_graphs import build_graph
    from engines.models.sam_vit_graph import SHAPES, VitShape
    from engines.models.weight_arrays import ModelWeights
    from tests.engines.networks.model import SamModel
    from tests.engines.networks.sam_vit import SamVit

    torch.manual_seed(0)
    shape = VitShape(width=768, depth=2, heads=12, global_blocks=(1,))
    state = SamModel(SamVit(shape)).state_dict()
    weights = {name: torch.nn.init.normal_(value, std=0.02).numpy() for name, value in state.items()}
    file = tmp_path_factory.mktemp("vit") / "encoder.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHAPES, "sam_vit_b", shape)
        onnx.save(build_graph(EncoderGraph(576, 1024), "sam_vit_b", ModelWeights(weights, file), None), file)
    return file


def targets(library: TensorRtLibrary, numbers: str) -> list[object]:
    """fp8 came with Ada."""
    return [library.capability(compute) for compute in TARGETS if numbers != "fp8" or compute != "8.6"]


def parsed(library: TensorRtLibrary, file: Path):
    log = make_logger(library.trt)
    builder = library.trt.Builder(log)
    network = parse_onnx(library, builder, log, file)
    return read_layers(library.trt, network), (builder, network)


def check_types(library: TensorRtLibrary, file: Path, numbers: str, neck_norms: int, linear: int) -> None:
    """Count the expected operations, layer by layer, and find no others."""
    layers, _ = parsed(library, file)
    assert find_wrong_types(layers, numbers) == []
    found = Counter((layer.kind, *sorted(layer.formats)) for layer in layers)
    operators = Counter(node.op_type for node in onnx.load(file, load_external_data=False).graph.node)
    reduced = FLOATS[numbers]
    products = operators["MatMul"] + operators["Gemm"]
    assert found["MATRIX_MULTIPLY", reduced] == products > 0
    assert found["CONVOLUTION", reduced] == operators["Conv"]
    assert found["SOFTMAX", reduced] == operators["Softmax"] > 0
    # Native: one layer for one operation, not a chain that stands for it.
    assert found["ACTIVATION", reduced] == operators["Gelu"] + operators["Relu"] > 0
    kept = 0 if numbers == "f32" else neck_norms
    if kept:
        assert [layer.name for layer in layers if layer.kind == "ELEMENTWISE" and "FLOAT" in layer.formats] == [
            LESS_MEAN
        ]
    assert found["NORMALIZATION", reduced] == operators["LayerNormalization"] - kept
    assert operators["LayerNormalization"] > kept
    if kept:
        assert found["NORMALIZATION", "FLOAT"] == kept
    assert operators["Erf"] == operators["ReduceMean"] == 0
    made = {name: layer for layer in layers for name, _ in layer.outputs}

    def origin(name: str) -> str:
        """The kind of layer that a tensor comes from, but for a change of shape."""
        layer = made.get(name)
        return "" if layer is None else origin(layer.inputs[0][0]) if layer.kind == "SHUFFLE" else layer.kind

    quantised = [
        layer
        for layer in layers
        if layer.kind == "MATRIX_MULTIPLY" and {origin(name) for name, _ in layer.inputs} == {"DEQUANTIZE"}
    ]
    assert len(quantised) == linear
    narrow = [layer for layer in layers if QUANTIZED_TYPES.get(numbers) in {kind for _, kind in layer.outputs}]
    assert (len(narrow) > 0) == (linear > 0)


@pytest.mark.parametrize(("graph", "numbers"), CASES, ids=lambda value: getattr(value, "name", value))
def test_a_graph_has_the_types_that_are_meant_and_builds(library, store, graph, numbers):
    file = store.typed_file(graph, numbers)
    encoder = isinstance(graph, EncoderGraph)
    linear = 40 if encoder and numbers in QUANTIZED_TYPES else 0  # four in each of TinyViT's ten attention blocks
    check_types(library, file, numbers, 2 if encoder else 0, linear)
    assert len(build_plan(library, file, numbers, targets=targets(library, numbers))) > 1_000_000


@pytest.mark.parametrize("numbers", FORMATS)
def test_sams_own_encoder_has_the_types_that_are_meant_and_builds(library, vit, tmp_path, numbers):
    model = onnx.load(vit)
    ranges = dict.fromkeys(find_linear_layers(model.graph), 5.0)
    assert len(ranges) == 8
    file = tmp_path / "typed.onnx"
    onnx.save(retype_graph(model, numbers, ranges), file)
    check_types(library, file, numbers, 2, 8 if numbers in QUANTIZED_TYPES else 0)
    assert len(build_plan(library, file, numbers, targets=targets(library, numbers))) > 10_000_000


@pytest.mark.parametrize("size", [(720, 1280), (480, 854), (1, 1), (2160, 3840)])
def test_resizing_on_the_device_builds(library, store, size):
    width, height = store_content(size)
    file = store.typed_file(LetterboxGraph(*size, height, width), "f32")
    layers, _ = parsed(library, file)
    assert [layer.kind for layer in layers if layer.kind == "RESIZE"] == ["RESIZE"]
    assert layers[0].inputs[0][1] == layers[-1].outputs[0][1] == "UINT8"
    assert build_plan(library, file, "f32", targets=targets(library, "f32"))


def store_content(size: tuple[int, int]) -> tuple[int, int]:
    from engines.letterbox import Letterbox

    return Letterbox(size[1], size[0]).content_size


# -- what must fail ---------------------------------------------------------------------------------------------------


def test_a_float32_graph_does_not_pass_for_a_float16_one(library, store):
    with pytest.raises(ModelError, match=r"is not f16 as it was meant: layer .* is FLOAT instead of HALF"):
        build_plan(library, store.typed_file(DECODERS[0], "f32"), "f16", targets=targets(library, "f16"))


def test_one_layer_of_another_type_is_found_and_named(library, store, tmp_path):
    model = onnx.load(store.typed_file(DECODERS[0], "f16"))
    gelu = next(node for node in model.graph.node if node.op_type == "Gelu")
    index = list(model.graph.node).index(gelu)
    source, target = gelu.input[0], gelu.output[0]
    gelu.input[0], gelu.output[0] = "up", "down"
    model.graph.node.insert(index, helper.make_node("Cast", [source], ["up"], "up", to=TensorProto.FLOAT))
    model.graph.node.insert(index + 2, helper.make_node("Cast", ["down"], [target], "down", to=TensorProto.FLOAT16))
    file = tmp_path / "mixed.onnx"
    onnx.save(model, file)
    layers, _ = parsed(library, file)
    (line,) = find_wrong_types(layers, "f16")
    assert gelu.name in line
    assert "is FLOAT instead of HALF" in line


def test_an_encoder_that_was_not_quantised_does_not_pass_for_one(library, store):
    layers, _ = parsed(library, store.typed_file(ENCODERS[0], "int8"))
    assert find_wrong_types(layers, "f16")
    assert find_wrong_types(layers, "fp8")


def test_types_are_strong_so_that_a_missing_cast_is_refused(library, store, tmp_path):
    model = onnx.load(store.typed_file(DECODERS[0], "f16"))
    cast = next(node for node in model.graph.node if node.name == "prompt.float16.cast")
    model.graph.node.remove(cast)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "prompt.float16":
                node.input[index] = "prompt"
    file = tmp_path / "weak.onnx"
    onnx.save(model, file)
    with pytest.raises(ModelError, match=r"cannot use weak\.onnx: operator"):
        build_plan(library, file, "f16", targets=targets(library, "f16"))


def test_fp8_is_refused_for_gpus_that_have_none(library, store):
    with pytest.raises(EngineUnavailable, match=r"this GPU has no fp8 .*choose precision f16 or int8"):
        build_plan(library, store.typed_file(ENCODERS[0], "fp8"), "fp8", targets=[library.capability("8.6")])


def test_the_published_decoder_is_refused_with_the_operator(library, weights_folder, tmp_path):
    stock = weights_folder / "sam.onnx"
    if not stock.is_file():
        pytest.skip("the weights here are not the published ONNX pair")
    with pytest.raises(
        ModelError, match=r"operator Slice \(/Slice_8\): .*orig_im_size.* must have type Int32 or Int64"
    ):
        build_plan(library, stock, "f32", targets=targets(library, "f32"))


def test_a_gpu_unknown_to_rtx_reports_the_package_to_install(library):
    with pytest.raises(EngineUnavailable, match=r"compute capability 9\.0; install TensorRT itself"):
        library.capability("9.0")


def test_the_build_can_be_stopped(library, store):
    reported: list[int] = []

    def steps(done: int, total: int, text: str) -> None:
        reported.append(done)
        if done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(library, store.typed_file(DECODERS[0], "f16"), "f16", targets=targets(library, "f16"), steps=steps)
    assert reported == sorted(reported)
    assert reported[-1] < 1000


ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED_BUILD = """
import os, signal, sys
from pathlib import Path
from engines.backends.tensorrt.build import build_plan
from tests.engines.test_tensorrt_rtx import open_library, targets

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the suite runs in a shell's background
sent = []

def steps(done, total, text):
    if done > 300 and not sent:
        sent.append(done)
        os.kill(os.getpid(), signal.SIGINT)

library = open_library()
try:
    build_plan(library, Path(sys.argv[1]), "f16", targets=targets(library, "f16"), steps=steps)
except KeyboardInterrupt:
    print("interrupted", len(sent), flush=True)
    os._exit(0)
"""


def test_ctrl_c_stops_a_build_and_is_not_lost_in_it(library, store):
    """In a process of its own, as a user's: one that is interrupted while the library's threads run ends at once."""
    command = [sys.executable, "-c", INTERRUPTED_BUILD, str(store.typed_file(DECODERS[0], "f16"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.stdout.split()[-2:] == ["interrupted", "1"], done.stderr
    assert "Exception caught" not in done.stdout + done.stderr


def test_progress_goes_to_its_end(library, store):
    reported: list[int] = []
    build_plan(
        library, store.typed_file(DECODERS[0], "f16"), "f16", targets=targets(library, "f16"),
        steps=lambda done, total, text: reported.append(done),
    )  # fmt: skip
    assert reported == sorted(reported)
    assert len(reported) > 20
    assert reported[-1] == 1000


def test_a_missing_gpu_is_reported_in_one_line(weights_folder, engine_cache):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EngineUnavailable, match="no CUDA GPU can be used") as caught:
        load(EngineSettings("tensorrt", cache_dir=engine_cache), weights_folder, frame_size=(320, 180))
    assert "\n" not in str(caught.value)
