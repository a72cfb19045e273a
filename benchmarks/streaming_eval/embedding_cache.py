"""Caches embeddings on disk by the picture's pixels, so that a second measurement encodes nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from engines import Embedding, Encoder, Image, Letterbox
from engines.graphs import GRAPH_VERSION


class EmbeddingCache:
    """An encoder that looks for its result in a folder first. Only OpenVINO's embeddings are stored."""

    def __init__(self, encoder: Encoder, folder: Path | None) -> None:
        """folder: may be shared by engines and by processes; None caches nothing."""
        self._encoder = encoder
        self._folder = folder if encoder.info.backend == "openvino" else None
        self.info = encoder.info

    def encode(self, image: Image) -> Embedding:
        """Encode a picture, or read its embedding."""
        if self._folder is None:
            return self._encoder.encode(image)
        info, size = self.info, (image.shape[1], image.shape[0])
        engine = f"{info.model}-{info.precision}-{info.picture_side}-{GRAPH_VERSION}-{size[0]}x{size[1]}"
        path = self._folder / engine / f"{hashlib.sha256(image.tobytes()).hexdigest()[:24]}.npz"
        if not path.exists():
            embedding = self._encoder.encode(image)
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"{path.stem}.{os.getpid()}.npz")
            np.savez(unfinished, *[np.asarray(tensor.data) for tensor in embedding.tensors])
            unfinished.replace(path)
            return embedding
        import openvino  # only where its embeddings were written

        with np.load(path) as stored:
            tensors = tuple(openvino.Tensor(stored[name]) for name in stored.files)
        nbytes = sum(tensor.byte_size for tensor in tensors)
        return Embedding(info.engine_id, Letterbox(*size, picture_side=info.picture_side), tensors, nbytes)

    def close(self) -> None:
        """Close the encoder."""
        self._encoder.close()
