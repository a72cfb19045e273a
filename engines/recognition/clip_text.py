"""Encodes words with CLIP's text tower, averaged over prompts, and keeps what was encoded."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from engines import cache
from engines.base import Floats, ModelError, PromptError
from engines.graphs import GRAPH_VERSION
from engines.models.clip_graph import ClipShape, build_text_graph, embed_tokens
from engines.models.weight_arrays import ModelWeights
from engines.openvino_core import compile_for_latency, open_core
from engines.recognition.clip_tokenizer import ClipTokenizer
from engines.recognition.patch_embeddings import NameVocabulary, normalize

PROMPTS = ("a photo of a {}.", "a photo of the small {}.", "a photo of the large {}.", "there is a {} in the scene.")
"""Of those with which CLIP's authors average a name, ones that fit the view of a camera."""
BACKGROUND = (
    "background", "wall", "floor", "ceiling", "window", "door", "sky", "ground", "grass", "tree", "road", "building",
    "shelf", "hand",
)  # fmt: skip
"""What a patch may show beside the names of a vocabulary."""
LENGTHS = (16, 32)
"""Tokens of the graphs for all but the longest texts; a short one costs less."""
MAX_WORDS = 256


class ClipTextEncoder:
    """Encodes words on the CPU by OpenVINO; thread-safe.

    Keeps one graph, which is compiled when the first text of its length comes.
    """

    def __init__(self, weights: ModelWeights, threads: int, config: dict[str, str]) -> None:
        self._weights, self._threads, self._config = weights, threads, config
        self._shape = ClipShape.of(weights)
        self._tokenizer = ClipTokenizer()
        self._lock = threading.Lock()
        self._compiled: tuple[int, Any] | None = None
        self._codes: dict[str, Floats] = {}

    def encode(self, text: str) -> Floats:
        """Return the embedding of a word, (n,) of length 1; raises `PromptError` for an empty one."""
        word = " ".join(text.split())
        if not word:
            raise PromptError("the word is empty; give at least one letter")
        with self._lock:
            if word not in self._codes:
                while len(self._codes) >= MAX_WORDS:
                    del self._codes[next(iter(self._codes))]
                self._codes[word] = self._run([prompt.format(word) for prompt in PROMPTS])
            return self._codes[word]

    def load_vocabulary(self, names: Sequence[str], folder: Path, key: dict[str, str]) -> NameVocabulary:
        """Encode names and background words, or read them from a folder, where they are kept by a key."""
        texts = [*names, *BACKGROUND]
        digest = hashlib.sha256(repr((texts, PROMPTS)).encode()).hexdigest()
        key = {**key, "graphs": str(GRAPH_VERSION), "format": "names", "names": digest}
        file = cache.file_path(folder, f"{key['model']}-names", key, ".npz")
        if cache.find_cached(file, key) is not None:
            with np.load(file, allow_pickle=False) as arrays:
                codes = arrays["codes"]
        else:
            codes = np.array([self.encode(text) for text in texts])
            with suppress(ModelError):  # a folder that cannot be written only costs the time to encode again
                with cache.atomic_write(file) as partial, partial.open("wb") as stream:
                    np.savez(stream, codes=codes)
                cache.write_note(file, f"{key['model']}-names", key)
        return NameVocabulary(tuple(names), codes, float(np.exp(self._weights["logit_scale"])))

    def close(self) -> None:
        """Free the graphs."""
        with self._lock:
            self._compiled = None

    def _run(self, texts: Sequence[str]) -> Floats:
        """Encode texts together, and average them."""
        ids = [self._tokenizer.tokenize(text, self._shape.context) for text in texts]
        length = next((each for each in LENGTHS if each >= max(map(len, ids))), self._shape.context)
        tokens, ends = np.zeros((len(ids), length), np.int64), np.zeros((len(ids), 1, length), np.float32)
        for index, row in enumerate(ids):
            tokens[index, : len(row)] = row
            ends[index, 0, len(row) - 1] = 1
        if self._compiled is None or self._compiled[0] != length:
            self._compiled = None  # frees the earlier graph's memory before the next one takes as much
            core = open_core()
            network = core.read_model(build_text_graph(self._weights, len(ids), length).SerializeToString())
            compiled = compile_for_latency(core, network, self._threads, **self._config)
            self._compiled = length, compiled.create_infer_request()
        request = self._compiled[1]
        request.infer([embed_tokens(self._weights, tokens), ends])
        found = np.array(request.get_output_tensor(0).data, np.float32)[:, 0]
        return normalize(normalize(found).mean(0))
