"""Plain torch networks with published weights: the independent reference of the graphs that engines run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from engines.base import Floats, Image, MaskCandidates, Prompt
from engines.letterbox import MODEL_SIDE, Letterbox
from engines.models.onnx_graphs import MEAN_BGR, STD_BGR
from engines.models.sam_vit_graph import SHAPES
from engines.models.weight_arrays import read_arrays
from engines.prompts import model_points
from tests.engines.networks.mask_decoder import MaskDecoder
from tests.engines.networks.prompt import PromptEncoder
from tests.engines.networks.sam_vit import SamVit
from tests.engines.networks.tiny_vit import TinyViT


class SamModel(nn.Module):
    """Holds the three parts of a Segment Anything model."""

    def __init__(self, image_encoder: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()


def read_model(folder: Path, model: str) -> SamModel:
    """Load a model from the weights in `folder`, for the CPU in float32."""
    sam = SamModel(TinyViT() if model == "mobile_sam" else SamVit(SHAPES[model]))
    sam.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in read_arrays(folder, model).items()})
    return sam.eval().requires_grad_(False)


def normalised(image: Tensor) -> Tensor:
    """Normalise (h, w, 3) uint8 BGR to SAM's (1, 3, 1024, 1024) RGB input, zero-padded."""
    x = (image.float() - torch.tensor(MEAN_BGR)) / torch.tensor(STD_BGR)
    x = nnf.pad(x, (0, 0, 0, MODEL_SIDE - image.shape[1], 0, MODEL_SIDE - image.shape[0]))
    return x.flip(2).permute(2, 0, 1)[None]


class PlainEngine:
    """Runs MobileSAM or SAM as its authors do."""

    def __init__(self, sam: SamModel) -> None:
        self._sam = sam
        self._place = sam.prompt_encoder.pe_layer.grid()

    @torch.inference_mode()
    def encode(self, image: Image, letterbox: Letterbox) -> Floats:
        """Encode (H, W, 3) uint8 BGR to the embedding, (64, 64, 256) float32."""
        content = letterbox.resize(image)
        return np.asarray(self._sam.image_encoder(normalised(torch.from_numpy(content)))[0].numpy(), np.float32)

    @torch.inference_mode()
    def decode(self, embedding: Floats, letterbox: Letterbox, prompt: Prompt) -> MaskCandidates:
        """Decode one prompt to four masks."""
        encoder, decoder = self._sam.prompt_encoder, self._sam.mask_decoder
        points, labels = (torch.from_numpy(part)[None] for part in model_points(letterbox, prompt))
        keys = torch.from_numpy(embedding).reshape(1, -1, embedding.shape[-1])
        if prompt.mask_logits is None:
            keys = keys + encoder.no_mask_embed.weight
        else:
            keys = keys + encoder.masks(torch.from_numpy(prompt.mask_logits)[None, None])
        logits, scores = decoder(keys, self._place, encoder.points(points, labels.long()))
        return MaskCandidates(logits[0].numpy(), scores[0].numpy(), letterbox)
