"""Tunes the mask decoder, or its IoU head and output tokens, on masks that people corrected.

Loss: focal (Lin et al., 2017) and dice of the best of the three masks, or of the first one where clicks correct a mask,
as SAM was trained, and the squared error of the predicted IoUs. A tuned decoder forgets: every step also keeps the old
decoder's answer at points that were not labelled (Li and Hoiem, "Learning without Forgetting", 2016), and held-out
examples decide when to stop. Then the weights are averaged with the old ones (Wortsman et al., "Robust fine-tuning of
zero-shot models", 2022), as far as other pictures demand it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from engines.base import Floats, Mask
from engines.tuning.trainable_decoder import TrainableDecoder
from engines.tuning.weight_shares import MAX_LOSS, list_kept_shares

FOCAL_WEIGHT = 20.0
OnStep = Callable[[int, int], bool]
"""Receives the completed steps and all; returns False to stop with what is best so far."""


@dataclass(frozen=True, slots=True, eq=False)
class DecoderExample:
    """A prompt on an encoded picture, and the right mask.

    keys: (M, 256), see `SamEncoder.keys`. tokens_px: (rows, columns) of the picture in tokens. tokens, absent: (N, 256)
    and (N,), of the prompt. mask: (4 rows, 4 columns). kept: tokens and absent of other prompts on the picture, whose
    answers shall stay. is_correction: the prompt corrects a mask, which `keys` include: the first mask answers it.
    """

    keys: Floats = field(repr=False)
    tokens_px: tuple[int, int]
    tokens: Floats = field(repr=False)
    absent: Floats = field(repr=False)
    mask: Mask = field(repr=False)
    kept: tuple[Floats, Floats] | None = field(default=None, repr=False)
    is_correction: bool = False


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """Settings of the tuning. keep: weight of the old decoder's answers. epochs: at most; patience: without a gain."""

    rate: float = 3e-5
    keep: float = 1.0
    epochs: int = 6
    patience: int = 2
    batch: int = 4
    seed: int = 1


def tune_decoder(
    arrays: Mapping[str, Floats], part: str, train: Sequence[DecoderExample], stop: Sequence[DecoderExample],
    settings: TuningSettings, on_step: OnStep,
) -> tuple[dict[str, Floats], int]:  # fmt: skip
    """Tune until the held-out examples of `stop` get no better; returns the changed arrays and the best epoch."""
    decoder, old = TrainableDecoder(arrays, part), TrainableDecoder(arrays, part)
    optimizer = torch.optim.AdamW(list(decoder.trained.values()), settings.rate, weight_decay=0.0)
    rng, best, best_epoch = np.random.default_rng(settings.seed), _copy(decoder), 0
    wanted = [_answer_kept(old, each) for each in train]
    best_loss = _measure(decoder, stop)
    steps, done = settings.epochs * len(train), 0
    for epoch in range(1, settings.epochs + 1):
        for count, index in enumerate(rng.permutation(len(train)).tolist(), 1):
            loss = _compute_loss(decoder, train[index]) + settings.keep * _compute_change(
                decoder, train[index], wanted[index]
            )
            (loss / settings.batch).backward()
            if count % settings.batch == 0 or count == len(train):
                optimizer.step()
                optimizer.zero_grad()
            done += 1
            if not on_step(done, steps):
                return best, best_epoch
        loss_now = _measure(decoder, stop)
        if loss_now < best_loss:
            best, best_loss, best_epoch = _copy(decoder), loss_now, epoch
        elif epoch - best_epoch >= settings.patience:
            break
    return best, best_epoch


def blend_weights(arrays: Mapping[str, Floats], tuned: Mapping[str, Floats], share: float) -> dict[str, Floats]:
    """Average tuned weights with the old ones. share: of the tuned ones, 0..1."""
    return {
        name: np.asarray((1 - share) * arrays[name] + share * value, np.float32) for name, value in tuned.items()
    }  # fmt: skip


