"""One WebRTC connection from a wearer: its video and its data channel. aiortc's objects stay in here.

Everything runs on one event loop. What is needed of aiortc beyond its interface (buffer, sender reports, header
extensions) is attached to private names; where a version lacks one, frames come later and their times are less exact.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import aiortc.codecs
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpHeaderExtensionParameters
from aiortc import RTCSessionDescription as SessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import HeaderExtensionsMap, RtcpSrPacket, unpack_header_extensions

from realtime.errors import OfferError
from realtime.infra.clock import ArrivalClock, ClockMap, now_ns
from realtime.sources.webrtc.channel_messages import (
    ChannelError,
    ClockReply,
    GazeReport,
    pack_clock_request,
    read_messages,
)
from realtime.sources.webrtc.frame_assembler import CAPTURE_TIME_FIELD, FrameAssembler
from realtime.sources.webrtc.rtp_timeline import CLOCK_RATE, RtpTimeline, ntp_to_unix_s
from realtime.types import GazeSample

CAPTURE_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
_CAPTURE_TIME_ID = 4
_H264_PROFILES = ("4d001f", "640c1f", "64001f")
"""Main, constrained high and high; the library answers baseline only."""
FIRST_PROBES = 8
"""Clock requests that follow one another at the start; later ones come at intervals."""
PROBE_EVERY_S = 2.0
MAX_AGE_NS = 5_000_000_000
"""Frames and samples that are older by the sender's clock have times of another one."""
LOST = "lost on the way"
"""Reason of frames that lacked packets."""
_BUFFER, _EXTENSIONS = "_RTCRtpReceiver__jitter_buffer", "_rtp_header_extensions_map"


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedPicture:
    """A decoded picture of the video, as the library has it, with its times; timestamp on the RTP clock, s."""

    picture: Any
    timestamp: float
    captured_ns: int
    received_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class PeerHandlers:
    """Holds what a connection calls, on the event loop; `on_picture` and `on_gaze` are None where not wanted."""

    on_picture: Callable[[ReceivedPicture], None] | None
    on_gaze: Callable[[GazeSample], None] | None
    on_dropped: Callable[[str, int], None]
    on_closed: Callable[[], None]


class _CaptureTimeExtensions(HeaderExtensionsMap):
    """Reads abs-capture-time too, and leaves its bytes in the values' `CAPTURE_TIME_FIELD`."""

    _capture_time_id: int | None = None

    def configure(self, parameters: Any) -> None:
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == CAPTURE_TIME_URI:
                self._capture_time_id = extension.id

    def get(self, extension_profile: int, extension_value: bytes) -> Any:
        values = super().get(extension_profile, extension_value)
        if self._capture_time_id is not None:
            for number, value in unpack_header_extensions(extension_profile, extension_value):
                if number == self._capture_time_id:
                    setattr(values, CAPTURE_TIME_FIELD, value)
        return values


