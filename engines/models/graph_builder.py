"""Writes ONNX graphs node by node, with weights from arrays: no exporter and no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
"""The first with Gelu as one operation; LayerNormalization came with 17."""
IR_VERSION = 9
"""The oldest that goes with the opset."""


class GraphBuilder:
    """Collects the nodes and weights of one static graph; tensors are referred to by their names.

    Every shape is known to the caller, so that reshapes are constants and a runtime can plan all memory ahead.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._scope = ""

    def enter(self, scope: str) -> None:
        """Set the prefix of the names of later nodes and tensors."""
        self._scope = scope

    def input(self, name: str, kind: int, *shape: int) -> str:
        """Declare an input tensor."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        """Add a weight, or return the one that already has this name."""
        name = name or f"constant_{len(self._constants)}"
        self._constants.setdefault(name, value)
        return name

    def add(self, op: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add a node; returns the name of its first output."""
        label = name or f"{self._scope}/{op}_{len(self._nodes)}"
        names = [label] if outputs == 1 else [f"{label}_{index}" for index in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, label, **attributes))
        return names[0]

    def _ints(self, values: Sequence[int]) -> str:
        return self.constant(np.array(values, np.int64), "ints_" + "_".join(str(value) for value in values))

    def scalar(self, value: float) -> str:
        """Add a float constant."""
        return self.constant(np.array(value, np.float32), f"scalar_{value!r}")

    def reshape(self, x: str, *shape: int) -> str:
        """Reshape a tensor."""
        return self.add("Reshape", x, self._ints(shape))

    def transpose(self, x: str, *order: int) -> str:
        """Permute dimensions."""
        return self.add("Transpose", x, perm=list(order))

    def slice(self, x: str, axis: int, begin: int, end: int) -> str:
        """Cut `begin` to `end` out of one dimension."""
        return self.add("Slice", x, self._ints([begin]), self._ints([end]), self._ints([axis]))

    def select(self, x: str, axis: int, index: int) -> str:
        """Take one index of a dimension, which is dropped."""
        return self.add("Gather", x, self.constant(np.array(index, np.int64), f"index_{index}"), axis=axis)

    def pad(self, x: str, pads: Sequence[int], value: float = 0.0) -> str:
        """Pad with a value; `pads` are all begins, then all ends, as ONNX has them."""
        return self.add("Pad", x, self._ints(pads), self.scalar(value))

    def concat(self, axis: int, *parts: str) -> str:
        """Join tensors along one dimension."""
        return self.add("Concat", *parts, axis=axis)

    def linear(self, x: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> str:
        """Apply a (out, in) weight to the last dimension."""
        y = self.add("MatMul", x, self.constant(weight.T, f"{name}.weight_t"))
        return y if bias is None else self.add("Add", y, self.constant(bias, f"{name}.bias"))

    def convolution(
        self, x: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None,
        *, stride: int = 1, pads: tuple[int, int, int, int] = (0, 0, 0, 0), group: int = 1,
    ) -> str:  # fmt: skip
        """Convolve (B, C, H, W) with (out, in / group, kh, kw); pads: top, left, bottom, right."""
        more = () if bias is None else (self.constant(bias, f"{name}.bias"),)
        return self.add(
            "Conv", x, self.constant(weight, f"{name}.weight"), *more,
            kernel_shape=list(weight.shape[2:]), strides=[stride, stride], pads=list(pads), group=group,
        )  # fmt: skip

    def layer_norm(self, x: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32], eps: float) -> str:
        """Normalise the last dimension."""
        return self.add(
            "LayerNormalization", x, self.constant(weight, f"{name}.weight"), self.constant(bias, f"{name}.bias"),
            axis=-1, epsilon=eps,
        )  # fmt: skip

    def output(self, name: str, tensor: str, *shape: int) -> None:
        """Declare a tensor as a float32 output."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name], f"output/{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def build(self) -> onnx.ModelProto:
        """Return the model with the weights that its nodes use."""
        used = {name for node in self._nodes for name in node.input}
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        # Last, one by one: a graph that holds them would be copied with them, twice.
        for name, value in self._constants.items():
            if name in used:
                model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return model
