"""Shares one encoder and one decoder among many wearers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from engines import Decoder, Embedding, Encoder, EngineUnavailable, MaskCandidates
from engines.base import ForeignEmbedding
from engines.batching import (
    BatchDecoder,
    BatchEncoder,
    StagedPicture,
    StagedPrompts,
    as_batch_decoder,
    as_batch_encoder,
)
from engines.sam import SamDecoder, SamEncoder
from realtime.config.sharing import SharingSettings
from realtime.errors import GazecastError
from realtime.infra.clock import now_ns
from realtime.infra.work_slots import WorkSlots
from realtime.pipeline.context import ENCODER_NICE
from realtime.pipeline.engine_watch import EnginePair, EngineWatch, FallbackEngine
from realtime.serving.batch_costs import BatchCosts
from realtime.serving.batch_scheduler import BatchScheduler
from realtime.serving.capacity import Admission, LoadCounts, LoadMeter, MeasuredCost, admit, smallest_encode_ms
from realtime.serving.engine_clients import ClientDecoder, ClientEncoder, PreparedClientDecoder, SidedClientEncoder
from realtime.serving.engine_lane import EngineLane
from realtime.serving.lane_statistics import LaneStatistics

SETTLE_S = 30.0
"""How long after the first request no graph of a batch is compiled: until then graphs are that every mask needs."""
OVERLOAD_NS = 1_000_000_000
"""How long an overload, or none, is remembered: every session asks ten times a second, and it is about all of them."""


class StreamTaken(GazecastError):
    """A stream that is open already."""


@dataclass(frozen=True, slots=True)
class SharingStatistics:
    """Holds the statistics of both parts of a shared engine, and the names of its streams."""

    streams: tuple[str, ...]
    encoder: LaneStatistics
    decoder: LaneStatistics


class SharedEngine:
    """Serves clients by one encoder and one decoder, each on a thread of its own. Any thread.

    Pictures are resized, and graphs compiled, on the clients' own threads, so that nobody waits for another's large
    pictures or first use of a shape. It owns the engine and closes it, and replaces one that hangs or keeps failing,
    as `EngineWatch` does; clients stay, and their embeddings of the old one are refused.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        settings: SharingSettings | None = None,
        fallbacks: Sequence[FallbackEngine] = (),
    ) -> None:
        """fallbacks: may replace the engine, see `EngineWatch`; `check_engine` must be called then."""
        self.settings = settings or SharingSettings()
        self._stopping = threading.Event()
        batching = [replace(each, open=partial(_open_batching, each)) for each in fallbacks]
        pair = as_batch_encoder(encoder), as_batch_decoder(decoder)
        self._watch = EngineWatch(pair, batching, self._stopping, is_shared=True)
        self._speed = encoder.speed if isinstance(encoder, SamEncoder) else None
        known = self._speed.read_ratios if self._speed is not None else (lambda part: {})
        costs = {part: BatchCosts(self.settings.max_batch, known(part)) for part in ("encoder", "decoder")}
        waits = {"encoder": self.settings.encode_wait_ms, "decoder": self.settings.decode_wait_ms}
        idle_ns = round(self.settings.idle_delay_ms * 1e6)
        schedulers = {
            part: BatchScheduler(costs[part], wait_ns=round(waits[part] * 1e6), idle_delay_ns=idle_ns) for part in costs
        }
        self._encoding: EngineLane[StagedPicture, Embedding] = EngineLane(
            "shared-encoder", self._encode, lambda shape, size: self._encoder.prepare_batch(shape, size),
            schedulers["encoder"], costs["encoder"], nice=ENCODER_NICE, settle_s=SETTLE_S,
        )  # fmt: skip
        self._decoding: EngineLane[StagedPrompts, tuple[MaskCandidates, ...]] = EngineLane(
            "shared-decoder", self._decode, lambda shape, size: self._decoder.prepare_batch(shape, size),
            schedulers["decoder"], costs["decoder"], settle_s=SETTLE_S,
        )  # fmt: skip
        self._lock = threading.Lock()
        self._streams: set[str] = set()
        self._sending: set[str] = set()
        self._frames = 0, 0  # received and tracked, of all clients
        self._meter = LoadMeter()
        self._overload, self._overload_ns = "", 0  # what was found, and when to look again
        self.work_slots = WorkSlots(self.settings.tracking_slots or os.cpu_count() or 1)
        """For the tracking of the clients' sessions, see `PipelineOptions`."""
        self._is_closed = False

    def open_client(self, stream: str) -> tuple[Encoder, Decoder]:
        """Return an encoder and a decoder for a stream, whose calls block its own threads until they are served.

        Where the engine has a choice of picture sides, so has the client's encoder (`AdaptiveEncoder` takes it).
        Raises `StreamTaken` for a stream that is open.
        """
        with self._lock:
            if stream in self._streams:
                raise StreamTaken(f"the stream {stream!r} is open already; close it first, or choose another name")
            self._streams.add(stream)
        self._encoding.open_stream(stream)
        self._decoding.open_stream(stream)
        if isinstance(self._encoder, SamEncoder) and isinstance(self._decoder, SamDecoder):
            return (
                SidedClientEncoder(
                    stream, lambda: cast(SamEncoder, self._encoder), self._encoding, lambda: len(self._streams)
                ),
                PreparedClientDecoder(stream, lambda: cast(SamDecoder, self._decoder), self._decoding, self.work_slots),
            )
        return (
            ClientEncoder(stream, lambda: self._encoder, self._encoding),
            ClientDecoder(stream, lambda: self._decoder, self._decoding, self.work_slots),
        )

    @property
    def _encoder(self) -> BatchEncoder:
        return cast(BatchEncoder, self._watch.pair[0])

    @property
    def _decoder(self) -> BatchDecoder:
        return cast(BatchDecoder, self._watch.pair[1])

    def _encode(self, pictures: Sequence[StagedPicture]) -> Sequence[Embedding]:
        """Encode a batch; on the encoder's thread."""
        first = pictures[0]
        self._watch.set_size((first.letterbox.width, first.letterbox.height))
        return self._watch.run(
            "encode", lambda pair: cast(BatchEncoder, pair[0]).encode_batch(pictures), (first.shape, len(pictures))
        )

    def _decode(self, requests: Sequence[StagedPrompts]) -> Sequence[tuple[MaskCandidates, ...]]:
        """Decode a batch; on the decoder's thread."""

        def decode(pair: EnginePair) -> Sequence[tuple[MaskCandidates, ...]]:
            if any(each.embedding.engine_id != pair[1].info.engine_id for each in requests):
                raise ForeignEmbedding("the engine was replaced while a prompt waited")
            return cast(BatchDecoder, pair[1]).decode_batch(requests)

        return self._watch.run("decode", decode, (requests[0].shape, len(requests)))

    def check_engine(self) -> None:
        """Leave calls of the engine behind that hang, and begin to replace it; call it ten times a second."""
        for kind in self._watch.find_hanging():
            lane = self._encoding if kind == "encode" else self._decoding
            lane.abandon(EngineUnavailable(f"{kind} has not returned"))

    def close_client(self, stream: str) -> None:
        """Close a stream; a call of it that waits raises `EngineClosed`. Does nothing for one that is not open."""
        with self._lock:
            self._streams.discard(stream)
            self._sending.discard(stream)
        self._encoding.close_stream(stream)
        self._decoding.close_stream(stream)

    def set_locked(self, stream: str, is_locked: bool) -> None:
        """Set whether a wearer's gaze is locked on an object: then its requests come before those of idle wearers."""
        self._encoding.set_locked(stream, is_locked)
        self._decoding.set_locked(stream, is_locked)

    def set_sending(self, stream: str, is_sending: bool) -> None:
        """Set whether frames of a wearer come: one who waits for a device costs nothing, and is not measured."""
        with self._lock:
            (self._sending.add if is_sending and stream in self._streams else self._sending.discard)(stream)

    def count_frames(self, received: int, tracked: int) -> None:
        """Count frames that a client has received, and tracked, since it last did so."""
        with self._lock:
            self._frames = self._frames[0] + received, self._frames[1] + tracked

    def statistics(self) -> SharingStatistics:
        """Return what was measured so far."""
        with self._lock:
            streams = tuple(sorted(self._streams))
        return SharingStatistics(streams, self._encoding.statistics(), self._decoding.statistics())

    def admit(self, open_count: int) -> Admission:
        """Decide by measured cost whether a session fits beside `open_count` others."""
        return admit(open_count, self.measure_cost(), self.settings)

    def find_overload(self) -> str:
        """Return why keyframes come later than they should, or not at all; empty where they do not.

        An overload is up to a second old.
        """
        if problem := self._watch.problem():
            return problem
        with self._lock:
            if now_ns() < self._overload_ns:
                return self._overload
            self._overload_ns = now_ns() + OVERLOAD_NS
        self._overload = self._measure_overload()
        return self._overload

    def _measure_overload(self) -> str:
        statistics = self._encoding.statistics()
        ages = [stream.wait_p50_ms + stream.service_p50_ms for stream in statistics.streams.values()]
        limit_ms = self.settings.max_keyframe_age_ms
        if max(ages, default=0.0) <= limit_ms:
            return ""
        return f"keyframes come later than {limit_ms:.0f} ms, since {len(ages)} wearers share the encoder"

    def measure_cost(self) -> MeasuredCost:
        """Return what serving costs on this machine, measured from call to call: call it once a second or so."""
        encoder, decoder = self._encoding.statistics(), self._decoding.statistics()
        threads = self._encoder.info.threads
        engine_ns = encoder.busy_ns * threads.get("encoder", 1) + decoder.busy_ns * threads.get("decoder", 1)
        served = sum(size * count for size, count in decoder.batch_sizes.items())
        with self._lock:
            self._meter.observe(
                LoadCounts(now_ns(), time.process_time_ns(), engine_ns, served, *self._frames, len(self._sending))
            )
            cores, hz = self._meter.wearer_cores, self._meter.decode_hz
        sides = self._encoder.sides if isinstance(self._encoder, SamEncoder) else ()
        return MeasuredCost(smallest_encode_ms(encoder, sides), decoder.item_ms, hz, cores, os.cpu_count() or 1)

    def describe(self) -> dict[str, Any]:
        """Return the engine and how it is shared, for `health`."""
        statistics, cost = self.statistics(), self.measure_cost()
        admission = admit(len(statistics.streams), cost, self.settings)
        return {
            **self._watch.describe(), "wearers": len(statistics.streams), "fits": admission.fits,
            "limit": admission.reason,
            "encode": statistics.encoder.describe(), "decode": statistics.decoder.describe(),
        }  # fmt: skip

    def close(self) -> None:
        """Fail all calls that wait, remember which batches pay, and close the engine; idempotent.

        A batch that lasts longer than a second continues on its daemon thread, and the engine stays open then.
        """
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._stopping.set()
        self._encoding.close()
        self._decoding.close()
        if self._speed is not None:
            self._speed.write_ratios({"encoder": self._encoding.ratios, "decoder": self._decoding.ratios})
        if self._encoding.is_idle and self._decoding.is_idle:
            self._watch.close()


def _open_batching(fallback: FallbackEngine, size: tuple[int, int] | None) -> EnginePair:
    encoder, decoder = fallback.open(size)
    return as_batch_encoder(encoder), as_batch_decoder(decoder)
