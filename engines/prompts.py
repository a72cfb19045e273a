"""Encodes prompts as tokens in float32 numpy, because bfloat16 would shift positions by pixels.

Equal to `tests.engines.networks.prompt.PromptEncoder.points`, with batches padded to fixed shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.base import Floats, Prompt
from engines.graphs import ABSENT, POINT_BUCKETS, bucket
from engines.letterbox import MODEL_SIDE, Letterbox


def model_points(letterbox: Letterbox, prompt: Prompt) -> tuple[Floats, Floats]:
    """Convert a prompt to SAM's points: (N, 2) model pixels and (N,) labels.

    Labels: 1 and 0 as in the prompt, 2 and 3 the corners of the box, -1 the padding point that SAM was trained
    with where there is no box.
    """
    points, labels = letterbox.to_model(prompt.points_px), prompt.labels.astype(np.float32)
    if prompt.box_px is None:
        return np.concatenate([points, np.zeros((1, 2), np.float32)]), np.append(labels, np.float32(-1))
    corners = letterbox.to_model(prompt.box_px.reshape(2, 2))
    return np.concatenate([points, corners]), np.concatenate([labels, np.array([2, 3], np.float32)])


@dataclass(frozen=True, slots=True, eq=False)
class PromptTable:
    """Holds the prompt encoder's weights.

    frequencies: (2, 128) float32. kinds: (5, 256) float32 for padding, background, object and a box's two corners.
    no_mask: (256,) float32, added to an embedding when there is no mask.
    """

    frequencies: Floats
    kinds: Floats
    no_mask: Floats

    @staticmethod
    def token_count(prompts: Sequence[Prompt]) -> int:
        """Return N of `tokens`; raises `PromptError` for more points than any graph has."""
        most = max(len(prompt.labels) + (1 if prompt.box_px is None else 2) for prompt in prompts)
        return bucket(most, POINT_BUCKETS, "points and corners")

    def tokens(self, letterboxes: Sequence[Letterbox], prompts: Sequence[Prompt]) -> tuple[Floats, Floats]:
        """Encode (B, N, 256) tokens and (B, N) offsets of their attention scores; N is one of `POINT_BUCKETS`.

        letterboxes: that of each prompt's picture.
        """
        sparse = [model_points(letterbox, prompt) for letterbox, prompt in zip(letterboxes, prompts, strict=True)]
        size = self.token_count(prompts)
        tokens = np.zeros((len(prompts), size, self.kinds.shape[1]), np.float32)
        absent = np.full((len(prompts), size), ABSENT, np.float32)
        for row, (points, labels) in enumerate(sparse):
            place = 2 * ((points + np.float32(0.5)) / np.float32(MODEL_SIDE)) - 1
            angle = np.float32(2 * np.pi) * (place @ self.frequencies)
            waves = np.concatenate([np.sin(angle), np.cos(angle)], 1)
            waves[labels < 0] = 0
            tokens[row, : len(labels)] = waves + self.kinds[labels.astype(int) + 1]
            absent[row, : len(labels)] = 0
        return tokens, absent
