"""Runs the nodes of our ONNX graphs by torch, so that all backends share one description of the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
import torch.nn.functional as nnf
from onnx import helper, numpy_helper
from torch import Tensor, nn

from engines.base import ModelError

Attributes = dict[str, Any]
Operation = Callable[..., Tensor]


class TorchGraph(nn.Module):
    """A module that runs the nodes of a graph of `engines.models.onnx_graphs` in their order.

    Weights are buffers, so that `to` moves them; shapes, indices and single numbers stay Python's. Under a CUDA graph
    the order is recorded once, so that interpreting it costs nothing afterwards.
    Raises `ModelError` for a graph with other operations.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        graph = model.graph
        self._inputs = [value.name for value in graph.input]
        self._outputs = [value.name for value in graph.output]
        self._buffers_by_name: dict[str, str] = {}
        self._numbers: dict[str, Any] = {}
        for index, tensor in enumerate(graph.initializer):
            value = numpy_helper.to_array(tensor)
            if value.dtype.kind == "i" or not value.ndim:
                self._numbers[tensor.name] = value.tolist()
            else:
                self._buffers_by_name[tensor.name] = f"weight_{index}"
                self.register_buffer(f"weight_{index}", torch.from_numpy(value.copy()))
        self._steps: list[tuple[Operation, list[str], str]] = []
        for node in graph.node:
            if (operation := OPERATIONS.get(node.op_type)) is None:
                raise ModelError(f"the torch engine has no operation {node.op_type}, which {graph.name} needs")
            attributes = {part.name: helper.get_attribute_value(part) for part in node.attribute}
            self._steps.append((operation(attributes), list(node.input), node.output[0]))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Map the graph's inputs to its outputs."""
        values: dict[str, Any] = dict(zip(self._inputs, inputs, strict=True)) | self._numbers
        values |= {name: self.get_buffer(buffer) for name, buffer in self._buffers_by_name.items()}
        for run, names, output in self._steps:
            values[output] = run(*(values[name] for name in names))
        return tuple(values[name] for name in self._outputs)


def _convolve(attributes: Attributes) -> Operation:
    top, left, bottom, right = attributes["pads"]
    stride, groups = attributes["strides"], attributes["group"]

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if (top, left) == (bottom, right):
            return nnf.conv2d(x, weight, bias, stride, (top, left), groups=groups)
        return nnf.conv2d(nnf.pad(x, (left, right, top, bottom)), weight, bias, stride, groups=groups)

    return run


def _pad(x: Tensor, pads: list[int], value: float) -> Tensor:
    rank = len(pads) // 2
    # torch wants pairs, from the last dimension on
    return nnf.pad(x, [pads[side] for axis in reversed(range(rank)) for side in (axis, rank + axis)], value=value)


def _slice(x: Tensor, begins: list[int], ends: list[int], axes: list[int]) -> Tensor:
    return x.narrow(axes[0], begins[0], ends[0] - begins[0])


def _layer_norm(attributes: Attributes) -> Operation:
    return lambda x, weight, bias: nnf.layer_norm(x, weight.shape, weight, bias, attributes["epsilon"])


OPERATIONS: dict[str, Callable[[Attributes], Operation]] = {
    "Add": lambda _: torch.add,
    "Cast": lambda _: Tensor.float,
    "Concat": lambda attributes: lambda *parts: torch.cat(parts, attributes["axis"]),
    "Conv": _convolve,
    "Div": lambda _: torch.div,
    "Gather": lambda attributes: lambda x, index: x.select(attributes["axis"], index),
    "Gelu": lambda _: nnf.gelu,
    "Identity": lambda _: lambda x: x,
    "LayerNormalization": _layer_norm,
    "MatMul": lambda _: torch.matmul,
    "Mul": lambda _: torch.mul,
    "Pad": lambda _: _pad,
    "Relu": lambda _: torch.relu,
    "Reshape": lambda _: torch.reshape,
    "Slice": lambda _: _slice,
    "Softmax": lambda attributes: lambda x: x.softmax(attributes["axis"]),
    "Sub": lambda _: torch.sub,
    "Transpose": lambda attributes: lambda x: x.permute(attributes["perm"]),
}
"""What the graphs are made of, by ONNX's name: attributes to a function of the inputs."""
