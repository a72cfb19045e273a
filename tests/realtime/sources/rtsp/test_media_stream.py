"""Tests the times of packets, and descriptions with several media, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from aiortsp.rtcp.parser import RTCP, SR
from aiortsp.rtsp.sdp import SDP
from dpkt.rtp import RTP

from realtime.sources.rtsp.media_stream import MediaStream

AUDIO = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000\r\na=control:trackID=1\r\n"
VIDEO = (
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=Z0I=,aM4=\r\n"
    "a=control:trackID=0\r\n"
)
GAZE = "m=application 0 RTP/AVP 98\r\na=rtpmap:98 com.pupillabs.gaze1/1000\r\na=control:trackID=0\r\n"


def stream(*media: str) -> tuple[MediaStream, list[Any]]:
    packets: list[Any] = []
    made = MediaStream("rtsp://127.0.0.1/", packets.append)
    made._read_description(SDP("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n" + "".join(media)))
    return made, packets


def report(made: MediaStream, unix_s: float, rtp_time: int) -> None:
    made.handle_rtcp(RTCP.unpack(bytes(SR(ssrc=1, ntp=unix_s, ts=rtp_time))))


def send(made: MediaStream, rtp_time: int, payload: bytes = b"x", kind: int = 96, head: int = 0x80) -> None:
    made.handle_rtp(RTP(bytes([head, kind, 0, 7]) + (rtp_time % 2**32).to_bytes(4, "big") + bytes(4) + payload))


@pytest.mark.parametrize("media", [(VIDEO, AUDIO), (AUDIO, VIDEO)])
def test_of_several_media_it_is_the_video(media: tuple[str, ...]) -> None:
    made, packets = stream(*media)
    assert made.encoding == "h264"
    assert made.parameter_sets == (b"\x67\x42", b"\x68\xce")
    send(made, 0, kind=97)
    assert not packets


def test_the_clock_is_that_of_the_description() -> None:
    made, packets = stream(GAZE)
    report(made, 100.0, 5000)
    send(made, 5500, kind=98)
    assert packets[0].sent_s == pytest.approx(100.5, abs=1e-6)


def test_there_is_no_time_before_the_first_report() -> None:
    made, packets = stream(VIDEO)
    send(made, 0)
    report(made, 100.0, 0)
    send(made, 90_000)
    assert [packet.sent_s for packet in packets] == [None, pytest.approx(101.0, abs=1e-6)]


def test_times_go_on_when_the_counter_wraps() -> None:
    made, packets = stream(VIDEO)
    report(made, 100.0, 2**32 - 45_000)
    for ticks in (-45_000 - 90_000, 0, 90_000):
        send(made, ticks)
    assert [packet.sent_s for packet in packets] == pytest.approx([99.0, 100.5, 101.5], abs=1e-6)


def test_a_clock_that_was_set_shows_in_the_reports() -> None:
    made, _ = stream(VIDEO)
    for number in range(3):
        report(made, 100.0 + number, 90_000 * number)
    assert made.clock_jumps == 0
    report(made, 98.0, 270_000)
    report(made, 99.0, 360_000)
    assert made.clock_jumps == 1


def test_header_extensions_and_padding_are_no_payload() -> None:
    made, packets = stream(VIDEO)
    send(made, 0, bytes([0xBE, 0xDE, 0, 1, 1, 2, 3, 4]) + b"data", head=0x90)
    send(made, 0, b"data\0\0\3", head=0xA0)
    assert [packet.payload for packet in packets] == [b"data", b"data"]
