"""Runs an encoder at the picture side that suits the machine's speed and the motion of the picture."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import numpy as np

from engines import Decoder, Embedding, Encoder, EngineInfo, Image, Letterbox
from engines.graphs import CLICK, CORRECTION, LIVE, DecoderUse
from realtime.infra.clock import now_ns
from realtime.infra.threads import lower_priority
from realtime.pipeline.side_control import PictureSideControl, is_slow
from realtime.types import Frame

PREPARER_NICE = 10
"""As the encoder's: below it, keyframes took four times as long while a graph was compiled on two busy cores."""
AHEAD_NICE = 19
"""Of compiling what only a still picture or a correction would need: on two AVX2 cores the mask misses frames meanwhile
at 10."""
LIKELY_SIZE = 1280, 720
"""Frame size that is prepared where no frame came in time: the one that a page asks its camera for."""
CHECK_S = 0.1
CHECKS_TO_PREPARE, CHECKS_TO_PREPARE_AHEAD = 3, 100
"""Checks in a row that must find the same side missing: compiling costs the run seconds of one core. A side that only
a still picture would get waits until the start is over."""
CHECKS_TO_PREPARE_CORRECTION = 300
"""Checks in a row that must find the same side in use: most runs are never corrected, and all have a start."""


MOST_SLOWDOWN = 2.0
"""Of what is remembered, by one run: where a machine was crowded or asleep, the next run is not slow for that."""


class KnownSpeed(Protocol):
    """A protocol that keeps the encoder's milliseconds per megapixel from run to run."""

    def read(self) -> float | None:
        """Return the speed; None where it is not known."""

    def write(self, ms_per_megapixel: float) -> None:
        """Store the speed."""


@runtime_checkable
class SidedEncoder(Encoder, Protocol):
    """An `Encoder` with a choice of picture sides: an engine's own, or a client's of a shared engine."""

    @property
    def sides(self) -> Sequence[int]:
        """The picture sides that can be chosen."""

    @property
    def speed(self) -> KnownSpeed:
        """How long encoding takes."""

    def encode(self, image: Image, side: int | None = None) -> Embedding:
        """Encode a picture at a side, the usual one by default."""

    def prepare(self, frame_size: tuple[int, int], side: int | None = None) -> None:
        """Compile the graph for frames of (width, height) at a side."""


@runtime_checkable
class PreparedDecoder(Decoder, Protocol):
    """A `Decoder` whose graphs can be compiled beforehand."""

    def prepare(self, frame_size: tuple[int, int], side: int | None = None, uses: Sequence[DecoderUse] = LIVE) -> None:
        """Compile the graphs for frames of (width, height) at a side."""


