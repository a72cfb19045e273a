"""What is decoded when packets come faster than they can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.sources.video import packet_queue
from realtime.sources.video.packet_queue import PacketQueue, QueuedPacket

FRAME_NS = 40_000_000


def fill(kinds: str, *, first: int = 0, queue: PacketQueue[int] | None = None) -> PacketQueue[int]:
    """A queue of numbered packets, 40 ms apart: K is a keyframe."""
    queue = PacketQueue[int]() if queue is None else queue
    for number, kind in enumerate(kinds, start=first):
        queue.put(QueuedPacket(number, kind == "K", number * FRAME_NS))
    return queue


def take(queue: PacketQueue[int]) -> tuple[list[int], bool]:
    packets, is_anew = queue.take(0)
    return [packet.packet for packet in packets], is_anew


@pytest.mark.parametrize(
    ("kinds", "taken", "is_anew", "late"),
    [
        ("", [], False, 0),
        ("P", [0], False, 0),
        ("KPP", [0, 1, 2], False, 0),
        ("PK", [0, 1], False, 0),  # nothing is late: the one before is decoded, too
        ("PPPKP", [3, 4], True, 3),
        ("KPPPKPK", [6], True, 6),
        ("KKKKK", [4], True, 4),  # each picture by itself, as with Motion JPEG
        ("P" * 20, list(range(20)), False, 0),
        ("P" * 30, [], False, 30),
    ],
)
def test_only_what_the_newest_frame_needs_is_taken(kinds: str, taken: list[int], is_anew: bool, late: int) -> None:
    queue = fill(kinds)
    assert take(queue) == (taken, is_anew)
    assert (queue.count_late(), queue.count_late()) == (late, 0)


def test_after_a_gap_decoding_waits_for_a_keyframe() -> None:
    queue = fill("P" * 30)
    assert take(queue) == ([], False)
    assert take(fill("PPP", first=30, queue=queue)) == ([], False)
    assert take(fill("PKP", first=33, queue=queue)) == ([34, 35], True)
    assert take(fill("PP", first=36, queue=queue)) == ([36, 37], False)
    assert queue.count_late() == 34


def test_a_stream_without_keyframes_goes_on_after_a_while() -> None:
    queue = fill("P" * 30)
    take(queue)
    first = 30 + packet_queue.MAX_KEYFRAME_WAIT_NS // FRAME_NS
    assert take(fill("PP", first=first, queue=queue)) == ([first, first + 1], True)


def test_a_paced_stream_loses_nothing() -> None:
    queue = fill("KPPPKP" * 8)
    queue.is_paced = True
    assert [take(queue) for _ in range(48)] == [([number], False) for number in range(48)]
    assert not queue.wait_below(0, 0)
    assert queue.wait_below(1, 0)


@given(st.lists(st.text("KP", max_size=400), max_size=6))
def test_the_queue_is_bounded_and_every_packet_is_taken_or_counted(batches: list[str]) -> None:
    queue, taken, first = PacketQueue[int](), list[int](), 0
    for batch in batches:
        fill(batch, first=first, queue=queue)
        first += len(batch)
        assert queue.wait_below(packet_queue.MAX_PACKETS + 1, 0)
        taken += take(queue)[0]
    assert taken == sorted(taken)
    assert len(taken) + queue.count_late() == first
