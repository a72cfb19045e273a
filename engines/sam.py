"""Runs SAM over any backend: shapes pictures and prompts here, graphs in an `EngineRuntime`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

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
from engines.batching import StagedPicture, StagedPrompts
from engines.graph_cache import GraphCache
from engines.graph_store import GraphStore
from engines.graphs import BATCHES, LIVE, SHARED_BATCHES, DecoderGraph, DecoderUse, EncoderGraph
from engines.letterbox import Letterbox
from engines.prompts import PromptTable
from engines.settings import PICTURE_SIDES, EngineSettings, Report, default_cache_dir, picture_side
from engines.speed import SpeedRecord, speed_key

_serial = itertools.count(1)
"""Gives every opened engine a unique id."""


EncoderRun = Callable[[Image], tuple[Any, int]]
"""A compiled encoder graph: content (h, w, 3) to the backend's embedding, not shared with later calls, and its bytes.

Where the runtime `accepts_frames`, the input is a whole frame (H, W, 3) whose content matches the graph. A batch's maps
(B, h, w, 3) to one embedding of all, see `BatchRuntime.split`.
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


@runtime_checkable
class BatchRuntime(EngineRuntime, Protocol):
    """A backend that runs graphs of several images too."""

    def split(self, prepared: Any) -> list[Any]:
        """Split the embedding of a batch into those of its pictures."""

    def stack(self, prepared: Sequence[Any]) -> Any:
        """Join embeddings of pictures to that of a batch, for a decoder."""


