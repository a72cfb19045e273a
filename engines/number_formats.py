"""Writes number formats into a float32 graph: every number's for strongly typed runtimes, 8 bits for OpenVINO.

TensorRT takes a layer's precision from its inputs and nowhere else. Here each float tensor of a graph becomes float16
or bfloat16, weights included, except in a few places that stay float32 behind explicit casts:

- pixels less their mean: bfloat16 keeps 8 bits, a pixel less its mean needs 9;
- the neck's layer norms: their inputs reach 239, and the squares summed over 256 channels 1.2e5, past 65504;
- the host's inputs and outputs: prompt tokens, masks in, logits and scores out.

The embedding between encoder and decoder keeps the reduced format. int8 and fp8 are float16 graphs whose encoder's
linear layers take their operands through explicit quantisation: one scale for an activation, one for each column of a
weight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.base import EngineUnavailable, ModelError

NumberFormat = Literal["f32", "f16", "bf16", "int8", "fp8"]
Ranges = Mapping[str, float]
"""Largest input magnitude of each layer of an encoder that can be quantised, by the layer's name."""

REDUCED = {
    "f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16,
    "int8": TensorProto.FLOAT16, "fp8": TensorProto.FLOAT16,
}  # fmt: skip
QUANTIZED = {"int8": (TensorProto.INT8, 127.0), "fp8": (TensorProto.FLOAT8E4M3FN, 448.0)}
"""The format of quantised operands and its greatest value."""
SMALLEST_SCALE = 1e-6
"""Less would vanish in float16."""
ON_DEVICE = ("keys", "k", "q", "v")
"""Tensors that the encoder hands to the decoder; all other inputs and outputs are the host's."""
ABSENT_FLOOR = -3e4
"""`graphs.ABSENT` is past float16, where it would be -inf; this vanishes in a softmax as well."""
LESS_MEAN, FLOORED = "pixels.less_mean", "absent.floored"
"""Names of two operations in float32: pixels less their mean, and the scores of absent tokens."""
KEPT_F32 = ("encoder.neck.1.", "encoder.neck.3.")
"""Layer norms with such weights stay float32."""


def retype_graph(model: onnx.ModelProto, wanted: NumberFormat, ranges: Ranges | None = None) -> onnx.ModelProto:
    """Convert a graph of `engines.models.onnx_graphs` to another number format, modifying it.

    ranges: required by int8 and fp8 encoders; without them, raises `EngineUnavailable`. Raises `ModelError` for a
    weight that the format cannot hold.
    """
    if wanted == "f32":
        return model
    if wanted in QUANTIZED and any(output.name == "keys" for output in model.graph.output):
        if not ranges:
            raise EngineUnavailable(
                f"a {wanted} encoder needs measured ranges; run `gazecast engine build --engine tensorrt`"
            )
        _Quantizer(model.graph, wanted, find_linear_layers(model.graph), ranges).run()
    _Retyper(model, REDUCED[wanted]).run()
    return model


def quantize_encoder(model: onnx.ModelProto, ranges: Ranges) -> None:
    """Quantise the layers of a float32 encoder to int8 for OpenVINO, in place; everything else stays as it is.

    Not quantised are depthwise convolutions and the first one: their channels differ too much for one range, and being
    memory-bound they gain nothing.
    """
    _Quantizer(model.graph, "int8", find_quantisable_layers(model.graph), ranges).run()


def find_quantisable_layers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Find the encoder's linear layers and its convolutions across channels, but for the first, by module name."""
    convolutions = {
        node.input[1].removesuffix(".weight"): node
        for node in graph.node
        if node.op_type == "Conv" and _attribute(node, "group") == 1 and node.input[1].startswith("encoder.")
    }
    first = next(iter(convolutions), "")
    return find_linear_layers(graph) | {name: node for name, node in convolutions.items() if name != first}


