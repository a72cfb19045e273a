"""Tests answers to offers, and the map from a sender's times to the host's clock, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("aiortc", reason="wearers over WebRTC need aiortc: pip install -e '.[webrtc]'")

from aiortc import RTCConfiguration, RTCPeerConnection

from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.sources.webrtc.channel_messages import GazeReport
from realtime.sources.webrtc.peer import CAPTURE_TIME_URI, PeerHandlers, WebRtcPeer, extend_answers
from realtime.sources.webrtc.rtp_timeline import CLOCK_RATE


def handlers(**changes: Any) -> PeerHandlers:
    nothing = {"on_picture": lambda picture: None, "on_gaze": lambda sample: None,
               "on_dropped": lambda reason, count: None, "on_closed": lambda: None}  # fmt: skip
    return PeerHandlers(**{**nothing, **changes})


def run_peer(work: Any, **changes: Any) -> Any:
    async def within_loop() -> Any:
        extend_answers()
        peer = WebRtcPeer(handlers(**changes), ())
        try:
            return await work(peer)
        finally:
            await peer.close()
            await peer.close()

    return asyncio.run(within_loop())


async def make_offer(*kinds: str, channel: bool = True) -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in kinds:
        connection.addTransceiver(kind, direction="sendonly")
    if channel:
        connection.createDataChannel("gaze")
    await connection.setLocalDescription(await connection.createOffer())
    await connection.close()
    return str(connection.localDescription.sdp)


def directions(answer: str) -> list[str]:
    return [line for line in answer.splitlines() if line in ("a=recvonly", "a=inactive", "a=sendrecv", "a=sendonly")]


def test_one_video_is_received_and_audio_is_declined() -> None:
    async def work(peer: WebRtcPeer) -> str:
        return await peer.answer(await make_offer("audio", "video", "video"))

    answer = run_peer(work)
    assert directions(answer) == ["a=inactive", "a=recvonly", "a=inactive"]
    assert "webrtc-datachannel" in answer
    assert directions(run_peer(work, on_picture=None)) == ["a=inactive"] * 3


@pytest.mark.parametrize("profile", ["42e01f", "4d001f", "640c1f", "64001f"])
def test_profiles_of_hardware_encoders_are_accepted(profile: str) -> None:
    async def work(peer: WebRtcPeer) -> str:
        offer = await make_offer("video")
        lines = [line for line in offer.splitlines() if "VP8" not in line]
        changed = "\r\n".join(lines).replace("42001f", profile).replace("42e01f", profile)
        return await peer.answer(changed + "\r\n")

    answer = run_peer(work)
    assert f"profile-level-id={profile}" in answer
    assert "VP8" not in answer


def test_times_of_capture_in_packets_are_accepted_where_they_are_offered() -> None:
    async def work(peer: WebRtcPeer) -> tuple[str, str]:
        offer = await make_offer("video")
        return offer, await peer.answer(offer)

    offer, answer = run_peer(work)
    assert (CAPTURE_TIME_URI in offer) == (CAPTURE_TIME_URI in answer)


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        ("", "neither a video nor a data channel"),
        ("v=0", "neither a video nor a data channel"),
        ("m=video", "cannot be used"),
        (
            "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=rtcp-fb:97 nack\r\na=fmtp:97 x=1\r\n",
            "cannot be used",
        ),
        ("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H265/90000\r\n", "cannot be used"),
        ("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "cannot be used"),
    ],
)
def test_an_offer_that_cannot_be_used_is_refused(offer: str, reason: str) -> None:
    async def work(peer: WebRtcPeer) -> None:
        with pytest.raises(SourceError, match=reason):
            await peer.answer(offer)

    run_peer(work)


def test_times_are_mapped_by_the_senders_clock_or_by_arrival() -> None:
    async def work(peer: WebRtcPeer) -> None:
        now = now_ns()
        offset_s = 5000.0
        sender_s = now / 1e9 + offset_s
        report = GazeReport(sender_s - 0.040, 0.5, 0.5, "norm", 3.0)
        assert peer._to_sample(report, now).captured_ns == now  # nothing is known yet: the arrival
        peer.clock.add(now - 1_000_000, sender_s, now + 1_000_000)
        sample = peer._to_sample(report, now)
        assert sample.captured_ns == pytest.approx(now - 40_000_000, abs=2_000_000)
        assert sample.confidence == 1.0
        ahead = GazeReport(sender_s + 0.040, 0.5, 0.5)
        assert peer._to_sample(ahead, now).captured_ns == now  # never later than it arrived
        foreign = GazeReport(3.0, 0.5, 0.5)
        assert peer._to_sample(foreign, now).captured_ns == now

        class Assembler:
            first_timestamp, given_up = 7, 0

            def arrival_ns(self, timestamp: int) -> int:
                return now

        peer._assembler = Assembler()  # type: ignore[assignment]
        ticks = 5 * CLOCK_RATE
        captured_ns, received_ns = peer._map_video_time(ticks, now + 10_000_000)
        assert (captured_ns, received_ns) == (now, now)
        peer._timeline.add_report(7 + ticks, sender_s - 0.030)
        captured_ns, _ = peer._map_video_time(ticks, now + 10_000_000)
        assert captured_ns == pytest.approx(now - 30_000_000, abs=2_000_000)
        peer._timeline.add_report(7 + ticks, 12.0)  # a clock that is not the channel's
        assert peer._map_video_time(ticks, now + 10_000_000)[0] == now

    run_peer(work)
