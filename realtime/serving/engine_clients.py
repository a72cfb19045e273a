"""Presents a shared engine to one wearer as an encoder and a decoder of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engines import Embedding, EngineInfo, Image, MaskCandidates, Prompt
from engines.batching import BatchDecoder, BatchEncoder, StagedPicture, StagedPrompts
from engines.graphs import LIVE, DecoderUse
from engines.sam import SamDecoder, SamEncoder
from realtime.infra.work_slots import WorkSlots
from realtime.serving.engine_lane import EngineLane

EncoderLane = EngineLane[StagedPicture, Embedding]
DecoderLane = EngineLane[StagedPrompts, tuple[MaskCandidates, ...]]


class ClientEncoder:
    """See `Encoder`; encodes on the shared engine's thread. Its engine is closed by `SharedEngine.close` alone."""

    def __init__(self, stream: str, find_encoder: Callable[[], BatchEncoder], lane: EncoderLane) -> None:
        """find_encoder: returns the present one, since another may replace it."""
        self._stream, self._find, self._lane = stream, find_encoder, lane

    @property
    def info(self) -> EngineInfo:
        """See `Encoder.info`."""
        return self._find().info

    def encode(self, image: Image, side: int | None = None) -> Embedding:
        """See `Encoder.encode`. side: the picture side, where the engine has a choice."""
        staged = self._find().stage(image, side)
        return self._lane.call(self._stream, staged, staged.shape)

    def close(self) -> None:
        """Do nothing: other clients use the engine."""


class SidedClientEncoder(ClientEncoder):
    """A client of an engine that has a choice of picture sides, for `AdaptiveEncoder`."""

    def __init__(
        self, stream: str, find_encoder: Callable[[], SamEncoder], lane: EncoderLane, count_clients: Callable[[], int]
    ) -> None:
        super().__init__(stream, find_encoder, lane)
        self._find_sam, encoder = find_encoder, find_encoder()
        self.sides = encoder.sides
        self.speed = SharedSpeed(encoder, count_clients)

    def prepare(self, frame_size: tuple[int, int], side: int | None = None) -> None:
        """Compile the graph for (width, height) at a picture side, once for all clients."""
        self._find_sam().prepare(frame_size, side)


class SharedSpeed:
    """Knows how long an encode takes a client, waiting included: the more clients, the longer."""

    def __init__(self, encoder: SamEncoder, count_clients: Callable[[], int]) -> None:
        self._encoder, self._count_clients = encoder, count_clients

    def read(self) -> float | None:
        """Return the milliseconds per megapixel that a client must expect; None where no run has measured any."""
        known = self._encoder.speed.read()
        return None if known is None else known * max(1, self._count_clients())

    def write(self, ms_per_megapixel: float) -> None:
        """Do nothing: with waiting in it, the time would slow the next run that has the machine to itself."""


class ClientDecoder:
    """See `Decoder`; decodes on the shared engine's thread. Its engine is closed by `SharedEngine.close` alone."""

    def __init__(
        self, stream: str, find_decoder: Callable[[], BatchDecoder], lane: DecoderLane, slots: WorkSlots
    ) -> None:
        """find_decoder: returns the present one. slots: which others may use while a call waits."""
        self._stream, self._find, self._lane, self._slots = stream, find_decoder, lane, slots

    @property
    def info(self) -> EngineInfo:
        """See `Decoder.info`."""
        return self._find().info

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """See `Decoder.decode`."""
        staged = self._find().stage(embedding, prompts)
        with self._slots.lend():
            return self._lane.call(self._stream, staged, staged.shape)

    def close(self) -> None:
        """Do nothing: other clients use the engine."""


class PreparedClientDecoder(ClientDecoder):
    """A client of an engine whose graphs can be compiled beforehand, for `AdaptiveEncoder`."""

    def __init__(
        self, stream: str, find_decoder: Callable[[], SamDecoder], lane: DecoderLane, slots: WorkSlots
    ) -> None:
        super().__init__(stream, find_decoder, lane, slots)
        self._find_sam = find_decoder

    def prepare(self, frame_size: tuple[int, int], side: int | None = None, uses: Sequence[DecoderUse] = LIVE) -> None:
        """See `SamDecoder.prepare`; once for all clients."""
        self._find_sam().prepare(frame_size, side, uses)
