"""Builds `Letterbox.resize` as an ONNX graph, so that a frame is uploaded whole and resized on the GPU."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.graphs import LetterboxGraph
from engines.models.graph_builder import IR_VERSION, OPSET


def letterbox_graph(graph: LetterboxGraph) -> onnx.ModelProto:
    """Build a graph of (height, width, 3) uint8 "frame" to the content's (h, w, 3) uint8 "image".

    It resizes bilinearly as OpenCV does; a pixel may differ by one level, because OpenCV resizes in 11-bit fixed point.
    """
    width, height = graph.content_width, graph.content_height
    nodes = [
        helper.make_node("Cast", ["frame"], ["levels"], "levels", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["levels"], ["planes"], "planes", perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["planes", "first"], ["batch"], "batch"),
        helper.make_node(
            "Resize", ["batch", "", "", "sizes"], ["resized"], "resized",
            mode="linear", coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node("Squeeze", ["resized", "first"], ["content"], "content"),
        helper.make_node("Transpose", ["content"], ["rows"], "rows", perm=[1, 2, 0]),
        helper.make_node("Round", ["rows"], ["rounded"], "rounded"),
        helper.make_node("Cast", ["rounded"], ["image"], "image", to=TensorProto.UINT8),
    ]  # fmt: skip
    constants = {"first": [0], "sizes": [1, 3, height, width]}
    made = helper.make_graph(
        nodes, graph.name,
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [graph.height, graph.width, 3])],
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [height, width, 3])],
        [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
