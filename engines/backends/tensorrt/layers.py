"""Reads the number formats of a parsed network's layers, and finds unexpected ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engines.number_formats import FLOORED, LESS_MEAN, NumberFormat

FLOATS = {"f32": "FLOAT", "f16": "HALF", "bf16": "BF16", "int8": "HALF", "fp8": "HALF"}
QUANTIZED_TYPES = {"int8": "INT8", "fp8": "FP8"}
ANY_FLOAT = {"FLOAT", "HALF", "BF16"}
CONVERTING = {"CAST", "QUANTIZE", "DEQUANTIZE"}
CARRYING = {"CONSTANT", "SHUFFLE"}
"""Layers that a weight passes before its use; the use is checked."""


@dataclass(frozen=True, slots=True)
class PlanLayer:
    """A layer that TensorRT parsed. inputs, outputs: (tensor's name, TensorRT's name of the format)."""

    name: str
    kind: str
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]

    @property
    def formats(self) -> set[str]:
        """Return the formats of all floating-point tensors."""
        return {kind for _, kind in (*self.inputs, *self.outputs)} & ANY_FLOAT


def read_layers(trt: Any, network: Any) -> list[PlanLayer]:
    """Read every layer of a network."""
    kinds = {int(value): name for name, value in trt.LayerType.__members__.items()}
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    return [
        PlanLayer(
            layer.name,
            kinds[int(layer.type)],
            _tensors(layer.get_input, layer.num_inputs),
            _tensors(layer.get_output, layer.num_outputs),
        )
        for layer in layers
    ]


def _tensors(tensor: Any, count: int) -> tuple[tuple[str, str], ...]:
    found = (tensor(index) for index in range(count))
    return tuple((each.name, each.dtype.name) for each in found if each is not None)


def find_wrong_types(layers: list[PlanLayer], numbers: NumberFormat) -> list[str]:
    """List the layers that deviate from `engines.number_formats`, one line each; empty if correct.

    Every layer that computes must have all its floating-point tensors in the graph's format, or in float32 where that
    is kept on purpose; quantisation must convert to and from the quantised format only.
    """
    wrong = []
    for layer in layers:
        wanted = "FLOAT" if is_kept_f32(layer) else FLOATS[numbers]
        if layer.kind in ("QUANTIZE", "DEQUANTIZE"):
            # The third input is the zero point, which the parser adds as a float32.
            kinds = {kind for _, kind in (*layer.inputs[:2], *layer.outputs)}
            good = kinds == {wanted, QUANTIZED_TYPES.get(numbers)}
        else:
            good = layer.kind in CONVERTING | CARRYING or layer.formats <= {wanted}
        if not good:
            formats = " and ".join(sorted(layer.formats))
            wrong.append(f"layer {layer.name} ({layer.kind}) is {formats} instead of {wanted}")
    return wrong


def is_kept_f32(layer: PlanLayer) -> bool:
    """Return whether a layer stays float32: pixels less their mean, the neck's norms, absent tokens."""
    return (
        (layer.kind == "NORMALIZATION" and "/neck/" in layer.name)
        or (layer.kind == "ELEMENTWISE" and layer.name in (LESS_MEAN, FLOORED))
    )  # fmt: skip
