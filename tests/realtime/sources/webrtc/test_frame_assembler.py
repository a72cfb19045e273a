"""Tests how frames are assembled from packets that are late, lost, out of order or empty; the clock is the test's."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("aiortc", reason="wearers over WebRTC need aiortc: pip install -e '.[webrtc]'")

from realtime.sources.webrtc import frame_assembler
from realtime.sources.webrtc.frame_assembler import FrameAssembler, is_keyframe
from realtime.sources.webrtc.rtp_timeline import RtpTimeline

KEY, DELTA = b"\x10\x02\x00\x9d\x01\x2a", b"\x11\x02\x00\x00\x00\x00"
STEP = 3000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10**12

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(frame_assembler, "now_ns", clock)
    return clock


def packet(sequence: int, frame: int, data: bytes, *, marker: bool = False, stamp: bytes | None = None) -> Any:
    return SimpleNamespace(
        sequence_number=sequence % 2**16, timestamp=(frame * STEP) % 2**32, marker=int(marker), _data=data,
        extensions=SimpleNamespace(abs_capture_time=stamp),
    )  # fmt: skip


def packets(frame: int, first: int, count: int = 3, kind: bytes = DELTA) -> list[Any]:
    parts = [kind + b"%d" % frame, *(b"." * n for n in range(1, count))]
    return [packet(first + n, frame, part, marker=n == count - 1) for n, part in enumerate(parts)]


def put(assembler: FrameAssembler, *groups: list[Any]) -> list[int]:
    """Add packets; returns the numbers of the frames that came out."""
    found = [assembler.add(each)[1] for group in groups for each in group]
    return [frame.timestamp // STEP for frame in found if frame is not None]


@pytest.mark.parametrize("first", [0, 65_530])
def test_a_frame_is_complete_with_its_last_packet(clock: Clock, first: int) -> None:
    assembler = FrameAssembler(RtpTimeline())
    for number in range(4):
        *begin, end = packets(number, first + 3 * number, kind=KEY if number == 0 else DELTA)
        assert put(assembler, begin) == []
        assert put(assembler, [end]) == [number]
    assert assembler.first_timestamp == 0
    assert assembler.given_up == 0


def test_packets_out_of_order_and_repeated_are_put_in_order(clock: Clock) -> None:
    shuffler = random.Random(4)
    assembler = FrameAssembler(RtpTimeline())
    assert put(assembler, packets(0, 0, kind=KEY)) == [0]
    seen = []
    for number in range(1, 20):
        group = packets(number, 3 * number) + packets(number - 1, 3 * number - 3)[:1]
        shuffler.shuffle(group)
        seen += put(assembler, group)
    assert seen == list(range(1, 20))


def test_a_packet_that_comes_again_in_time_saves_its_frame(clock: Clock) -> None:
    assembler = FrameAssembler(RtpTimeline())
    put(assembler, packets(0, 0, kind=KEY))
    late, *rest = packets(1, 3)
    assert put(assembler, rest, packets(2, 6)) == []
    clock.now_ns += 100_000_000
    assert put(assembler, [late]) == [1]
    assert put(assembler, packets(3, 9)) == [2, 3]


def test_a_lost_packet_ends_the_wait_and_asks_for_a_whole_picture(clock: Clock) -> None:
    assembler = FrameAssembler(RtpTimeline())
    put(assembler, packets(0, 0, kind=KEY))
    put(assembler, packets(1, 3)[1:])
    requests = []
    for number in range(2, 30):
        clock.now_ns += 33_000_000
        for each in packets(number, 3 * number, kind=KEY if number == 20 else DELTA):
            has_request, frame = assembler.add(each)
            requests += [number] if has_request else []
            if frame is not None:
                assert frame.timestamp // STEP >= 20
    assert 5 <= requests[0] <= 8
    assert all(number <= 20 for number in requests)
    assert len(requests) <= 4
    assert assembler.given_up > 10


def test_a_sender_that_never_sends_a_whole_picture_is_decoded_after_a_while(clock: Clock) -> None:
    assembler = FrameAssembler(RtpTimeline())
    assert put(assembler, packets(0, 0)) == []
    clock.now_ns += 3_000_000_000
    assert put(assembler, packets(1, 3)) == [1]


def test_packets_without_data_are_no_frame(clock: Clock) -> None:
    assembler = FrameAssembler(RtpTimeline())
    assert put(assembler, packets(0, 0, kind=KEY)) == [0]
    assert put(assembler, [packet(3, 0, b""), packet(4, 0, b"")], packets(1, 5, 1), packets(2, 6)) == [1, 2]


def test_times_of_arrival_and_of_capture_are_remembered(clock: Clock) -> None:
    timeline = RtpTimeline()
    assembler = FrameAssembler(timeline)
    stamp = ((1_000 + 2_208_988_800) << 32).to_bytes(8, "big")
    assembler.add(packet(0, 5, KEY, marker=True, stamp=stamp))
    assert timeline.sender_s(5 * STEP) == pytest.approx(1000.0)
    assert assembler.arrival_ns(5 * STEP) == clock.now_ns
    for number in range(6, 200):
        assembler.add(packet(number - 5, number, DELTA, marker=True))
    assert assembler.arrival_ns(5 * STEP) is None


@pytest.mark.parametrize(
    ("data", "is_key"),
    [
        (KEY, True),
        (DELTA, False),
        (b"\x00\x00\x00\x01\x67abc\x00\x00\x00\x01\x68d\x00\x00\x00\x01\x65picture", True),
        (b"\x00\x00\x00\x01\x41picture", False),
        (b"\x00\x00\x00\x01", False),
    ],
)
def test_whole_pictures_are_recognized(data: bytes, is_key: bool) -> None:
    assert is_keyframe(data) == is_key
