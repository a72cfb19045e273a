"""Builds the ONNX graphs of an engine from arrays of weights: pixels to prepared tensors, prompts to masks."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from engines.graphs import GRID, DecoderGraph, EncoderGraph, Graph
from engines.models.decoder_graph import HEAD, HEADS, WIDTH, MaskDecoderGraph, write_pooling, write_preparation
from engines.models.graph_builder import GraphBuilder
from engines.models.padding import EdgeProfiles, PaddingProfiles, encoded_tokens, surround_embedding
from engines.models.sam_vit_graph import SHAPES, SamVitGraph
from engines.models.tiny_vit_graph import TinyVitGraph
from engines.models.weight_arrays import ModelWeights
from engines.prompts import PromptTable

MEAN_BGR = (103.53, 116.28, 123.675)
STD_BGR = (57.375, 57.12, 58.395)
ENCODER = "image_encoder."


def build_graph(graph: Graph, model: str, weights: ModelWeights, profiles: PaddingProfiles | None) -> onnx.ModelProto:
    """Build a graph of a model in float32.

    profiles: the padding's activations for these weights; without, TinyViT encodes the padding too, and is slower.
    """
    if isinstance(graph, EncoderGraph):
        return _build_encoder(graph, model, weights, profiles)
    return _build_decoder(graph, weights)


def _build_encoder(
    graph: EncoderGraph, model: str, weights: ModelWeights, profiles: PaddingProfiles | None
) -> onnx.ModelProto:
    b = GraphBuilder(graph.name)
    rows, columns = graph.tokens
    images, axis = ((graph.batch,), 1) if graph.batch > 1 else ((), 0)
    encoder = weights.below(ENCODER)
    # Scale and channel order are folded into the first convolution; the mean is not, because the padding is zero.
    first = "patch_embed.0.weight" if model == "mobile_sam" else "patch_embed.proj.weight"
    encoder[first] = encoder[first][:, ::-1] / np.array(STD_BGR, np.float32)[:, None, None]
    edges = None
    network: TinyVitGraph | SamVitGraph
    if model != "mobile_sam":
        network = SamVitGraph(b, encoder, SHAPES[model], batch=graph.batch)
    elif profiles is not None and min(rows, columns) < GRID:
        edges = profiles.edges(rows, columns)
        network = TinyVitGraph(b, encoder, encoded_tokens(rows), encoded_tokens(columns), edges, graph.batch)
    else:
        network = TinyVitGraph(b, encoder, GRID, GRID, None, graph.batch)
    x = b.input("image", TensorProto.UINT8, *images, graph.height, graph.width, 3)
    b.enter("pixels")
    x = b.add("Cast", x, to=TensorProto.FLOAT)
    x = b.add("Sub", x, b.constant(np.array(MEAN_BGR, np.float32), "pixels.mean"))
    height, width = network.pixels
    x = b.pad(x, (*[0] * (2 * axis + 3), height - graph.height, width - graph.width, 0))
    x = b.transpose(x, *range(axis), axis + 2, axis, axis + 1)
    x = network.write(b.reshape(x, graph.batch, 3, height, width))
    b.enter("encoder/surround")
    if edges is not None:
        x = _surround(b, x, edges, graph)
    elif (rows, columns) != (GRID, GRID):
        x = write_pooling(b, x, graph.batch, rows, columns)
    count = graph.grid[0] * graph.grid[1]
    prepared = write_preparation(b, weights, b.reshape(x, *images, count, WIDTH), rows, columns, graph.batch)
    for name, tensor in prepared.items():
        b.output(name, tensor, *images, *((count, WIDTH) if name == "keys" else (HEADS, HEAD, count)))
    return b.build()


def build_square_encoder(weights: ModelWeights) -> tuple[onnx.ModelProto, dict[str, tuple[str, int, int, int]]]:
    """Build TinyViT over the full square: normalised (1, 3, 1024, 1024) RGB to the (1, 64, 64, 256) "embedding".

    Returns it with the layers' inputs, see `TinyVitGraph.layer_inputs`, which are outputs too, called as they are.
    """
    b = GraphBuilder("square")
    network = TinyVitGraph(b, weights.below(ENCODER), GRID, GRID, None)
    b.output("embedding", network.write(b.input("x", TensorProto.FLOAT, 1, 3, *network.pixels)), 1, GRID, GRID, WIDTH)
    for name, (tensor, rows, columns, width) in network.layer_inputs.items():
        b.output(name, tensor, 1, rows * columns, width)
    return b.build(), network.layer_inputs


def _surround(b: GraphBuilder, x: str, edges: EdgeProfiles, graph: EncoderGraph) -> str:
    """Leave the ring out, and continue the embedding by the padding's on the decoder's grid."""
    rows, columns = graph.tokens
    if encoded_tokens(rows) != rows:
        x = b.slice(x, 1, 0, rows)
    if encoded_tokens(columns) != columns:
        x = b.slice(x, 2, 0, columns)
    beside, under = surround_embedding(edges, rows, columns)
    if beside is not None:
        x = b.concat(2, x, b.constant(np.repeat(beside, graph.batch, 0), "embedding.beside"))
    return x if under is None else b.concat(1, x, b.constant(np.repeat(under, graph.batch, 0), "embedding.under"))


def _build_decoder(graph: DecoderGraph, weights: ModelWeights) -> onnx.ModelProto:
    b = GraphBuilder(graph.name)
    batch, count = graph.batch, graph.grid[0] * graph.grid[1]
    images = (batch,) if graph.own_images else ()
    keys = b.input("keys", TensorProto.FLOAT, *images, count, WIDTH)
    if not graph.masks_in:
        k, q, v = (b.input(name, TensorProto.FLOAT, *images, HEADS, HEAD, count) for name in "kqv")
    prompt = b.input("prompt", TensorProto.FLOAT, batch, graph.points, WIDTH)
    absent = b.input("absent", TensorProto.FLOAT, batch, graph.points)
    decoder = MaskDecoderGraph(b, weights, graph)
    if graph.masks_in:
        side = 4 * GRID
        logits = b.input("logits", TensorProto.FLOAT, batch, 1, side, side)
        has_mask = b.input("has_mask", TensorProto.FLOAT, batch, 1, 1)
        logits_out, iou = decoder.write_with_masks(keys, prompt, absent, logits, has_mask)
    else:
        logits_out, iou = decoder.write(keys, k, q, v, prompt, absent)
    b.output("logits_out", logits_out, batch, 4, 4 * GRID, 4 * GRID)
    b.output("iou", iou, batch, 4)
    return b.build()


def prompt_table(weights: ModelWeights) -> PromptTable:
    """Return the prompt encoder's weights that the host needs."""
    prefix = "prompt_encoder."
    kinds = ["not_a_point_embed", *(f"point_embeddings.{index}" for index in range(4))]
    return PromptTable(
        weights[f"{prefix}pe_layer.positional_encoding_gaussian_matrix"],
        np.concatenate([weights[f"{prefix}{kind}.weight"] for kind in kinds]),
        weights[f"{prefix}no_mask_embed.weight"][0],
    )
