"""Runs SAM over any backend: shapes pictures and prompts here, graphs in an `EngineRuntime`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.base import (
    LOGITS_SIDE,
    Embedding,
    EngineClosed,
    EngineInfo,
    Floats,
    Image,
    MaskCandidates,
    ModelError,
    Prompt,
    check_image,
    check_prompts,
)
from engines.graph_store import GraphStore
from engines.graphs import BATCHES, LIVE, DecoderGraph, EncoderGraph
from engines.letterbox import Letterbox
from engines.prompts import PromptTable
from engines.settings import PICTURE_SIDES, EngineSettings, Report, default_cache_dir, picture_side
from engines.speed import SpeedRecord, speed_key

_serial = itertools.count(1)
"""Gives every opened engine a unique id."""


EncoderRun = Callable[[Image], tuple[Any, int]]
"""A compiled encoder graph: content (h, w, 3) to the backend's embedding, not shared with later calls, and its bytes.

Where the runtime `accepts_frames`, the input is a whole frame (H, W, 3) whose content matches the graph.
"""
DecoderRun = Callable[[Any, Sequence[Floats]], tuple[Floats, Floats]]
"""A compiled decoder graph: an embedding and the prompts' arrays to logits and predicted IoU, owned by the caller."""


class EngineRuntime(Protocol):
    """A backend that compiles graphs."""

    accepts_frames: bool
    """Whether its `EncoderRun` resizes frames itself, and accepts them in its device's memory too."""

    def encoder(self, graph: EncoderGraph) -> EncoderRun:
        """Compile an encoder."""

    def decoder(self, graph: DecoderGraph) -> DecoderRun:
        """Compile a decoder."""

    def array(self, tensor: Any) -> Floats:
        """Return one output tensor of an `EncoderRun`, as float32 on the host."""


def open_store(settings: EngineSettings, weights: Path | None, report: Report) -> GraphStore:
    """Open the graph store of the settings' model; raises `ModelError` where there are no weights."""
    if weights is None:
        raise ModelError(f"the {settings.backend} engine needs the folder with the weights of {settings.model}")
    return GraphStore(weights, settings.model, settings.cache_dir or default_cache_dir(), report)


def open_sam(
    settings: EngineSettings,
    store: GraphStore,
    runtime: EngineRuntime,
    *,
    precision: str,
    device: str,
    versions: Mapping[str, str],
    frame_size: tuple[int, int] | None,
    on_gpu: bool = False,
) -> tuple[SamEncoder, SamDecoder]:
    """Open an encoder and a decoder over one runtime, preparing graphs for a known (width, height).

    precision, device, versions: as in `EngineInfo`.
    """
    info = EngineInfo(
        engine_id=f"{settings.backend}-{settings.model}-{next(_serial)}",
        backend=settings.backend,
        model=settings.model,
        precision=precision,
        device=device,
        masks=4,
        versions=dict(versions),
        threads={"encoder": settings.encoder_threads, "decoder": settings.decoder_threads},
        picture_side=picture_side(settings, on_gpu),
    )
    is_fixed = bool(settings.picture_side) or on_gpu or settings.model != "mobile_sam"
    sides = [side for side in PICTURE_SIDES if side <= info.picture_side and not is_fixed]
    speed = SpeedRecord(store.root, store.key(**speed_key(info)))
    table = store.prompt_table()
    encoder = SamEncoder(info, runtime, table, sides or [info.picture_side], speed)
    decoder = SamDecoder(info, runtime, table)
    if frame_size is not None:
        store.report(f"opening the {precision} encoder for {frame_size[0]} x {frame_size[1]} with {settings.backend}")
        encoder.prepare(frame_size)
        decoder.prepare(frame_size)
    return encoder, decoder