def choose_share(
    arrays: Mapping[str, Floats], part: str, tuned: Mapping[str, Floats], stop: Sequence[DecoderExample],
    others: Sequence[DecoderExample],
) -> float:  # fmt: skip
    """Choose the share of the tuned weights, see `list_kept_shares`, that is best on held-out examples.

    others: of pictures of all kinds, whose mean IoU decides which shares are kept. Returns 0 where none is, or none is
    better than the old weights.
    """

    @lru_cache(maxsize=1)  # each is asked for twice in a row
    def blend(share: float) -> TrainableDecoder:
        return TrainableDecoder({**arrays, **blend_weights(arrays, tuned, share)}, part)

    least, best, best_loss = measure_choice(blend(0), others) - MAX_LOSS, 0.0, _measure(blend(0), stop)
    for share in list_kept_shares(lambda share: measure_choice(blend(share), others) >= least):
        loss = _measure(blend(share), stop)
        if loss < best_loss:
            best, best_loss = share, loss
    return best


def measure_choice(decoder: TrainableDecoder, examples: Sequence[DecoderExample]) -> float:
    """Measure the mean IoU of the candidates of the highest predicted IoU."""
    ious = []
    for each in examples:
        with torch.no_grad():
            logits, predicted = _decode(decoder, each, each.tokens[None], each.absent[None])
        chosen = 0 if each.is_correction else 1 + int(predicted[0, 1:].argmax())
        mask = logits[0, chosen].numpy() > 0
        ious.append(float((mask & each.mask).sum() / max((mask | each.mask).sum(), 1)))
    return float(np.mean(ious))


def _copy(decoder: TrainableDecoder) -> dict[str, Floats]:
    return {name: value.detach().numpy().copy() for name, value in decoder.trained.items()}


def _measure(decoder: TrainableDecoder, examples: Sequence[DecoderExample]) -> float:
    with torch.no_grad():
        return float(np.mean([float(_compute_loss(decoder, each)) for each in examples]))


def _decode(
    decoder: TrainableDecoder, example: DecoderExample, tokens: Floats, absent: Floats
) -> tuple[Tensor, Tensor]:
    keys, prompts = torch.from_numpy(example.keys), (torch.from_numpy(tokens), torch.from_numpy(absent))
    return decoder.decode(keys, *prompts, example.tokens_px)


def _compute_loss(decoder: TrainableDecoder, example: DecoderExample) -> Tensor:
    logits, predicted = _decode(decoder, example, example.tokens[None], example.absent[None])
    logits, predicted, truth = logits[0], predicted[0], torch.from_numpy(example.mask.astype(np.float32))
    inside = logits.sigmoid()
    right = inside * truth + (1 - inside) * (1 - truth)
    focal = (-((1 - right) ** 2) * right.clamp_min(1e-6).log()).mean((1, 2))
    dice = 1 - (2 * (inside * truth).sum((1, 2)) + 1) / (inside.sum((1, 2)) + truth.sum() + 1)
    masks = logits.detach() > 0
    iou = (masks & (truth > 0)).sum((1, 2)) / (masks | (truth > 0)).sum((1, 2)).clamp_min(1)
    losses = FOCAL_WEIGHT * focal + dice
    return (losses[0] if example.is_correction else losses[1:].min()) + nnf.mse_loss(predicted, iou.float())


def _answer_kept(old: TrainableDecoder, example: DecoderExample) -> tuple[Tensor, Tensor] | None:
    """Answer the prompts whose answers shall stay: probabilities and predicted IoUs."""
    if example.kept is None:
        return None
    with torch.no_grad():
        logits, predicted = _decode(old, example, *example.kept)
    return logits.sigmoid(), predicted


def _compute_change(decoder: TrainableDecoder, example: DecoderExample, wanted: tuple[Tensor, Tensor] | None) -> Tensor:
    if example.kept is None or wanted is None:
        return torch.zeros(())
    logits, predicted = _decode(decoder, example, *example.kept)
    return nnf.binary_cross_entropy_with_logits(logits, wanted[0]) + nnf.mse_loss(predicted, wanted[1])
