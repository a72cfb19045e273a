"""Tests the assembly of frames from packets that are lost, late, or have misleading markers."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.simulation.neon.rtsp_server import packetize_nals
from realtime.sources.rtsp.access_units import START_CODE, AccessUnitAssembler
from realtime.sources.rtsp.packets import RtpPacket

SETS = [b"\x67sps", b"\x68pps"]


def nal(kind, size, fill=0):
    return bytes([0x60 | kind]) + bytes((fill + at) % 251 for at in range(size - 1))


def packets(frames, first=0, markers="last"):
    """The packets of frames, each a list of NAL units. markers: last, none, or of each `fragmented` unit."""
    out = []
    for number, nals in enumerate(frames):
        payloads = packetize_nals(nals)
        for at, payload in enumerate(payloads):
            is_last = at == len(payloads) - 1
            ends_fragment = payload[0] & 31 == 28 and bool(payload[1] & 0x40)
            marker = {"last": is_last, "none": False, "fragmented": ends_fragment}[markers]
            sequence = (first + len(out)) % 65536
            out.append(RtpPacket(payload, sequence, 3000 * number, marker, float(number), 10 * len(out)))
    return out


def assemble(arriving):
    assembler = AccessUnitAssembler()
    return [unit for packet in arriving for unit in assembler.add(packet)], assembler


def joined(nals):
    return b"".join(START_CODE + one for one in nals)


FRAMES = [[*SETS, nal(5, 9000)], [nal(1, 400)], [nal(1, 5000, 7), nal(1, 3000, 9)], [nal(1, 100)]]


@pytest.mark.parametrize("first", [0, 65530])
def test_frames_end_with_their_marker(first):
    units, assembler = assemble(packets(FRAMES, first))
    assert [unit.data for unit in units] == [joined(nals) for nals in FRAMES]
    assert [unit.is_key for unit in units] == [True, False, False, False]
    assert not any(unit.is_damaged for unit in units)
    assert [unit.sent_s for unit in units] == [0.0, 1.0, 2.0, 3.0]
    assert assembler.lost == 0


def test_without_markers_a_frame_ends_when_the_next_one_begins():
    units, _ = assemble(packets(FRAMES, markers="none"))
    assert [unit.data for unit in units] == [joined(nals) for nals in FRAMES[:3]]


def test_markers_inside_of_frames_are_found_out():
    """Some senders set the marker at the end of each fragmented unit."""
    frames = FRAMES * 3
    units, _ = assemble(packets(frames, markers="fragmented"))
    assert [unit.data for unit in units[-8:]] == [joined(nals) for nals in frames[-9:-1]]
    assert not any(unit.is_damaged for unit in units[-8:])


def test_a_marker_behind_the_parameter_sets_ends_no_frame():
    sent = packets([[*SETS, nal(5, 300)]])
    units, _ = assemble([replace(packet, is_last=True) for packet in sent])
    assert [unit.data for unit in units] == [joined([*SETS, nal(5, 300)])]


def test_aggregated_units_are_taken_apart():
    payload = b"\x78" + b"".join(len(one).to_bytes(2, "big") + one for one in (*SETS, nal(5, 50)))
    units, _ = assemble([RtpPacket(payload, 1, 0, True, None, 0)])
    assert units[0].data == joined([*SETS, nal(5, 50)])
    assert units[0].is_key


@pytest.mark.parametrize("lost", range(1, 17))
def test_every_single_loss_is_noticed(lost):
    sent = packets(FRAMES[:3])
    kept = sent[:lost] + sent[lost + 1 :]
    units, assembler = assemble(kept + packets([[nal(1, 50)]], first=len(sent)))
    assert assembler.lost == 1
    whole = {joined(nals) for nals in (*FRAMES[:3], [nal(1, 50)])}
    assert all(unit.is_damaged or unit.data in whole for unit in units)
    assert any(unit.is_damaged for unit in units)


def test_late_and_doubled_packets_are_left_out():
    sent = packets(FRAMES)
    units, assembler = assemble([*sent[:5], sent[3], *sent[5:], sent[-1]])
    assert [unit.data for unit in units] == [joined(nals) for nals in FRAMES]
    assert assembler.late == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=30))
def test_any_packets_are_survived(sent):
    sequence = 0
    assembler = AccessUnitAssembler()
    for payload, step, frame, marker in sent:
        sequence = (sequence + step) % 65536
        assembler.add(RtpPacket(payload, sequence, frame, marker, None, 0))


def test_random_losses_never_pass_a_wrong_frame_as_intact():
    rng = random.Random(5)
    frames = [[nal(1, rng.randrange(50, 6000), number)] for number in range(300)]
    units, _ = assemble([packet for packet in packets(frames) if rng.random() > 0.05])
    assert {unit.data for unit in units if not unit.is_damaged} <= {joined(nals) for nals in frames}
    assert sum(not unit.is_damaged for unit in units) > 150


@pytest.mark.parametrize("lost", range(2, 9))
def test_the_lost_share_is_that_of_the_bytes(lost):
    """The first fragment of seven is the third packet; what follows a lost one counts as lost too."""
    sent = packets(FRAMES[:2])
    units, _ = assemble(sent[:lost] + sent[lost + 1 :])
    assert units[0].is_key
    assert units[0].lost_share == pytest.approx((9 - lost) / 7, abs=0.15)
