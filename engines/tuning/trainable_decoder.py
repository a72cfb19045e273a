"""Runs SAM's mask decoder by torch with weights that can be trained, on the grid of the graphs that engines run.

The decoder is that of Kirillov et al., "Segment Anything", 2023; the padding is in blocks, as
`engines.models.decoder_graph` has it, so that embeddings of an engine are its input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from engines.base import Floats
from engines.graphs import grid
from engines.models.decoder_graph import HEADS, MASKS, OUTPUTS, WIDTH, log_block_areas, pool_blocks, position_grid

PREFIX = "mask_decoder."
PARTS = {
    "iou": (f"{PREFIX}iou_prediction_head.", f"{PREFIX}iou_token.", f"{PREFIX}mask_tokens."),
    "decoder": (PREFIX,),
}
"""Beginnings of the names of the weights that each part trains."""


class TrainableDecoder:
    """The decoder with its weights as tensors, of which those of one part are trained."""

    def __init__(self, arrays: Mapping[str, Floats], part: str) -> None:
        """arrays: a model's weights by name."""
        self._arrays = arrays
        self.weights: dict[str, Tensor] = {
            name: torch.tensor(np.asarray(value, np.float32), requires_grad=name.startswith(PARTS[part]))
            for name, value in arrays.items()
            if name.startswith(PREFIX)
        }
        self._places: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    @property
    def trained(self) -> dict[str, Tensor]:
        """The weights that are trained, by name."""
        return {name: value for name, value in self.weights.items() if value.requires_grad}

    def decode(self, keys: Tensor, tokens: Tensor, absent: Tensor, tokens_px: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Decode prompts on one picture.

        keys: (M, 256), see `SamEncoder.keys`. tokens, absent: (B, N, 256) and (B, N), see `PromptTable.tokens`.
        tokens_px: (rows, columns) of the picture in tokens. Returns logits (B, 4, 4 rows, 4 columns) and IoU (B, 4).
        """
        place, areas = self._find_place(tokens_px)
        outputs = torch.cat([self.weights[f"{PREFIX}{name}.weight"] for name in ("iou_token", "mask_tokens")])
        tokens = torch.cat([outputs.expand(len(tokens), OUTPUTS, WIDTH), tokens], 1)
        bias = nnf.pad(absent, (OUTPUTS, 0))[:, None, None]
        image, queries = keys.expand(len(tokens), *keys.shape), tokens
        name = f"{PREFIX}transformer.layers"
        for index in (0, 1):
            queries, image = self._apply_layer(
                f"{name}.{index}", queries, image, tokens, place, bias, areas, index == 0
            )
        name = f"{PREFIX}transformer.final_attn_token_to_image"
        queries = queries + self._attend(name, queries + tokens, image + place, image, areas)
        queries = self._norm(queries, f"{PREFIX}transformer.norm_final_attn")
        fine = self._upscale(image, tokens_px)
        heads = [self._apply_mlp(f"output_hypernetworks_mlps.{k}", queries[:, 1 + k]) for k in range(MASKS)]
        logits = (torch.stack(heads, 1) @ fine.flatten(2)).unflatten(2, fine.shape[2:])
        return logits, self._apply_mlp("iou_prediction_head", queries[:, 0])

    def _find_place(self, tokens_px: tuple[int, int]) -> tuple[Tensor, Tensor]:
        if tokens_px not in self._places:
            place = pool_blocks(position_grid(self._arrays), *tokens_px).reshape(-1, WIDTH)
            self._places[tokens_px] = torch.from_numpy(place), torch.from_numpy(log_block_areas(*tokens_px))
        return self._places[tokens_px]

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return nnf.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str, eps: float = 1e-5) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        return nnf.layer_norm(x, weight.shape, weight, self.weights[f"{name}.bias"], eps)

    def _attend(self, name: str, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | float = 0.0) -> Tensor:
        heads = [
            self._linear(x, f"{name}.{part}_proj").unflatten(2, (HEADS, -1)).transpose(1, 2)
            for x, part in ((q, "q"), (k, "k"), (v, "v"))
        ]
        scores = heads[0] @ heads[1].transpose(2, 3) / math.sqrt(heads[0].shape[3]) + bias
        return self._linear((scores.softmax(-1) @ heads[2]).transpose(1, 2).flatten(2), f"{name}.out_proj")

    def _apply_layer(
        self, name: str, queries: Tensor, image: Tensor, tokens: Tensor, place: Tensor, bias: Tensor, areas: Tensor,
        is_first: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        placed = queries if is_first else queries + tokens
        attended = self._attend(f"{name}.self_attn", placed, placed, queries, bias)
        queries = self._norm(attended if is_first else queries + attended, f"{name}.norm1")
        seen = self._attend(f"{name}.cross_attn_token_to_image", queries + tokens, image + place, image, areas)
        queries = self._norm(queries + seen, f"{name}.norm2")
        inner = self._linear(queries, f"{name}.mlp.lin1").relu()
        queries = self._norm(queries + self._linear(inner, f"{name}.mlp.lin2"), f"{name}.norm3")
        spread = self._attend(f"{name}.cross_attn_image_to_token", image + place, queries + tokens, queries, bias)
        return queries, self._norm(image + spread, f"{name}.norm4")

    def _upscale(self, image: Tensor, tokens_px: tuple[int, int]) -> Tensor:
        rows, columns = tokens_px
        x = image.unflatten(1, grid(rows, columns))[:, :rows, :columns].permute(0, 3, 1, 2)
        name = f"{PREFIX}output_upscaling"
        x = nnf.conv_transpose2d(x, self.weights[f"{name}.0.weight"], self.weights[f"{name}.0.bias"], 2)
        x = nnf.gelu(self._norm(x.permute(0, 2, 3, 1), f"{name}.1", 1e-6).permute(0, 3, 1, 2))
        return nnf.gelu(nnf.conv_transpose2d(x, self.weights[f"{name}.3.weight"], self.weights[f"{name}.3.bias"], 2))

    def _apply_mlp(self, name: str, x: Tensor) -> Tensor:
        for index in range(3):
            x = self._linear(x, f"{PREFIX}{name}.layers.{index}")
            x = x.relu() if index < 2 else x
        return x


def encode_mask_prompt(arrays: Mapping[str, Floats], logits: Floats, tokens_px: tuple[int, int]) -> Floats:
    """Encode the (256, 256) logits of an earlier mask as (M, 256), to add to the keys of a picture without a mask."""
    name, x = "prompt_encoder.mask_downscaling", torch.from_numpy(np.array(logits, np.float32))[None, None]
    weights = {key: torch.tensor(np.asarray(value)) for key, value in arrays.items() if key.startswith(name)}
    for part in (0, 3):
        x = nnf.conv2d(x, weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"], 2)
        norm, bias = (weights[f"{name}.{part + 1}.{kind}"] for kind in ("weight", "bias"))
        x = nnf.gelu(nnf.layer_norm(x.permute(0, 2, 3, 1), norm.shape, norm, bias, 1e-6)).permute(0, 3, 1, 2)
    x = nnf.conv2d(x, weights[f"{name}.6.weight"], weights[f"{name}.6.bias"])[0].permute(1, 2, 0)
    no_mask = np.asarray(arrays["prompt_encoder.no_mask_embed.weight"], np.float32)
    return np.asarray(pool_blocks(x.numpy(), *tokens_px).reshape(-1, WIDTH) - no_mask, np.float32)
