"""Defines the encoder and decoder protocols, the data that they exchange, and their errors.

An `Encoder` turns a picture into an `Embedding`, slowly and once; a `Decoder` turns an embedding and prompts into
`MaskCandidates`, quickly and often. They are two objects so that they can run at once on two threads. This module
imports nothing of ours but the letterbox.

Pixels here are the picture's own: x right, y down, the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engines.letterbox import MODEL_SIDE, Letterbox

Image = NDArray[np.uint8]
"""(H, W, 3) uint8, blue-green-red as OpenCV decodes it."""
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

LOGITS_SIDE = 256
"""Side of SAM's low-resolution mask logits, which cover the model's 1024 x 1024 input."""
STABILITY_OFFSET = 1.0
"""How far the threshold is moved either way for `MaskCandidates.stability`."""


class EngineError(Exception):
    """A base class of every error of an engine, a model file or a prompt."""


class ModelError(EngineError):
    """An error that reports missing, corrupt or unexpected model weights."""


class EngineUnavailable(EngineError):
    """An error that reports a backend that cannot run here; the message names what to install."""


class PromptError(EngineError):
    """An error that reports an image or a prompt that no engine can use."""


class ForeignEmbedding(EngineError):
    """An error that reports an embedding of another engine, whose masks would be plausible but wrong."""


class EngineClosed(EngineError):
    """An error that reports the use of an engine after `close`."""


class InvalidOutput(EngineError):
    """An error that reports masks that are no numbers, as of a damaged engine or one whose precision is too low."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Holds a SAM prompt: points, a box, a previous mask, or several of them together.

    points_px: (N, 2) float32, picture pixels.
    labels: (N,) int8; 1 is on the object, 0 is on the background.
    box_px: (4,) float32 x0 y0 x1 y1, picture pixels, or None.
    mask_logits: (256, 256) float32, one map of an earlier decode of a picture of the same size, or None.
    """

    points_px: Floats
    labels: NDArray[np.int8]
    box_px: Floats | None = None
    mask_logits: Floats | None = None

    def __post_init__(self) -> None:
        """Raise `PromptError` for an empty prompt, a wrong shape or a value that is not finite."""
        points, labels = self.points_px, self.labels
        if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
            raise PromptError(f"points must be (N, 2) with (N,) labels, got {points.shape} and {labels.shape}")
        if not len(points) and self.box_px is None:
            raise PromptError("the prompt is empty; give at least one point or a box")
        if not np.isfinite(points).all():
            raise PromptError(f"points must be finite pixels, got {points.tolist()}")
        if not np.isin(labels, (0, 1)).all():
            raise PromptError(f"labels must be 1 (object) or 0 (background), got {labels.tolist()}")
        box = self.box_px
        if box is not None and (box.shape != (4,) or not np.isfinite(box).all() or (box[2:] < box[:2]).any()):
            raise PromptError(f"a box must be x0 y0 x1 y1 with x0 <= x1 and y0 <= y1, got {box.tolist()}")
        logits = self.mask_logits
        if logits is not None and logits.shape != (LOGITS_SIDE, LOGITS_SIDE):
            raise PromptError(f"mask logits must be ({LOGITS_SIDE}, {LOGITS_SIDE}), got {logits.shape}")

    @classmethod
    def click(cls, x: float, y: float, *, mask_logits: Floats | None = None) -> Prompt:
        """Build a prompt of one foreground point, in image pixels."""
        return cls(np.array([[x, y]], np.float32), np.ones(1, np.int8), mask_logits=mask_logits)

    @classmethod
    def box(cls, x0: float, y0: float, x1: float, y1: float) -> Prompt:
        """Build a prompt of one box round the object, in image pixels."""
        return cls(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), np.array([x0, y0, x1, y1], np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Holds the image embedding of one image; only the decoder of the same engine can read it."""

    engine_id: str
    letterbox: Letterbox
    tensors: Any = field(repr=False)
    nbytes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class MaskCandidates:
    """Holds the candidate masks of one prompt as logits: above 0 is inside.

    logits: (K, 256, 256) float32 on the letterboxed model input. K is 4 where the engine gives all of SAM's masks
    (index 0 the one for unambiguous prompts, then three from part to whole) and 1 where its graph gives only one.
    predicted_iou: (K,) float32, the decoder's estimate of each mask's IoU with the true mask.
    """

    logits: Floats = field(repr=False)
    predicted_iou: Floats
    letterbox: Letterbox

    @property
    def best_index(self) -> int:
        """Return the index of the mask with the highest predicted IoU, of four masks among the last three."""
        first = 1 if len(self.predicted_iou) > 1 else 0
        return first + int(np.argmax(self.predicted_iou[first:]))

    @property
    def stability(self) -> Floats:
        """(K,) float32 in 0..1: SAM's stability score, the IoU of each mask cut at logits of +1 and of -1.

        A mask whose edge does not move with the threshold is reliable. 0 for an empty mask.
        """
        inner, outer = ((self.logits > cut).sum((1, 2)) for cut in (STABILITY_OFFSET, -STABILITY_OFFSET))
        return np.asarray(inner / np.maximum(outer, 1), np.float32)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Describes an engine, as published in `health` and printed by `gazecast engine`.

    picture_side: the longest side of a picture as the encoder sees it, of the model's 1024 pixels.
    """

    engine_id: str
    backend: str
    model: str
    precision: str
    device: str
    masks: int
    versions: dict[str, str] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    picture_side: int = MODEL_SIDE


@runtime_checkable
class Encoder(Protocol):
    """A protocol that turns an image into an embedding; used by one thread at a time."""

    @property
    def info(self) -> EngineInfo:
        """Describe the engine."""

    def encode(self, image: Image) -> Embedding:
        """Encode one (H, W, 3) uint8 BGR picture of any size; raises `PromptError` for anything else."""

    def close(self) -> None:
        """Free memory and graphs; may be called twice, later use raises `EngineClosed`."""


@runtime_checkable
class Decoder(Protocol):
    """A protocol that turns an embedding and prompts into candidate masks.

    Used by one thread at a time, which may differ from the encoder's.
    """

    @property
    def info(self) -> EngineInfo:
        """Describe the engine."""

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """Decode every prompt on one embedding, in one batch where the backend can.

        Raises `PromptError` for no prompt or a point outside the picture, `ForeignEmbedding` for an embedding of
        another engine.
        """

    def close(self) -> None:
        """Free memory and graphs; may be called twice, later use raises `EngineClosed`."""


def check_image(image: Image) -> None:
    """Raise `PromptError` unless the picture is (H, W, 3) uint8 with at least one pixel."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        got = f"{getattr(image, 'shape', type(image).__name__)} {getattr(image, 'dtype', '')}".strip()
        raise PromptError(f"a picture must be (H, W, 3) uint8, got {got}; convert grey or float pictures first")
    if not image.shape[0] or not image.shape[1]:
        raise PromptError(f"a picture needs at least one pixel, got {image.shape[1]} x {image.shape[0]}")


def check_prompts(info: EngineInfo, embedding: Embedding, prompts: Sequence[Prompt]) -> None:
    """Raise `ForeignEmbedding` or `PromptError` where `Decoder.decode` must."""
    if embedding.engine_id != info.engine_id:
        raise ForeignEmbedding(
            f"the embedding comes from engine {embedding.engine_id}, this decoder is {info.engine_id}; "
            "use the encoder and decoder that were opened together"
        )
    if not prompts:
        raise PromptError("no prompt; give at least one")
    box = embedding.letterbox
    for prompt in prompts:
        points = prompt.points_px
        if len(points) and ((points < -0.5) | (points > np.array([box.width, box.height]) - 0.5)).any():
            raise PromptError(f"points {points.tolist()} are outside the {box.width} x {box.height} picture")


def check_finite(found: tuple[MaskCandidates, ...]) -> tuple[MaskCandidates, ...]:
    """Return candidates whose values are finite; raises `InvalidOutput` for others."""
    for each in found:
        if not np.isfinite(each.logits.sum(dtype=np.float64) + each.predicted_iou.sum()):
            raise InvalidOutput(
                "the engine's masks are no numbers (NaN); set engine.precision to f32, or try: gazecast engine clean"
            )
    return found
