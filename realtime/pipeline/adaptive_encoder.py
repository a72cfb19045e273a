"""Runs an encoder at the picture side that suits the machine's speed and the motion of the picture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from engines import Embedding, EngineInfo, Image, Letterbox
from engines.graphs import CLICK, LIVE
from engines.sam import SamDecoder, SamEncoder
from realtime.infra.clock import now_ns
from realtime.infra.threads import lower_priority
from realtime.pipeline.side_control import PictureSideControl, is_slow
from realtime.types import Frame

PREPARER_NICE = 10
"""As the encoder's: below it, keyframes took four times as long while a graph was compiled on two busy cores."""
CHECK_S = 0.1
CHECKS_TO_PREPARE, CHECKS_TO_PREPARE_AHEAD = 3, 100
"""Checks in a row that must find the same side missing: compiling costs the run seconds of one core. A side that only
a still picture would get waits until the start is over."""


class AdaptiveEncoder:
    """An `Encoder` whose picture side follows `PictureSideControl`.

    It begins with the graphs of a click, which are ready within a second or two. A thread of its own (`prepare_sides`)
    compiles those of votes, and of other sides as they are wanted, so that no frame waits for them. Frames of another
    size begin anew. `encode` is for one thread, `observe_frame` for another.
    """

    def __init__(
        self, encoder: SamEncoder, decoder: SamDecoder, frame_size: tuple[int, int] | None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        """Compile the graphs of the first side, where the frames' (width, height) is known."""
        self._encoder, self._decoder, self._report = encoder, decoder, report
        # Replaced together: a thread must not see the control of one size with another size.
        self._current: tuple[tuple[int, int] | None, PictureSideControl]
        self._current = None, PictureSideControl(encoder.sides, 1.0, encoder.speed.read())
        # The controls of the size whose first keyframe is encoded, and of that whose graphs for votes are compiled.
        self._encoded: PictureSideControl | None = None
        self._voting: PictureSideControl | None = None
        self._is_preparing = False
        if frame_size is not None:
            self._begin(frame_size)
            if self._current[1].ms_per_megapixel is None:
                self._measure_speed(frame_size)

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
        """Whether keyframes leave this machine no time for the rest; False while its speed is unknown."""
        known = self._current[1].ms_per_megapixel
        return known is not None and is_slow(known)

    @property
    def can_vote(self) -> bool:
        """Whether the graphs for votes are compiled, so that a vote takes milliseconds."""
        return self._voting is self._current[1]

    def encode(self, image: Image) -> Embedding:
        """See `Encoder.encode`."""
        size = image.shape[1], image.shape[0]
        if size != self._current[0]:
            self._begin(size)
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
        wanted, checks = None, 0
        while not stopping.wait(CHECK_S):
            size, control = self._current
            if size is None or self._encoded is not control:
                continue  # nothing must delay the first keyframe
            if self._voting is not control:
                self._prepare_side(size, control, control.side, stopping)
                self._voting = control
            missing, is_ahead = control.find_missing()
            checks = checks + 1 if missing == wanted else 0
            wanted = missing
            if missing is not None and checks >= (CHECKS_TO_PREPARE_AHEAD if is_ahead else CHECKS_TO_PREPARE):
                self._save_speed()  # a run that ends while a graph is compiled is not closed
                self._prepare_side(size, control, missing, stopping)

    def _prepare_side(
        self, size: tuple[int, int], control: PictureSideControl, side: int, stopping: threading.Event
    ) -> None:
        self._is_preparing = True
        try:
            self._encoder.prepare(size, side)
            for use in LIVE:
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
        if (known := self._current[1].ms_per_megapixel) is not None:
            self._encoder.speed.write(known)

    def _measure_speed(self, size: tuple[int, int]) -> None:
        """Encode a picture twice, the first time to allocate: the first start on a machine."""
        picture = np.full((size[1], size[0], 3), 128, np.uint8)
        for _ in range(2):
            begun_ns = now_ns()
            self._encoder.encode(picture, self.side)
        self._current[1].observe_encode(self.side, (now_ns() - begun_ns) / 1e6)

    def _begin(self, size: tuple[int, int]) -> None:
        """Compile the graphs of a click for frames of a size at the first side; after a change of it, at the least."""
        is_change = self._current[0] is not None
        sides, known = self._encoder.sides, self._current[1].ms_per_megapixel
        content = Letterbox(*size, picture_side=max(sides)).content_size
        control = PictureSideControl(sides, min(content) / max(content), known, begin_small=is_change)
        self._report(f"compiling the graphs for {size[0]} x {size[1]} at {control.side} px")
        with ThreadPoolExecutor(1, "gazecast-compile") as beside:  # each graph is compiled on one core
            decoding = beside.submit(self._decoder.prepare, size, control.side, CLICK)
            self._encoder.prepare(size, control.side)
            decoding.result()
        self._current = size, control