def find_linear_layers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Find the encoder's linear layers by module name, such as "encoder.layers.1.blocks.0.mlp.fc1"."""
    producers = {node.output[0]: node for node in graph.node}
    weights = {tensor.name for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        biases = [name for name in node.input if name.startswith("encoder.") and name.endswith(".bias")]
        if node.op_type != "Add" or not biases:
            continue
        for name in node.input:
            product = producers.get(name)
            if product is not None and product.op_type == "MatMul" and product.input[1] in weights:
                found[biases[0].removesuffix(".bias")] = product
    return found


class _Quantizer:
    """Quantises the operands of layers of an encoder; all other nodes stay as they are."""

    def __init__(
        self, graph: onnx.GraphProto, wanted: str, layers: Mapping[str, onnx.NodeProto], ranges: Ranges
    ) -> None:
        self._graph, self._layers, self._ranges = graph, layers, ranges
        self._kind, self._greatest = QUANTIZED[wanted]
        self._weights = {tensor.name: tensor for tensor in graph.initializer}

    def run(self) -> None:
        missing = sorted(set(self._layers) - set(self._ranges))
        if missing:
            raise EngineUnavailable(
                f"no range was measured for {missing[0]}; run `gazecast engine build --engine tensorrt --force`"
            )
        before: dict[str, list[onnx.NodeProto]] = {}
        for name, layer in self._layers.items():
            before[layer.name] = self._operands(name, layer)
        nodes = [part for node in self._graph.node for part in (*before.get(node.name, ()), node)]
        del self._graph.node[:]
        self._graph.node.extend(nodes)

    def _operands(self, name: str, layer: onnx.NodeProto) -> list[onnx.NodeProto]:
        activation, weight = layer.input[:2]
        values = numpy_helper.to_array(self._weights[weight])
        axis = 0 if layer.op_type == "Conv" else 1
        others = tuple(other for other in range(values.ndim) if other != axis)
        # Rounded to the stored format, so that weights are divided by the same numbers that later multiply them.
        steps = np.maximum(np.abs(values).max(others) / self._greatest, SMALLEST_SCALE).astype(np.float16)
        steps = steps.astype(np.float32)
        activations = max(self._ranges[name] / self._greatest, SMALLEST_SCALE)
        scale = self._add(f"{name}.scale", np.array(activations, np.float32))
        scales = self._add(f"{name}.weight_scales", steps)
        zero = self._add(f"{name}.zero", np.zeros((), np.float32), self._kind)
        quantised = self._add(f"{name}.weight_{self._kind}", values / np.expand_dims(steps, others), self._kind)
        layer.input[0], layer.input[1] = f"{name}.in", f"{name}.w"
        return [
            helper.make_node("QuantizeLinear", [activation, scale, zero], [f"{name}.q"], f"{name}.quantize"),
            helper.make_node("DequantizeLinear", [f"{name}.q", scale, zero], [f"{name}.in"], f"{name}.dequantize"),
            helper.make_node("DequantizeLinear", [quantised, scales], [f"{name}.w"], f"{name}.dequantize_w", axis=axis),
        ]

    def _add(self, name: str, values: NDArray[Any], kind: int = TensorProto.FLOAT) -> str:
        if kind == TensorProto.INT8:
            values = np.clip(np.round(values), -127, 127)
        self._graph.initializer.append(_tensor(name, values, kind))
        return name


class _Retyper:
    """Walks a graph in order and casts every node's inputs to one format."""

    def __init__(self, model: onnx.ModelProto, reduced: int) -> None:
        self._graph, self._reduced = model.graph, reduced
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self._floats = {
            value.name
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        self._constants = {t.name: t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
        self._names: dict[str, dict[int, str]] = defaultdict(dict)
        """Names of a float tensor by format."""
        self._nodes: list[onnx.NodeProto] = []
        self._producers = {name: node for node in model.graph.node for name in node.output}

    def run(self) -> None:
        for value in self._graph.input:
            if value.name in self._floats:
                on_device = value.name in ON_DEVICE
                if on_device:
                    value.type.tensor_type.elem_type = self._reduced
                self._names[value.name] = {self._reduced if on_device else TensorProto.FLOAT: value.name}
        for node in list(self._graph.node):
            self._visit(node)
        for value in self._graph.output:
            self._set_output_format(value)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        others = [tensor for tensor in self._graph.initializer if tensor.name not in self._constants]
        used = {name for node in self._nodes for name in node.input}
        del self._graph.initializer[:]
        self._graph.initializer.extend(t for t in (*others, *self._constants.values()) if t.name in used)
        del self._graph.value_info[:]

    def _visit(self, node: onnx.NodeProto) -> None:
        if node.op_type in ("Constant", "ConstantOfShape") and self._constant(node):
            return
        wanted = TensorProto.FLOAT if self._keeps_f32(node) else self._reduced
        if not (node.op_type == "Cast" and _attribute(node, "to") == TensorProto.FLOAT):
            for index, name in enumerate(node.input):
                if name in self._constants or name in self._names:
                    node.input[index] = self._name_in_format(name, wanted)
        for name in node.output:
            if name in self._floats:
                self._names[name] = {wanted: name}
        self._nodes.append(node)

    def _constant(self, node: onnx.NodeProto) -> bool:
        """Turn a float constant into an initialiser, and reduce the value of a filled shape."""
        value = _attribute(node, "value")
        if not isinstance(value, onnx.TensorProto) or value.data_type != TensorProto.FLOAT:
            return False
        if node.op_type == "Constant":
            value.name = node.output[0]
            self._constants[value.name] = value
            return True
        value.CopyFrom(_tensor("", numpy_helper.to_array(value), self._reduced))
        self._names[node.output[0]] = {self._reduced: node.output[0]}
        self._nodes.append(node)
        return True

    def _keeps_f32(self, node: onnx.NodeProto) -> bool:
        if node.op_type == "LayerNormalization":
            return str(node.input[1]).startswith(KEPT_F32)
        if node.op_type == "Cast":
            return bool(_attribute(node, "to") == TensorProto.FLOAT)
        pixels = self._producers.get(node.input[0]) if node.op_type == "Sub" else None
        if pixels is None or pixels.op_type != "Cast" or pixels.input[0] != "image":
            return False
        node.name = LESS_MEAN
        return True

    def _name_in_format(self, name: str, kind: int) -> str:
        """Return the tensor's name in a format; a weight is converted, any other tensor is cast once."""
        names = self._names[name]
        if kind not in names:
            names[kind] = self._converted(name, kind) if name in self._constants else self._cast(name, kind)
        return names[kind]

    def _converted(self, name: str, kind: int) -> str:
        tensor = self._constants[name]
        if kind == TensorProto.FLOAT:
            return name
        other = f"{name}.{TensorProto.DataType.Name(kind).lower()}"
        self._graph.initializer.append(_tensor(other, numpy_helper.to_array(tensor), kind))
        return other

    def _cast(self, name: str, kind: int) -> str:
        source = next(iter(self._names[name].values()))
        if name == "absent":
            floor = _tensor("absent.floor", np.array(ABSENT_FLOOR, np.float32), TensorProto.FLOAT)
            self._constants[floor.name] = floor
            self._nodes.append(helper.make_node("Max", [source, floor.name], [FLOORED], FLOORED))
            source = FLOORED
        target = f"{name}.{TensorProto.DataType.Name(kind).lower()}"
        self._nodes.append(helper.make_node("Cast", [source], [target], f"{target}.cast", to=kind))
        return target

    def _set_output_format(self, value: onnx.ValueInfoProto) -> None:
        """Keep a device output reduced, and cast a host output back to float32."""
        if value.name in ON_DEVICE:
            value.type.tensor_type.elem_type = self._reduced
            return
        inner = f"{value.name}.inner"
        for node in self._nodes:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == value.name:
                        names[index] = inner
        self._nodes.append(helper.make_node("Cast", [inner], [value.name], f"{value.name}.cast", to=TensorProto.FLOAT))


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    return next((helper.get_attribute_value(part) for part in node.attribute if part.name == name), None)


def _tensor(name: str, values: NDArray[Any], kind: int) -> onnx.TensorProto:
    """Create an initialiser of any format; raises `ModelError` for a value that float16 cannot hold."""
    if kind == TensorProto.FLOAT16 and np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        raise ModelError(f"the weight {name} reaches {np.abs(values).max():.3g}, past float16; choose bf16 or f32")
    if kind == TensorProto.FLOAT8E4M3FN:
        values = np.clip(values, -448, 448)
    # Rounds to nearest, ties to even.
    converted = np.asarray(values, np.float32).astype(helper.tensor_dtype_to_np_dtype(kind))
    return numpy_helper.from_array(converted, name)
