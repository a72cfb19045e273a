"""The adaptive encoder compiles what the first mask needs, and the rest beside the run."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from engines import Embedding, Letterbox
from engines.graphs import CLICK, CORRECTION, LIVE, DecoderUse
from realtime.pipeline.adaptive_encoder import (
    CHECK_S,
    CHECKS_TO_PREPARE_AHEAD,
    CHECKS_TO_PREPARE_CORRECTION,
    LIKELY_SIZE,
    AdaptiveEncoder,
)
from tests.realtime.waiting import eventually

FRAME = np.zeros((360, 640, 3), np.uint8)
TURNED = np.zeros((640, 360, 3), np.uint8)


class SpeedNote:
    def __init__(self, known: float | None = None) -> None:
        self.known = known

    def read(self) -> float | None:
        return self.known

    def write(self, value: float) -> None:
        self.known = value


class StubEncoder:
    """As `SamEncoder`, infinitely fast; notes what is compiled."""

    sides = (256, 384, 512)

    def __init__(self, known: float | None = None) -> None:
        self.speed = SpeedNote(known)
        self.prepared: list[tuple[tuple[int, int], int]] = []
        self.closed = False

    def prepare(self, size: tuple[int, int], side: int) -> None:
        self.prepared.append((size, side))

    def encode(self, image: np.ndarray, side: int) -> Embedding:
        assert ((image.shape[1], image.shape[0]), side) in self.prepared
        return Embedding("stub", Letterbox(image.shape[1], image.shape[0], picture_side=side), None)

    def close(self) -> None:
        self.closed = True


class StubDecoder:
    def __init__(self) -> None:
        self.prepared: list[tuple[tuple[int, int], int, tuple[DecoderUse, ...]]] = []

    def prepare(self, size: tuple[int, int], side: int, uses: tuple[DecoderUse, ...] = LIVE) -> None:
        self.prepared.append((size, side, uses))


class CountedChecks(threading.Event):
    """Stops the preparer after a number of its checks."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        if self.left < 0:
            self.set()
        return self.is_set()


