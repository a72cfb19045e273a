"""Encodes pictures, and decodes prompts, of several streams in one call where the engine can.

Work is staged first, on any thread: it is checked, resized, and its graph compiled. What was staged to equal shapes can
then be run together, on the one thread that the encoder or decoder belongs to.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from engines.base import Decoder, Embedding, Encoder, Image, MaskCandidates, Prompt, check_image, check_prompts
from engines.letterbox import Letterbox


@dataclass(frozen=True, slots=True, eq=False)
class StagedPicture:
    """Holds a checked picture. shape: pictures of equal shapes can be encoded together; None for one that cannot."""

    pixels: Image
    letterbox: Letterbox
    shape: Hashable = None


@dataclass(frozen=True, slots=True, eq=False)
class StagedPrompts:
    """Holds checked prompts on one embedding. shape: as in `StagedPicture`."""

    embedding: Embedding
    prompts: tuple[Prompt, ...]
    shape: Hashable = None


@runtime_checkable
class BatchEncoder(Encoder, Protocol):
    """An `Encoder` that can encode several pictures in one call."""

    def stage(self, image: Image, side: int | None = None) -> StagedPicture:
        """Check and resize a picture, and compile its graph where that is missing; on any thread.

        side: the picture side, the usual one by default. Raises `PromptError`.
        """

    def prepare_batch(self, shape: Hashable, size: int) -> None:
        """Compile the graph for so many pictures of a shape; on any thread."""

    def encode_batch(self, pictures: Sequence[StagedPicture]) -> tuple[Embedding, ...]:
        """Encode pictures of one shape; equal to encoding each alone, but for rounding."""


@runtime_checkable
class BatchDecoder(Decoder, Protocol):
    """A `Decoder` that can decode prompts on several embeddings in one call."""

    def stage(self, embedding: Embedding, prompts: Sequence[Prompt]) -> StagedPrompts:
        """Check prompts, and compile their graph where that is missing; on any thread.

        Raises what `Decoder.decode` raises for them.
        """

    def prepare_batch(self, shape: Hashable, size: int) -> None:
        """Compile the graph for so many prompts of a shape; on any thread."""

    def decode_batch(self, requests: Sequence[StagedPrompts]) -> tuple[tuple[MaskCandidates, ...], ...]:
        """Decode requests of one shape; equal to decoding each alone, but for rounding."""


def as_batch_encoder(encoder: Encoder) -> BatchEncoder:
    """Return the encoder where it can encode batches, else one that encodes one picture after another."""
    return encoder if isinstance(encoder, BatchEncoder) else _LoopedEncoder(encoder)


def as_batch_decoder(decoder: Decoder) -> BatchDecoder:
    """Return the decoder where it can decode batches, else one that decodes one request after another."""
    return decoder if isinstance(decoder, BatchDecoder) else _LoopedDecoder(decoder)


class _LoopedEncoder:
    def __init__(self, encoder: Encoder) -> None:
        self.info, self.encode, self.close = encoder.info, encoder.encode, encoder.close

    def stage(self, image: Image, side: int | None = None) -> StagedPicture:
        check_image(image)
        return StagedPicture(image, Letterbox(image.shape[1], image.shape[0]))

    def prepare_batch(self, shape: Hashable, size: int) -> None:
        """Do nothing: there are no graphs for batches."""

    def encode_batch(self, pictures: Sequence[StagedPicture]) -> tuple[Embedding, ...]:
        return tuple(self.encode(picture.pixels) for picture in pictures)


class _LoopedDecoder:
    def __init__(self, decoder: Decoder) -> None:
        self.info, self.decode, self.close = decoder.info, decoder.decode, decoder.close

    def stage(self, embedding: Embedding, prompts: Sequence[Prompt]) -> StagedPrompts:
        check_prompts(self.info, embedding, prompts)
        return StagedPrompts(embedding, tuple(prompts))

    def prepare_batch(self, shape: Hashable, size: int) -> None:
        """Do nothing: there are no graphs for batches."""

    def decode_batch(self, requests: Sequence[StagedPrompts]) -> tuple[tuple[MaskCandidates, ...], ...]:
        return tuple(self.decode(request.embedding, request.prompts) for request in requests)