class AdaptiveEncoder:
    """An `Encoder` whose picture side follows `PictureSideControl`.

    It begins with the graphs of a click, which are ready within a second or two. A thread of its own (`prepare_sides`)
    compiles those of votes, and of other sides as they are wanted, so that no frame waits for them. Frames of another
    size begin anew. `encode` is for one thread, `observe_frame` for another.
    """

    def __init__(
        self, encoder: SidedEncoder, decoder: PreparedDecoder, frame_size: tuple[int, int] | None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        """Compile the graphs of the first side, for the frames' (width, height) or, None, for the likely one."""
        self._encoder, self._decoder, self._report = encoder, decoder, report
        # Replaced together: a thread must not see the control of one size with another size.
        self._current: tuple[tuple[int, int], PictureSideControl]
        # The controls of the size whose first keyframe is encoded, and of that whose graphs for votes are compiled.
        self._encoded: PictureSideControl | None = None
        self._voting: PictureSideControl | None = None
        self._is_preparing = False
        self._known = encoder.speed.read()
        self._begin(frame_size or LIKELY_SIZE, self._known)
        if self._current[1].ms_per_megapixel is None:
            self._measure_speed()

    @property
    def info(self) -> EngineInfo:
        """Describe the engine."""
        return self._encoder.info

    @property
    def side(self) -> int:
        """The picture side of the next keyframe."""
        return self._current[1].side

    @property
    def is_slow(self) -> bool:
        """Whether keyframes leave this machine no time for the rest."""
        return is_slow(self._current[1].ms_per_megapixel or 0.0)

    @property
    def can_vote(self) -> bool:
        """Whether the graphs for votes are compiled, so that a vote takes milliseconds."""
        return self._voting is self._current[1]

    @property
    def speed(self) -> KnownSpeed:
        """What is remembered of this machine's speed."""
        return self._encoder.speed

    def encode(self, image: Image) -> Embedding:
        """See `Encoder.encode`."""
        size = image.shape[1], image.shape[0]
        if size != self._current[0]:
            self._change_size(size)
        control, side = self._current[1], self.side
        begun_ns, is_alone = now_ns(), not self._is_preparing
        embedding = self._encoder.encode(image, side)
        if is_alone and not self._is_preparing:  # else it shared its core with the compiler
            control.observe_encode(side, (now_ns() - begun_ns) / 1e6)
        self._encoded = control
        return embedding

    def observe_frame(self, frame: Frame, speed: float | None) -> None:
        """Receive a frame's time and motion, see `TrackerOutput.speed`."""
        self._current[1].observe_frame(frame.captured_ns, speed)

    def prepare_sides(self, stopping: threading.Event) -> None:
        """Compile the graphs of wanted sides until `stopping` is set; the body of a thread."""
        lower_priority(PREPARER_NICE)
        wanted, checks, used, unchanged = None, 0, (self._current[1], 0), 0
        while not stopping.wait(CHECK_S):
            size, control = self._current
            if self._encoded is not control:
                continue  # nothing must delay the first keyframe
            if self._voting is not control:
                self._prepare_side(size, control, control.side, stopping)
                self._voting = control
            unchanged = unchanged + 1 if used == (control, control.side) else 0
            used = control, control.side
            if unchanged == CHECKS_TO_PREPARE_CORRECTION:
                _run_ahead(self._prepare_side, size, control, control.side, stopping, CORRECTION)
            missing, is_ahead = control.find_missing()
            checks = checks + 1 if missing == wanted else 0
            wanted = missing
            if missing is not None and checks >= (CHECKS_TO_PREPARE_AHEAD if is_ahead else CHECKS_TO_PREPARE):
                self._save_speed()  # a run that ends while a graph is compiled is not closed
                if is_ahead:
                    _run_ahead(self._prepare_side, size, control, missing, stopping)
                else:
                    self._prepare_side(size, control, missing, stopping)

    def _prepare_side(
        self, size: tuple[int, int], control: PictureSideControl, side: int, stopping: threading.Event,
        uses: Sequence[DecoderUse] = LIVE,
    ) -> None:  # fmt: skip
        """Compile the graphs of a side that are not compiled yet, and allow its use."""
        self._is_preparing = True
        try:
            self._encoder.prepare(size, side)
            for use in uses:
                if stopping.is_set():  # closing must not wait for more than one graph
                    return
                self._decoder.prepare(size, side, (use,))
            control.set_ready(side)
        finally:
            self._is_preparing = False

    def close(self) -> None:
        """Remember the measured times for the next run, and close the encoder."""
        self._save_speed()
        self._encoder.close()

    def _save_speed(self) -> None:
        if (measured := self._current[1].ms_per_megapixel) is not None:
            limit = math.inf if self._known is None else MOST_SLOWDOWN * self._known
            self._encoder.speed.write(min(measured, limit))

    def _measure_speed(self) -> None:
        """Encode a picture twice, the first time to allocate: the first start on a machine."""
        size, control = self._current
        picture = np.full((size[1], size[0], 3), 128, np.uint8)
        for _ in range(2):
            begun_ns = now_ns()
            self._encoder.encode(picture, control.side)
        control.observe_encode(control.side, (now_ns() - begun_ns) / 1e6)

    def _begin(self, size: tuple[int, int], known: float | None, *, begin_small: bool = False) -> None:
        """Compile the graphs of a click for frames of a size at the first side. known: ms per megapixel."""
        content = self._contents(size)[-1]
        control = PictureSideControl(self._encoder.sides, min(content) / max(content), known, begin_small=begin_small)
        self._report(f"compiling the graphs for {size[0]} x {size[1]} at {control.side} px")
        with ThreadPoolExecutor(1, "gazecast-compile") as beside:  # each graph is compiled on one core
            decoding = beside.submit(self._decoder.prepare, size, control.side, CLICK)
            self._encoder.prepare(size, control.side)
            decoding.result()
        self._current = size, control

    def _change_size(self, size: tuple[int, int]) -> None:
        """Begin anew at the smallest side, unless the encoder sees frames of this size like those before."""
        before, control = self._current
        if self._contents(size) == self._contents(before):
            self._current = size, control
        else:
            self._begin(size, control.ms_per_megapixel, begin_small=True)

    def _contents(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """List the (width, height) that the encoder sees at each side."""
        return [Letterbox(*size, picture_side=side).content_size for side in self._encoder.sides]


def _run_ahead(function: Callable[..., None], *arguments: object) -> None:
    """Call a function that nobody waits for, at the lowest priority, and wait for its end."""
    with ThreadPoolExecutor(1, "gazecast-compile", lower_priority, (AHEAD_NICE,)) as beside:
        beside.submit(function, *arguments).result()
