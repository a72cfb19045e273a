"""Composes the networks into the exported graphs: pixels to prepared tensors, prompts to masks."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from engines.graphs import GRID, TOKEN_PX, EncoderGraph, Graph
from engines.letterbox import MODEL_SIDE
from engines.models.checkpoint import SamModel
from engines.models.fast_decoder import HEAD, DecoderBlocks, DecoderPreparation, FastDecoder
from engines.models.mask_decoder import HEADS
from engines.models.padding_constants import PaddingConstants, record_constants
from engines.models.prompt import WIDTH
from engines.models.tiny_vit import TinyViT
from engines.prompts import PromptTable

MEAN_BGR = (103.53, 116.28, 123.675)
STD_BGR = (57.375, 57.12, 58.395)
ENCODER_OUTPUTS = ("keys", "k", "q", "v")


def normalised(image: Tensor) -> Tensor:
    """Normalise (h, w, 3) uint8 BGR to SAM's (1, 3, 1024, 1024) RGB input, zero-padded."""
    x = (image.float() - torch.tensor(MEAN_BGR)) / torch.tensor(STD_BGR)
    x = nnf.pad(x, (0, 0, 0, MODEL_SIDE - image.shape[1], 0, MODEL_SIDE - image.shape[0]))
    return x.flip(2).permute(2, 0, 1)[None]


def reading_bgr(encoder: nn.Module) -> nn.Module:
    """Return a copy whose first convolution takes unscaled BGR pixels less the mean.

    Scale and channel order are folded into the weights; the mean is not, because the padding is zero.
    """
    encoder = copy.deepcopy(encoder)
    first = next(part for part in encoder.modules() if isinstance(part, nn.Conv2d))
    first.weight = nn.Parameter(first.weight.flip(1) / torch.tensor(STD_BGR)[None, :, None, None], requires_grad=False)
    return encoder


class EncodeAndPrepare(nn.Module):
    """Encodes an image, adds its padding on the decoder's grid, and prepares it for the decoder.

    TinyViT encodes only the tokens of the content. The decoder attends to the padding's tokens too, so these are
    needed, but they hardly depend on the image: `PaddingConstants` handles both. Meta's encoders attend to the
    whole square, and receive it.
    """

    def __init__(self, sam: SamModel, shape: EncoderGraph) -> None:
        super().__init__()
        self.encoder = reading_bgr(sam.image_encoder)
        self.register_buffer("mean", torch.tensor(MEAN_BGR))
        rows, columns = self.tokens = shape.tokens
        self.preparation = DecoderPreparation(sam.prompt_encoder, sam.mask_decoder, rows, columns)
        self.blocks = DecoderBlocks(rows, columns)
        self.height, self.width = MODEL_SIDE, MODEL_SIDE
        self.beyond: PaddingConstants | None = None
        if isinstance(sam.image_encoder, TinyViT) and min(rows, columns) < GRID:
            size = (shape.height, shape.width)
            if size not in sam.recorded:
                sam.recorded[size] = record_constants(sam.image_encoder, normalised, *size)
            self.beyond, embedding = sam.recorded[size]
            self.height = self.beyond.rows * TOKEN_PX + PaddingConstants.STEM_PX * self.beyond.below
            self.width = self.beyond.columns * TOKEN_PX + PaddingConstants.STEM_PX * self.beyond.right
            around = self.blocks(embedding)
            self.register_buffer("beside", around[:, :rows, columns:].clone())
            self.register_buffer("under", around[:, rows:].clone())

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (h, w, 3) uint8 BGR to `ENCODER_OUTPUTS`."""
        x = image.float() - self.mean
        x = nnf.pad(x, (0, 0, 0, self.width - image.shape[1], 0, self.height - image.shape[0]))
        x = x[None].permute(0, 3, 1, 2)
        if self.beyond is None:
            x = self.blocks(self.encoder(x))
        else:
            rows, columns = self.tokens
            x = torch.cat([self.encoder(x, self.beyond)[:, :rows, :columns], self.beside], 2)
            x = torch.cat([x, self.under], 1)
        return self.preparation(x.reshape(-1, WIDTH))


class MaskPromptDecoder(FastDecoder):
    """A `FastDecoder` that takes a mask for each prompt."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `FastDecoder.with_masks`."""
        return self.with_masks(*inputs)


def build_module(sam: SamModel, graph: Graph) -> nn.Module:
    """Build the torch module of a graph, sharing weights with the model."""
    if isinstance(graph, EncoderGraph):
        built: nn.Module = EncodeAndPrepare(sam, graph)
    else:
        kind = MaskPromptDecoder if graph.masks_in else FastDecoder
        built = kind(sam.prompt_encoder, sam.mask_decoder, graph.rows, graph.columns)
    return built.eval().requires_grad_(False)


def build_own_module(sam: SamModel, graph: Graph) -> nn.Module:
    """Build a graph's module with its own weights, so that only the module moves to a device."""
    return copy.deepcopy(build_module(sam, graph))


def example_inputs(graph: Graph) -> dict[str, Tensor]:
    """Create example inputs of the right shapes by name."""
    if isinstance(graph, EncoderGraph):
        return {"image": torch.zeros(graph.height, graph.width, 3, dtype=torch.uint8)}
    prompt = {
        "prompt": torch.zeros(graph.batch, graph.points, WIDTH),
        "absent": torch.zeros(graph.batch, graph.points),
    }
    rows, columns = graph.grid
    tokens = rows * columns
    if graph.masks_in:
        side = 4 * GRID
        masks = {"logits": torch.zeros(graph.batch, 1, side, side), "has_mask": torch.zeros(graph.batch, 1, 1)}
        return {"keys": torch.zeros(tokens, WIDTH), **prompt, **masks}
    return {"keys": torch.zeros(tokens, WIDTH)} | {n: torch.zeros(HEADS, HEAD, tokens) for n in "kqv"} | prompt


def prompt_table(sam: SamModel) -> PromptTable:
    """Return the prompt encoder's weights that the host needs."""
    encoder = sam.prompt_encoder
    kinds = [encoder.not_a_point_embed.weight, *(table.weight for table in encoder.point_embeddings)]
    frequencies = encoder.pe_layer.positional_encoding_gaussian_matrix
    no_mask = encoder.no_mask_embed.weight[0]
    return PromptTable(frequencies.numpy(), torch.cat(kinds).numpy(), no_mask.numpy())