def open_store(settings: EngineSettings, weights: Path | None, report: Report) -> GraphStore:
    """Open the graph store of the settings' model; raises `ModelError` where there are no weights."""
    if weights is None:
        raise ModelError(f"the {settings.backend} engine needs the folder with the weights of {settings.model}")
    root = settings.cache_dir or default_cache_dir()
    return GraphStore(weights, settings.model, root, report, adapter=settings.adapter)


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
        versions=dict(versions) | ({"adapter": store.adapter_hash[:12]} if store.adapter_hash else {}),
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
        self._runs = GraphCache(runtime.encoder, self.KEPT)

    def prepare(self, frame_size: tuple[int, int], side: int | None = None) -> None:
        """Compile the graph for (width, height) at a picture side, the usual one by default. From any thread."""
        self._runs(EncoderGraph.of(Letterbox(*frame_size, picture_side=side or self.info.picture_side)))

    def encode(self, image: Image, side: int | None = None) -> Embedding:
        """See `Encoder.encode`. side: the picture side, the usual one by default."""
        return self._encode(self.stage(image, side))

    def stage(self, image: Image, side: int | None = None) -> StagedPicture:
        """See `BatchEncoder.stage`."""
        accepts_frames = self._open_runtime.accepts_frames
        if not (accepts_frames and hasattr(image, "__cuda_array_interface__")):
            check_image(image)
        letterbox = Letterbox(image.shape[1], image.shape[0], picture_side=side or self.info.picture_side)
        graph = EncoderGraph.of(letterbox)
        self._runs(graph)
        pixels = image if accepts_frames else np.ascontiguousarray(letterbox.resize(image))
        return StagedPicture(pixels, letterbox, graph)

    def prepare_batch(self, shape: Hashable, size: int) -> None:
        """See `BatchEncoder.prepare_batch`."""
        if size > 1 and isinstance(self._open_runtime, BatchRuntime) and isinstance(shape, EncoderGraph):
            self._runs(replace(shape, batch=size))

    def encode_batch(self, pictures: Sequence[StagedPicture]) -> tuple[Embedding, ...]:
        """See `BatchEncoder.encode_batch`; pictures are encoded in batches of `SHARED_BATCHES`."""
        runtime = self._open_runtime
        if not isinstance(runtime, BatchRuntime):
            return tuple(self._encode(picture) for picture in pictures)
        out: list[Embedding] = []
        while len(out) < len(pictures):
            size = max(size for size in SHARED_BATCHES if size <= len(pictures) - len(out))
            part = pictures[len(out) : len(out) + size]
            out += [self._encode(part[0])] if size == 1 else self._encode_together(runtime, part)
        return tuple(out)

    def _encode(self, picture: StagedPicture) -> Embedding:
        prepared, nbytes = self._runs(EncoderGraph.of(picture.letterbox))(picture.pixels)
        return Embedding(self.info.engine_id, picture.letterbox, prepared, nbytes)

    def _encode_together(self, runtime: BatchRuntime, pictures: Sequence[StagedPicture]) -> list[Embedding]:
        graph = replace(EncoderGraph.of(pictures[0].letterbox), batch=len(pictures))
        prepared, nbytes = self._runs(graph)(np.stack([picture.pixels for picture in pictures]))
        return [
            Embedding(self.info.engine_id, picture.letterbox, part, nbytes // len(pictures))
            for picture, part in zip(pictures, runtime.split(prepared), strict=True)
        ]

    @property
    def _open_runtime(self) -> EngineRuntime:
        if self._runtime is None:
            raise EngineClosed("this encoder was closed; load the engine again")
        return self._runtime

    def embedding(self, embedding: Embedding) -> Floats:
        """Return SAM's image embedding from this encoder's embedding, for comparisons.

        (rows, columns, 256) float32, the tokens of the content.
        """
        graph = EncoderGraph.of(embedding.letterbox)
        rows, columns = graph.tokens
        return self.keys(embedding).reshape(*graph.grid, -1)[:rows, :columns] - self._table.no_mask

    def keys(self, embedding: Embedding) -> Floats:
        """Return what the decoder attends to, (M, 256) float32 on `EncoderGraph.grid`, for training."""
        keys = self._open_runtime.array(embedding.tensors[0])
        return keys.reshape(-1, keys.shape[-1])

    def tokens(self, letterbox: Letterbox, prompts: Sequence[Prompt]) -> tuple[Floats, Floats]:
        """Return the (B, N, 256) tokens of prompts, and (B, N) offsets of their attention scores."""
        return self._table.tokens([letterbox] * len(prompts), prompts)

    def close(self) -> None:
        """See `Encoder.close`."""
        self._runtime = None
        self._runs.clear()


class SamDecoder:
    """See `Decoder`. Graphs for other numbers of prompts and points are compiled on first use."""

    KEPT = 24

    def __init__(self, info: EngineInfo, runtime: EngineRuntime, table: PromptTable) -> None:
        self.info = info
        self._runtime: EngineRuntime | None = runtime
        self._table = table
        self._runs = GraphCache(runtime.decoder, self.KEPT)

    def prepare(self, frame_size: tuple[int, int], side: int | None = None, uses: Sequence[DecoderUse] = LIVE) -> None:
        """Compile the graphs for frames of (width, height) at a picture side, the usual one by default.

        From any thread.
        """
        letterbox = Letterbox(*frame_size, picture_side=side or self.info.picture_side)
        for use in uses:
            self._runs(DecoderGraph.of(letterbox, *use))

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """See `Decoder.decode`."""
        self._check_open()
        check_prompts(self.info, embedding, prompts)
        out: list[MaskCandidates] = []
        for begin, batch in _batches(len(prompts)):
            out += self._decode(embedding, prompts[begin : begin + batch], batch)
        return tuple(out)

    def stage(self, embedding: Embedding, prompts: Sequence[Prompt]) -> StagedPrompts:
        """See `BatchDecoder.stage`."""
        self._check_open()
        check_prompts(self.info, embedding, prompts)
        graph = None
        for begin, batch in _batches(len(prompts)):
            part = prompts[begin : begin + batch]
            graph = DecoderGraph.of(embedding.letterbox, batch, self._table.token_count(part), _has_mask(part))
            self._runs(graph)
        return StagedPrompts(embedding, tuple(prompts), graph if len(prompts) == 1 else None)

    def prepare_batch(self, shape: Hashable, size: int) -> None:
        """See `BatchDecoder.prepare_batch`."""
        if size > 1 and isinstance(self._check_open(), BatchRuntime) and isinstance(shape, DecoderGraph):
            self._runs(replace(shape, batch=size, own_images=True))

    def decode_batch(self, requests: Sequence[StagedPrompts]) -> tuple[tuple[MaskCandidates, ...], ...]:
        """See `BatchDecoder.decode_batch`; single prompts are decoded in batches of `SHARED_BATCHES`."""
        runtime = self._check_open()
        if not isinstance(runtime, BatchRuntime) or any(len(request.prompts) > 1 for request in requests):
            return tuple(self.decode(request.embedding, request.prompts) for request in requests)
        out: list[tuple[MaskCandidates, ...]] = []
        while len(out) < len(requests):
            size = max(size for size in SHARED_BATCHES if size <= len(requests) - len(out))
            part = requests[len(out) : len(out) + size]
            out += (
                self._decode_together(runtime, part) if size > 1 else [self.decode(part[0].embedding, part[0].prompts)]
            )
        return tuple(out)

    def _decode_together(
        self, runtime: BatchRuntime, requests: Sequence[StagedPrompts]
    ) -> list[tuple[MaskCandidates, ...]]:
        prompts = [request.prompts[0] for request in requests]
        boxes = [request.embedding.letterbox for request in requests]
        inputs = self._inputs(boxes, prompts)
        points, has_mask = inputs[0].shape[1], _has_mask(prompts)
        run = self._runs(DecoderGraph.of(boxes[0], len(requests), points, has_mask, own_images=True))
        logits, scores = run(runtime.stack([request.embedding.tensors for request in requests]), inputs)
        return [(MaskCandidates(logits[row], scores[row], box),) for row, box in enumerate(boxes)]

    def _decode(self, embedding: Embedding, prompts: Sequence[Prompt], batch: int) -> list[MaskCandidates]:
        filled = [*prompts, *[prompts[-1]] * (batch - len(prompts))]
        inputs = self._inputs([embedding.letterbox] * batch, filled)
        run = self._runs(DecoderGraph.of(embedding.letterbox, batch, inputs[0].shape[1], _has_mask(prompts)))
        logits, scores = run(embedding.tensors, inputs)
        return [MaskCandidates(logits[row], scores[row], embedding.letterbox) for row in range(len(prompts))]

    def _inputs(self, letterboxes: Sequence[Letterbox], prompts: Sequence[Prompt]) -> list[Floats]:
        inputs = [*self._table.tokens(letterboxes, prompts)]
        if _has_mask(prompts):
            logits = np.zeros((len(prompts), 1, LOGITS_SIDE, LOGITS_SIDE), np.float32)
            has_mask = np.zeros((len(prompts), 1, 1), np.float32)
            for row, prompt in enumerate(prompts):
                if prompt.mask_logits is not None:
                    logits[row, 0], has_mask[row] = prompt.mask_logits, 1
            inputs += [logits, has_mask]
        return inputs

    def _check_open(self) -> EngineRuntime:
        if self._runtime is None:
            raise EngineClosed("this decoder was closed; load the engine again")
        return self._runtime

    def close(self) -> None:
        """See `Decoder.close`."""
        self._runtime = None
        self._runs.clear()


def _has_mask(prompts: Sequence[Prompt]) -> bool:
    return any(prompt.mask_logits is not None for prompt in prompts)


def _batches(count: int) -> list[tuple[int, int]]:
    """List the (begin, size) of the batches in which `count` prompts on one embedding are decoded."""
    found, begin = [], 0
    while begin < count:
        found.append((begin, batch_size_for(count - begin)))
        begin += found[-1][1]
    return found


def batch_size_for(count: int) -> int:
    """Return the batch size for `count` waiting prompts: a batch costs little less than its prompts singly."""
    return next(batch for batch in reversed(BATCHES) if count > batch // 2 or batch == 1)
