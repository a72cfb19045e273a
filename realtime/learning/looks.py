"""Holds looks to learn from: the hypotheses of fixations, and which of them people found right or wrong.

Files of looks are a cache: they hold no pickle, and are made again when they cannot be read.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from engines import Floats, Image, Mask
from realtime.files import write_atomically
from realtime.tracking.candidate_ranker import FEATURES, Matrix, measure_features
from realtime.tracking.hypotheses import Hypothesis
from realtime.tracking.mask_selection import SelectionSettings

RIGHT_IOU = 0.5
"""A mask is right from this IoU with the object meant on."""
THUMBNAIL_PX = 480
Answer = Literal["kept", "dropped", "corrected", "chosen"]


@dataclass(frozen=True, slots=True, eq=False)
class FixationChoice:
    """Holds the hypotheses about one fixation on one keyframe, as they were ranked then: the shown one first.

    features: (N, F), see `measure_features`. masks: (N, h, w) bool on the keyframe's grid. place: names recording or
    picture, and the keyframe. picture: a small JPEG of it. object: its number there. at_ns: capture of the frame.
    is_chosen: the user chose the first one from the alternatives.
    """

    features: Matrix
    masks: NDArray[np.bool_] = field(repr=False)
    place: str
    object: int = 0
    at_ns: int = 0
    is_chosen: bool = False
    picture: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledLook:
    """Holds the choice of one fixation and the answer to it.

    overlap: (N,) IoU of each hypothesis with the right mask, or with the mask that was dropped.
    group: what is never divided between training and test, such as a recording. visit: looks of one visit are one
    answer, however many keyframes it has. right: (h, w), the right mask, if it is known.
    """

    choice: FixationChoice
    overlap: Floats
    answer: Answer
    group: str
    visit: str
    right: Mask | None = field(default=None, repr=False)

    @property
    def reward(self) -> Matrix:
        """How good it is to choose each hypothesis, (N,) 0..1; of a dropped mask, only that others may be better."""
        if self.answer == "dropped":
            return np.asarray(self.overlap < RIGHT_IOU, np.float64)
        return np.asarray(self.overlap, np.float64) ** 2 * (self.overlap >= RIGHT_IOU)


def label_choice(
    choice: FixationChoice, answer: Answer, group: str, visit: str, truth: Mask | None = None
) -> LabelledLook:
    """Label a choice. truth: (H, W) bool, the right mask of a corrected one; else the answer is about the shown one."""
    right = choice.masks[0] if truth is None else shrink_mask(truth, choice.masks.shape[1:])
    common = (choice.masks & right).sum((1, 2))
    union = (choice.masks | right).sum((1, 2))
    overlap = np.asarray(common / np.maximum(union, 1), np.float32)
    return LabelledLook(choice, overlap, answer, group, visit, None if answer == "dropped" else right)


def describe_choice(
    hypotheses: Sequence[Hypothesis], settings: SelectionSettings, place: str, image: Image | None = None,
    *, object_id: int = 0, at_ns: int = 0, is_chosen: bool = False, picture: bytes = b"",
) -> FixationChoice:  # fmt: skip
    """Describe hypotheses, most probable first. picture: the thumbnail, where there is no image to make it of."""
    features = measure_features(hypotheses, settings.runaway_area)
    masks = np.stack([each.mask for each in hypotheses])
    picture = make_thumbnail(image) if image is not None else picture
    return FixationChoice(features, masks, place, object_id, at_ns, is_chosen, picture)


def shrink_mask(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Shrink an (H, W) mask to a grid of the same picture."""
    small = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small > 0.5)


def make_thumbnail(image: Image) -> bytes:
    """Encode a small JPEG of a picture."""
    zoom = THUMBNAIL_PX / max(image.shape[:2])
    small = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA) if zoom < 1 else image
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def save_choices(file: Path, choices: Sequence[FixationChoice]) -> None:
    """Write choices as arrays, whole or not at all; raises OSError."""
    shapes = np.array([each.masks.shape for each in choices], np.int64).reshape(-1, 3)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        features=np.concatenate([each.features for each in choices] or [np.zeros((0, len(FEATURES)))]),
        shapes=shapes,
        masks=_join([np.packbits(each.masks) for each in choices]),
        texts=np.array([each.place for each in choices], np.str_),
        numbers=np.array([(each.object, each.at_ns, each.is_chosen) for each in choices], np.int64).reshape(-1, 3),
        pictures=_join([np.frombuffer(each.picture, np.uint8) for each in choices]),
        lengths=np.array([len(each.picture) for each in choices], np.int64),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, buffer.getvalue())


def load_choices(file: Path) -> list[FixationChoice] | None:
    """Read choices; None without a file, or for one that cannot be read."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        choices, row, bit, byte = [], 0, 0, 0
        for shape, text, numbers, length in zip(
            arrays["shapes"].tolist(), arrays["texts"].tolist(), arrays["numbers"].tolist(),
            arrays["lengths"].tolist(), strict=True,
        ):  # fmt: skip
            size = -(-shape[0] * shape[1] * shape[2] // 8)
            bits = np.unpackbits(arrays["masks"][bit : bit + size], count=shape[0] * shape[1] * shape[2])
            choices.append(
                FixationChoice(
                    arrays["features"][row : row + shape[0]], bits.reshape(shape).astype(np.bool_), text, numbers[0],
                    numbers[1], bool(numbers[2]), arrays["pictures"][byte : byte + length].tobytes(),
                )
            )  # fmt: skip
            row, bit, byte = row + shape[0], bit + size, byte + length
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return choices


def hash_texts(parts: Iterable[str | bytes]) -> str:
    """Hash texts or bytes to 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def _join(parts: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.concatenate(parts) if parts else np.zeros(0, np.uint8)