class TimedEncoder(StubEncoder):
    """Takes as long as its speed says, of a simulated clock."""

    def __init__(self, ms_per_megapixel: float, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.ms_per_megapixel, self.now_ns = ms_per_megapixel, 0
        monkeypatch.setattr("realtime.pipeline.adaptive_encoder.now_ns", lambda: self.now_ns)

    def encode(self, image: np.ndarray, side: int) -> Embedding:
        self.now_ns += round(self.ms_per_megapixel * side * side * 9 / 16)
        return super().encode(image, side)


@pytest.mark.parametrize(("ms_per_megapixel", "is_slow"), [(600, False), (1250, False), (1550, True)])
def test_the_first_start_measures_the_machine(
    ms_per_megapixel: float, is_slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = TimedEncoder(ms_per_megapixel, monkeypatch)
    adaptive = AdaptiveEncoder(encoder, StubDecoder(), (640, 360))
    assert adaptive.is_slow == is_slow
    adaptive.close()
    assert encoder.speed.known == pytest.approx(ms_per_megapixel)


def test_the_first_mask_waits_for_the_smallest_graphs_only() -> None:
    encoder, decoder = StubEncoder(), StubDecoder()
    adaptive = AdaptiveEncoder(encoder, decoder, (640, 360))
    assert encoder.prepared == [((640, 360), 256)]
    assert decoder.prepared == [((640, 360), 256, CLICK)]
    assert adaptive.encode(FRAME).letterbox.picture_side == 256


def test_votes_wait_for_their_graphs() -> None:
    decoder = StubDecoder()
    adaptive = AdaptiveEncoder(StubEncoder(), decoder, (640, 360))
    adaptive.prepare_sides(CountedChecks(2))
    assert not adaptive.can_vote  # the first keyframe is not delayed
    adaptive.encode(FRAME)
    adaptive.prepare_sides(CountedChecks(2))
    assert adaptive.can_vote
    assert [use for _, side, uses in decoder.prepared[1:] if side == 256 for use in uses] == list(LIVE)
    adaptive.encode(TURNED)
    assert not adaptive.can_vote


def test_the_graph_of_a_correction_is_compiled_once_when_the_start_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = StubDecoder()
    adaptive = AdaptiveEncoder(TimedEncoder(5000, monkeypatch), decoder, (640, 360))  # no larger side is wanted
    adaptive.encode(FRAME)
    adaptive.prepare_sides(CountedChecks(CHECKS_TO_PREPARE_CORRECTION))
    assert not {use for _, _, uses in decoder.prepared for use in uses} & {*CORRECTION}
    adaptive.prepare_sides(CountedChecks(3 * CHECKS_TO_PREPARE_CORRECTION))
    prepared = [(size, side, use) for size, side, uses in decoder.prepared for use in uses if use in CORRECTION]
    assert prepared == [((640, 360), 256, use) for use in CORRECTION]


def test_larger_sides_are_compiled_beside_the_run_and_then_used() -> None:
    encoder, decoder = StubEncoder(), StubDecoder()
    adaptive = AdaptiveEncoder(encoder, decoder, (640, 360))
    stopping = threading.Event()
    thread = threading.Thread(target=adaptive.prepare_sides, args=(stopping,), daemon=True)
    thread.start()
    try:
        eventually(lambda: adaptive.encode(FRAME).letterbox.picture_side == 512)
    finally:
        stopping.set()
        thread.join(60)
    assert [use for _, side, uses in decoder.prepared if side == 512 for use in uses] == list(LIVE)
    assert adaptive.side == 512


@pytest.mark.parametrize(("measured", "kept"), [(25_000, 1200), (900, 900), (300, 300)])
def test_one_run_on_a_crowded_machine_makes_the_next_ones_at_most_half_as_fast(
    measured: float, kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = TimedEncoder(measured, monkeypatch)
    encoder.speed.known = 600.0
    adaptive = AdaptiveEncoder(encoder, StubDecoder(), (640, 360))
    for _ in range(80):  # until the mean is that of these
        adaptive.encode(FRAME)
    adaptive.close()
    assert encoder.speed.known == pytest.approx(kept, rel=0.01)


def test_the_next_run_begins_at_the_side_that_was_fast_enough() -> None:
    encoder = StubEncoder()
    adaptive = AdaptiveEncoder(encoder, StubDecoder(), (640, 360))
    adaptive.encode(FRAME)
    adaptive.close()
    assert encoder.closed
    again = StubEncoder(encoder.speed.known)
    AdaptiveEncoder(again, StubDecoder(), (640, 360))
    assert again.prepared == [((640, 360), 512)]


def test_a_turned_picture_begins_anew() -> None:
    encoder, decoder = StubEncoder(known=1.0), StubDecoder()
    adaptive = AdaptiveEncoder(encoder, decoder, (640, 360))
    assert adaptive.encode(FRAME).letterbox.picture_side == 512
    assert adaptive.encode(TURNED).letterbox.content_size == (144, 256)
    assert encoder.prepared[-1] == ((360, 640), 256)
    assert decoder.prepared[-1] == ((360, 640), 256, CLICK)  # votes and boxes come with the thread


def test_without_a_frame_the_likely_size_is_prepared_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, decoder = TimedEncoder(2000, monkeypatch), StubDecoder()
    adaptive = AdaptiveEncoder(encoder, decoder, None)
    assert encoder.prepared == [(LIKELY_SIZE, 256)]
    assert decoder.prepared == [(LIKELY_SIZE, 256, CLICK)]
    assert adaptive.is_slow


def test_frames_of_another_size_and_the_same_shape_need_no_other_graphs() -> None:
    encoder, decoder = StubEncoder(known=1.0), StubDecoder()
    adaptive = AdaptiveEncoder(encoder, decoder, None)
    encoder.prepared.append(((640, 360), 512))  # the same graph
    assert adaptive.encode(FRAME).letterbox.picture_side == 512
    assert len(decoder.prepared) == 1


def test_frames_of_another_shape_than_the_likely_one_begin_small() -> None:
    encoder, decoder = StubEncoder(known=1.0), StubDecoder()
    adaptive = AdaptiveEncoder(encoder, decoder, None)
    assert adaptive.encode(TURNED).letterbox.picture_side == 256
    assert encoder.prepared[-1] == ((360, 640), 256)
    assert decoder.prepared[-1] == ((360, 640), 256, CLICK)


def test_other_sides_of_the_old_size_are_not_taken_for_those_of_the_new_one() -> None:
    class SlowDecoder(StubDecoder):
        """Compiles the turned picture's graphs until the preparer has had the time to mistake the size."""

        def prepare(self, size: tuple[int, int], side: int, uses: tuple[DecoderUse, ...] = LIVE) -> None:
            super().prepare(size, side, uses)
            if size == (360, 640) and side == 256:
                threading.Event().wait(8 * CHECK_S)

    encoder = StubEncoder(known=4000.0)  # so slow that a moving picture gets 256 px, and one that stands still 384
    adaptive = AdaptiveEncoder(encoder, SlowDecoder(), (640, 360))
    adaptive.encode(FRAME)
    stopping = threading.Event()
    thread = threading.Thread(target=adaptive.prepare_sides, args=(stopping,), daemon=True)
    thread.start()
    try:
        for _ in range(3):
            adaptive.encode(TURNED)  # the stub asserts that its graph is there
        eventually(lambda: adaptive.encode(TURNED).letterbox.picture_side == 512)
    finally:
        stopping.set()
        thread.join(60)


@pytest.mark.parametrize(
    ("checks", "prepared"), [(CHECKS_TO_PREPARE_AHEAD // 2, []), (CHECKS_TO_PREPARE_AHEAD * 2, [512])]
)
def test_what_only_a_still_picture_needs_is_compiled_later(
    checks: int, prepared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = TimedEncoder(1500.0, monkeypatch)  # moving 256 px, still 512
    adaptive = AdaptiveEncoder(encoder, StubDecoder(), (640, 360))
    adaptive.encode(FRAME)
    adaptive.prepare_sides(CountedChecks(checks))
    assert list(dict.fromkeys(side for _, side in encoder.prepared)) == [256, *prepared]


def test_encodes_beside_the_compiler_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TimedEncoder(600, monkeypatch)

    class ConcurrentDecoder(StubDecoder):
        """Lets a keyframe be encoded, ten times slower, while it compiles."""

        def prepare(self, size: tuple[int, int], side: int, uses: tuple[DecoderUse, ...] = LIVE) -> None:
            super().prepare(size, side, uses)
            if side != 256:
                encoder.ms_per_megapixel = 6000
                adaptive.encode(FRAME)
                encoder.ms_per_megapixel = 600

    adaptive = AdaptiveEncoder(encoder, ConcurrentDecoder(), (640, 360))
    adaptive.encode(FRAME)
    adaptive.prepare_sides(CountedChecks(10))
    adaptive.close()
    assert ((640, 360), 512) in encoder.prepared
    assert encoder.speed.known == pytest.approx(600)


def test_closing_waits_for_one_graph_at_most() -> None:
    stopping = threading.Event()

    class StoppedEncoder(StubEncoder):
        def prepare(self, size: tuple[int, int], side: int) -> None:
            super().prepare(size, side)
            if side != 256:
                stopping.set()

    decoder = StubDecoder()
    encoder = StoppedEncoder()
    adaptive = AdaptiveEncoder(encoder, decoder, (640, 360))
    adaptive.encode(FRAME)
    adaptive.prepare_sides(stopping)
    assert {side for _, side, _ in decoder.prepared} == {256}
    assert adaptive.side == 256
    assert encoder.speed.known is not None  # a run that ends meanwhile does not close the encoder
