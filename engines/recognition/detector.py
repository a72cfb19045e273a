"""Detects the 80 objects of COCO with NanoDet-g, on the CPU by OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.base import Floats, Image, check_image
from engines.openvino_core import compile_for_latency, open_core
from engines.recognition.base import RecognizedObject, WordQuery
from engines.recognition.coco_names import NAMES
from engines.recognition.detected_objects import DetectedObjects
from engines.recognition.name_words import encode_name
from engines.recognition.nanodet_graph import MAX_STRIDES, STRIDES, build_nanodet, read_convolutions

TRAINED_SIDE, SMALL_SIDE = 416, 320
"""Longest sides of a picture for the network, px: that of its training, and one that costs 0.6 of its time and finds
0.60 instead of 0.63 of the objects of the COCO stills."""
MULTIPLE = STRIDES[-1]
MIN_SCORE, MIN_WORD_SCORE = 0.25, 0.1
"""Of an object, and of a box that only a word finds: a thing that was named is much more probably there. Of the
objects of the COCO stills, a box of their name is found for 0.69 at 0.25, 0.83 at 0.15 and 0.90 at 0.1; names of what
is not in a picture find a box in 0.02, 0.07 and 0.13 of them."""
MAX_OVERLAP = 0.6
"""Boxes of one name with a higher IoU are of one object; NanoDet's own value."""
MAX_OBJECTS, MAX_WORD_BOXES = 50, 300
GREY = 114


class ObjectDetector:
    """An `ObjectRecognizer` with 80 names, which compiles one graph for each shape of pictures."""

    model = "nanodet"

    def __init__(self, folder: Path, *, threads: int = 1, side: int = TRAINED_SIDE, precision: str = "") -> None:
        """folder: with `nanodet.json` and `nanodet.bin`. side: longest side of a picture for the network, px.
        precision: "f32" or "bf16"; OpenVINO's choice by default.

        Raises `ModelError` or `EngineUnavailable`.
        """
        self._side = side
        self._config = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
        self._convolutions = read_convolutions(folder / "nanodet.json", folder / "nanodet.bin")
        self._core, self._threads = open_core(), threads
        self._compiled: dict[tuple[int, int], Any] = {}

    def recognize(self, image: Image) -> DetectedObjects:
        """See `ObjectRecognizer.recognize`."""
        check_image(image)
        height, width = image.shape[:2]
        scale = self._side / max(height, width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        size = tuple(-(-side // MULTIPLE) * MULTIPLE for side in inner)
        picture = np.full((1, *size, 3), GREY, np.uint8)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        picture[0, : inner[0], : inner[1]] = cv2.resize(image, inner[::-1], interpolation=method)
        scores, sides = self._run(picture)
        cells = decode_cells(scores, sides, size, (width / inner[1], height / inner[0]), (width, height))
        found = select_objects(*cells, MIN_SCORE, MAX_OBJECTS)
        return DetectedObjects(NAMES, found, (width, height), select_objects(*cells, MIN_WORD_SCORE, MAX_WORD_BOXES))

    def encode_word(self, text: str) -> WordQuery:
        """See `ObjectRecognizer.encode_word`: a weight of each of its names."""
        return encode_name(text, NAMES)

    def close(self) -> None:
        """Free the graphs."""
        self._compiled.clear()

    def _run(self, picture: Image) -> tuple[Floats, Floats]:
        shape = picture.shape[1:3]
        if shape not in self._compiled:
            model = build_nanodet(self._convolutions, *shape)
            network = self._core.read_model(model.SerializeToString())
            compiled = compile_for_latency(self._core, network, self._threads, **self._config)
            self._compiled[shape] = compiled.create_infer_request()
        request = self._compiled[shape]
        request.infer([picture])
        scores, sides = (np.array(request.get_output_tensor(index).data, np.float32) for index in (0, 1))
        return scores, sides


def decode_cells(
    scores: Floats, sides: Floats, size: tuple[int, int], scale: tuple[float, float], limit: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Decode the scores, (N, names), and boxes, (N, 4) x0 y0 x1 y1 picture px, of the cells that may have an object.

    scores, sides: see `build_nanodet`. size: (height, width) of its picture. scale: picture px for each of its own, x
    and y. limit: (width, height) of the picture.
    """
    kept = np.flatnonzero(scores.max(1) >= MIN_WORD_SCORE)
    scores, weights = scores[kept], np.exp(sides[kept] - sides[kept].max(2, keepdims=True))
    strides, centres = (values[kept] for values in locate_cells(*size))
    distances = strides[:, None] * (weights @ np.arange(MAX_STRIDES + 1)) / weights.sum(2)
    corners = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], 1) * (scale * 2)
    return scores, np.clip(corners, 0, np.array(limit * 2) - 1).astype(np.float32)


def select_objects(scores: Floats, corners: Floats, min_score: float, most: int) -> tuple[RecognizedObject, ...]:
    """Select the boxes of at least a score, and suppress what overlaps a surer box of the same name.

    scores, corners: see `decode_cells`. most: boxes that are looked at, the surest.
    """
    if not (scores.max(1, initial=0) >= min_score).any():
        return ()
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    chosen = cv2.dnn.NMSBoxesBatched(
        boxes.tolist(), scores.max(1).tolist(), scores.argmax(1).tolist(), min_score, MAX_OVERLAP, top_k=most
    )
    return tuple(RecognizedObject(tuple(corners[index].tolist()), NAMES, scores[index]) for index in chosen)


def locate_cells(height: int, width: int) -> tuple[Floats, Floats]:
    """Return each output cell's stride, (cells,), and the centre in the network's picture, (cells, 2) x y px."""
    strides, centres = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        centres.append((np.stack([columns, rows], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(np.full(len(centres[-1]), stride))
    return np.concatenate(strides).astype(np.float32), np.concatenate(centres).astype(np.float32)
