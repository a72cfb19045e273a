"""Caches embeddings on disk by the picture's pixels, so that a second measurement encodes nothing."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from engines import Embedding, Encoder, Image


class EmbeddingCache:
    """An encoder that looks for its result in a folder first, which must hold nothing but its own files."""

    def __init__(self, encoder: Encoder, folder: Path | None) -> None:
        """folder: None caches nothing."""
        self._encoder, self._folder = encoder, folder
        self.info = encoder.info
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def encode(self, image: Image) -> Embedding:
        """Encode a picture, or read its embedding."""
        if self._folder is None:
            return self._encoder.encode(image)
        key = hashlib.sha256(image.tobytes() + f"{image.shape}{self.info}".encode()).hexdigest()[:32]
        path = self._folder / f"{key}.pickle"
        if path.exists():
            letterbox, packed, nbytes = pickle.loads(path.read_bytes())
            return Embedding(self.info.engine_id, letterbox, _unpack(packed), nbytes)
        embedding = self._encoder.encode(image)
        partial = path.with_suffix(".part")
        partial.write_bytes(pickle.dumps((embedding.letterbox, _pack(embedding.tensors), embedding.nbytes)))
        partial.rename(path)
        return embedding

    def close(self) -> None:
        """Close the encoder."""
        self._encoder.close()


def _pack(tensors: Any) -> Any:
    """Turn OpenVINO's tensors, which cannot be written, into (True, arrays); all else is (False, as it is)."""
    if isinstance(tensors, tuple) and all(type(tensor).__module__.startswith("openvino") for tensor in tensors):
        return True, [np.array(tensor.data) for tensor in tensors]
    return False, tensors


def _unpack(packed: Any) -> Any:
    is_openvino, tensors = packed
    if not is_openvino:
        return tensors
    import openvino as ov  # only where its embeddings were written

    return tuple(ov.Tensor(tensor) for tensor in tensors)