class WebRtcPeer:
    """A connection that answers one offer; closed for good by `close`, or when the sender is gone.

    clock: maps the sender's clock. was_reached: whether a network path was found. was_connected: whether encryption was
    agreed on, too.
    """

    def __init__(self, handlers: PeerHandlers, ice_servers: Sequence[str]) -> None:
        """ice_servers: `stun:HOST:PORT`, `turn:USER:PASSWORD@HOST:PORT`; without any, the library would choose one."""
        self._handlers = handlers
        servers = [_ice_server(url) for url in ice_servers]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._connection.on("datachannel", self._on_channel)
        self._connection.on("connectionstatechange", self._on_state)
        self._connection.on("iceconnectionstatechange", self._on_reach)
        self.clock = ClockMap()
        self._arrivals, self._gaze_arrivals = ArrivalClock(), ArrivalClock()
        self._timeline = RtpTimeline()
        self._assembler: FrameAssembler | None = None
        self._given_up = 0
        self._probes: dict[int, int] = {}
        self._probe_count = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        self.was_connected = self.was_reached = False

    async def answer(self, offer: str) -> str:
        """Answer a session description; raises `OfferError` for one that cannot be used."""
        if "webrtc-datachannel" not in offer and "m=video" not in offer:
            raise OfferError("the offer has neither a video nor a data channel")
        try:
            await self._connection.setRemoteDescription(SessionDescription(offer, "offer"))
            self._choose_media()
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except (
            ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError,
            InvalidAccessError, InvalidStateError, OperationError, OSError, RuntimeError,
        ) as error:  # fmt: skip
            raise OfferError(f"the offer cannot be used: {str(error) or type(error).__name__:.200}") from None
        return str(self._connection.localDescription.sdp)

    async def close(self) -> None:
        """End the connection; may be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(ConnectionError):
            await self._connection.close()

    def _choose_media(self) -> None:
        """Receive the first video; audio and further videos are declined."""
        wants_video = self._handlers.on_picture is not None
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind == "video" and wants_video and transceiver.receiver.track is not None:
                wants_video = False
                self._attach(transceiver.receiver)
                self._tasks.append(asyncio.ensure_future(self._receive(transceiver.receiver.track)))
            else:
                transceiver.direction = "inactive"

    def _attach(self, receiver: Any) -> None:
        if hasattr(receiver, _BUFFER):
            self._assembler = FrameAssembler(self._timeline)
            setattr(receiver, _BUFFER, self._assembler)
        if hasattr(receiver.transport, _EXTENSIONS):
            setattr(receiver.transport, _EXTENSIONS, _CaptureTimeExtensions())
        handle = receiver._handle_rtcp_packet

        async def handle_report(packet: Any) -> None:
            if isinstance(packet, RtcpSrPacket):
                info = packet.sender_info
                self._timeline.add_report(info.rtp_timestamp, ntp_to_unix_s(info.ntp_timestamp))
            await handle(packet)

        receiver._handle_rtcp_packet = handle_report

    async def _receive(self, track: Any) -> None:
        assert self._handlers.on_picture is not None
        with contextlib.suppress(MediaStreamError):
            while True:
                picture = await track.recv()
                self._count_given_up()
                ticks = picture.pts or 0
                captured_ns, received_ns = self._map_video_time(ticks, now_ns())
                self._handlers.on_picture(ReceivedPicture(picture, ticks / CLOCK_RATE, captured_ns, received_ns))

    def _count_given_up(self) -> None:
        given_up = self._assembler.given_up if self._assembler is not None else 0
        self._handlers.on_dropped(LOST, given_up - self._given_up)
        self._given_up = given_up

    def _map_video_time(self, ticks: int, decoded_ns: int) -> tuple[int, int]:
        """Return when a frame was captured, and when it arrived. ticks: since the first frame."""
        sender_s, received_ns = None, decoded_ns
        if self._assembler is not None and self._assembler.first_timestamp is not None:
            timestamp = (self._assembler.first_timestamp + ticks) % 2**32
            sender_s = self._timeline.sender_s(timestamp)
            received_ns = self._assembler.arrival_ns(timestamp) or decoded_ns
        arrival_ns = self._arrivals.host_ns(ticks / CLOCK_RATE, received_ns)
        mapped_ns = self.clock.host_ns(sender_s) if sender_s is not None else None
        is_plausible = mapped_ns is not None and abs(received_ns - mapped_ns) <= MAX_AGE_NS
        captured_ns = mapped_ns if mapped_ns is not None and is_plausible else arrival_ns
        return min(captured_ns, received_ns), received_ns

    def _on_channel(self, channel: Any) -> None:
        channel.on("message", lambda data: self._on_message(channel, data))
        if not self._probe_count:  # of several channels the first one is asked for the clock
            self._probe_count = 1
            self._tasks.append(asyncio.ensure_future(self._probe(channel)))

    async def _probe(self, channel: Any) -> None:
        """Ask for the sender's time at intervals, while the channel is open."""
        with contextlib.suppress(InvalidStateError, ConnectionError):
            while channel.readyState == "open":
                self._request_clock(channel)
                await asyncio.sleep(PROBE_EVERY_S)

    def _request_clock(self, channel: Any) -> None:
        self._probe_count += 1
        self._probes = {number: sent for number, sent in self._probes.items() if number > self._probe_count - 16}
        self._probes[self._probe_count] = now_ns()
        channel.send(pack_clock_request(self._probe_count))

    def _on_message(self, channel: Any, data: str | bytes) -> None:
        received_ns = now_ns()
        for message in read_messages(data):
            if isinstance(message, ChannelError):
                self._handlers.on_dropped(str(message), 1)
            elif isinstance(message, ClockReply):
                sent_ns = self._probes.pop(message.id, None)
                if sent_ns is None:
                    self._handlers.on_dropped("clock answer", 1)
                    continue
                self.clock.add(sent_ns, message.time, received_ns)
                if self._probe_count <= FIRST_PROBES:
                    with contextlib.suppress(InvalidStateError, ConnectionError):
                        self._request_clock(channel)
            elif self._handlers.on_gaze is not None:
                self._handlers.on_gaze(self._to_sample(message, received_ns))

    def _to_sample(self, report: GazeReport, received_ns: int) -> GazeSample:
        mapped_ns = self.clock.host_ns(report.time)
        if mapped_ns is None or abs(received_ns - mapped_ns) > MAX_AGE_NS:
            mapped_ns = self._gaze_arrivals.host_ns(report.time, received_ns)
        confidence = min(1.0, max(0.0, report.confidence))
        captured_ns = min(mapped_ns, received_ns)
        return GazeSample(report.x, report.y, report.unit, confidence, report.time, captured_ns, received_ns)

    def _on_reach(self) -> None:
        self.was_reached |= self._connection.iceConnectionState in ("connected", "completed")

    def _on_state(self) -> None:
        state = self._connection.connectionState
        self.was_connected |= state == "connected"
        if state in ("failed", "closed"):
            self._handlers.on_closed()


def _ice_server(url: str) -> RTCIceServer:
    kind, _, place = url.partition(":")
    login, at, host = place.rpartition("@")
    if not at:
        return RTCIceServer(url)
    user, _, password = login.partition(":")
    return RTCIceServer(f"{kind}:{host}", unquote(user), unquote(password))


def extend_answers() -> None:
    """Let answers accept abs-capture-time, and more profiles of H.264, which the decoder knows; once a process."""
    extensions, codecs = aiortc.codecs.HEADER_EXTENSIONS["video"], aiortc.codecs.CODECS["video"]
    if any(extension.uri == CAPTURE_TIME_URI for extension in extensions):
        return
    extensions.append(RTCRtpHeaderExtensionParameters(id=_CAPTURE_TIME_ID, uri=CAPTURE_TIME_URI))
    known = next(codec for codec in codecs if codec.mimeType == "video/H264")
    for profile in _H264_PROFILES:  # hardware encoders of phones and headsets have those only
        codecs.append(replace(known, parameters={**known.parameters, "profile-level-id": profile}))
