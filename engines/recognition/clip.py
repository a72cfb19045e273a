"""Compares a picture's patches with words by CLIP, on the CPU by OpenVINO.

The picture is encoded once (see `engines.models.clip_graph`); names, and words that come later, cost a product of
matrices. Crops of objects are not used: a crop shows a part of what is round an object, and names that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import cache
from engines.base import Floats, Image, check_image
from engines.models.clip_graph import ClipShape, build_picture_graph
from engines.models.safetensors import read_safetensors
from engines.openvino_core import compile_for_latency, open_core
from engines.recognition.base import WordQuery
from engines.recognition.clip_text import ClipTextEncoder
from engines.recognition.coco_names import NAMES
from engines.recognition.patch_embeddings import PatchEmbeddings, normalize
from engines.settings import default_cache_dir
from engines.weights import weight_files

LONG_SIDE, SMALL_LONG_SIDE = 14, 11
"""Patches along the longest side of a picture: twice those of the training with patches of 32 px, and fewer, which
cost 0.6 of the time."""


class ClipRecognizer:
    """An `ObjectRecognizer` for any word, without boxes; compiles the graph of the newest shape of pictures.

    A picture is resized to whole patches, which stretches it by half a patch at most; the positions that the network
    learned for a square are interpolated.
    """

    def __init__(
        self,
        folder: Path,
        model: str,
        *,
        names: Sequence[str] = (),
        threads: int = 1,
        long_side: int = LONG_SIDE,
        precision: str = "",
        cache_dir: Path | None = None,
    ) -> None:
        """folder: of the weights. names: that objects may have; COCO's 80 by default. long_side: patches.
        precision: "f32" or "bf16"; OpenVINO's choice by default. cache_dir: of the encoded names.

        Raises `ModelError` or `EngineUnavailable`.
        """
        self.model, self._long_side, self._threads = model, long_side, threads
        self._config = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
        self._core = open_core()
        (file,) = weight_files(folder, model)
        self._weights = read_safetensors(file)
        self._patch_px = ClipShape.of(self._weights).patch_px
        self._text = ClipTextEncoder(self._weights, threads, self._config)
        key = {"model": model, "weights": cache.hash_files((file,)), **self._config}
        self._vocabulary = self._text.load_vocabulary(names or NAMES, cache_dir or default_cache_dir(), key)
        self._compiled: tuple[tuple[int, int], Any] | None = None

    def recognize(self, image: Image) -> PatchEmbeddings:
        """See `ObjectRecognizer.recognize`."""
        check_image(image)
        height, width = image.shape[:2]
        scale = self._long_side / max(height, width)
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        method = cv2.INTER_AREA if scale * self._patch_px < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(image, (columns * self._patch_px, rows * self._patch_px), interpolation=method)
        patches = normalize(self._run(np.asarray(picture, np.uint8), rows, columns))
        return PatchEmbeddings(patches.reshape(rows, columns, -1), self._vocabulary, (width, height))

    def encode_word(self, text: str) -> WordQuery:
        """See `ObjectRecognizer.encode_word`; raises `PromptError` for an empty word."""
        return WordQuery(text, self._text.encode(text))

    def close(self) -> None:
        """Free the graphs."""
        self._compiled = None
        self._text.close()

    def _run(self, picture: Image, rows: int, columns: int) -> Floats:
        if self._compiled is None or self._compiled[0] != (rows, columns):
            self._compiled = None  # frees the earlier graph's memory before the next one takes as much
            network = self._core.read_model(build_picture_graph(self._weights, rows, columns).SerializeToString())
            compiled = compile_for_latency(self._core, network, self._threads, **self._config)
            self._compiled = (rows, columns), compiled.create_infer_request()
        request = self._compiled[1]
        request.infer([picture[None]])
        return np.array(request.get_output_tensor(0).data[0], np.float32)