class SamEncoder:
    """See `Encoder`. The graph of a new picture shape is compiled on first use; the last few are kept, 60 MB each.

    sides: picture sides between which a caller may choose, the largest being the usual one.
    speed: encode times of this engine on this machine.
    """

    KEPT = 12

    def __init__(
        self, info: EngineInfo, runtime: EngineRuntime, table: PromptTable, sides: Sequence[int], speed: SpeedRecord
    ) -> None:
        self.info, self.sides, self.speed = info, tuple(sides), speed
        self._runtime: EngineRuntime | None = runtime
        self._table = table
        self._runs = lru_cache(self.KEPT)(runtime.encoder)

    def prepare(self, frame_size: tuple[int, int], side: int | None = None) -> None:
        """Compile the graph for (width, height) at a picture side, the usual one by default. From any thread."""
        self._runs(EncoderGraph.of(Letterbox(*frame_size, picture_side=side or self.info.picture_side)))

    def encode(self, image: Image, side: int | None = None) -> Embedding:
        """See `Encoder.encode`. side: the picture side, the usual one by default."""
        if self._runtime is None:
            raise EngineClosed("this encoder was closed; load the engine again")
        accepts_frames = self._runtime.accepts_frames
        if not (accepts_frames and hasattr(image, "__cuda_array_interface__")):
            check_image(image)
        letterbox = Letterbox(image.shape[1], image.shape[0], picture_side=side or self.info.picture_side)
        run = self._runs(EncoderGraph.of(letterbox))
        prepared, nbytes = run(image if accepts_frames else np.ascontiguousarray(letterbox.resize(image)))
        return Embedding(self.info.engine_id, letterbox, prepared, nbytes)

    def embedding(self, embedding: Embedding) -> Floats:
        """Return SAM's image embedding from this encoder's embedding, for comparisons.

        (rows, columns, 256) float32, the tokens of the content.
        """
        if self._runtime is None:
            raise EngineClosed("this encoder was closed; load the engine again")
        graph = EncoderGraph.of(embedding.letterbox)
        rows, columns = graph.tokens
        keys = self._runtime.array(embedding.tensors[0]).reshape(*graph.grid, -1)
        return keys[:rows, :columns] - self._table.no_mask

    def close(self) -> None:
        """See `Encoder.close`."""
        self._runtime = None
        self._runs.cache_clear()


class SamDecoder:
    """See `Decoder`. Graphs for other numbers of prompts and points are compiled on first use."""

    KEPT = 24

    def __init__(self, info: EngineInfo, runtime: EngineRuntime, table: PromptTable) -> None:
        self.info = info
        self._runtime: EngineRuntime | None = runtime
        self._table = table
        self._runs = lru_cache(self.KEPT)(runtime.decoder)

    def prepare(
        self, frame_size: tuple[int, int], side: int | None = None, uses: Sequence[tuple[int, int]] = LIVE
    ) -> None:
        """Compile the graphs for frames of (width, height) at a picture side, the usual one by default.

        uses: (batch size, points per prompt). From any thread.
        """
        letterbox = Letterbox(*frame_size, picture_side=side or self.info.picture_side)
        for batch, points in uses:
            self._runs(DecoderGraph.of(letterbox, batch, points, False))

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """See `Decoder.decode`."""
        if self._runtime is None:
            raise EngineClosed("this decoder was closed; load the engine again")
        check_prompts(self.info, embedding, prompts)
        out: list[MaskCandidates] = []
        while len(out) < len(prompts):
            batch = batch_size_for(len(prompts) - len(out))
            out += self._decode(embedding, prompts[len(out) : len(out) + batch], batch)
        return tuple(out)

    def _decode(self, embedding: Embedding, prompts: Sequence[Prompt], batch: int) -> list[MaskCandidates]:
        filled = [*prompts, *[prompts[-1]] * (batch - len(prompts))]
        tokens, absent = self._table.tokens(embedding.letterbox, filled)
        inputs = [tokens, absent]
        masks_in = any(prompt.mask_logits is not None for prompt in prompts)
        if masks_in:
            logits = np.zeros((batch, 1, LOGITS_SIDE, LOGITS_SIDE), np.float32)
            has_mask = np.zeros((batch, 1, 1), np.float32)
            for row, prompt in enumerate(filled):
                if prompt.mask_logits is not None:
                    logits[row, 0], has_mask[row] = prompt.mask_logits, 1
            inputs += [logits, has_mask]
        run = self._runs(DecoderGraph.of(embedding.letterbox, batch, tokens.shape[1], masks_in))
        logits, scores = run(embedding.tensors, inputs)
        return [MaskCandidates(logits[row], scores[row], embedding.letterbox) for row in range(len(prompts))]

    def close(self) -> None:
        """See `Decoder.close`."""
        self._runtime = None
        self._runs.cache_clear()


def batch_size_for(count: int) -> int:
    """Return the batch size for `count` waiting prompts: a batch costs little less than its prompts singly."""
    return next(batch for batch in reversed(BATCHES) if count > batch // 2 or batch == 1)
