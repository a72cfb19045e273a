"""Connects to Tobii Pro Glasses 3 over RTSP, through restarts, silence and data that cannot be used.

The glasses describe one session, `/live/all`: two videos, of the scene and of the eyes, and streams of JSON, of which
the first has gaze. A source of frames plays that one too: the arrival of gaze, which is sent at once, maps the clock
of the glasses, so that frames and gaze have the same one whatever the camera's encoder takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from realtime.infra.clock import ArrivalClock, now_ns
from realtime.sources.base import ThreadedSource
from realtime.sources.rtsp.packets import RtpPacket, StreamError
from realtime.sources.rtsp.session import RtspSession, SessionStream, TransportRefused
from realtime.sources.tobii.control import describe_glasses
from realtime.sources.tobii.discovery import GlassesUnavailable, find_glasses
from realtime.types import OnEvent

DEFAULT_PORT, PATH = 8554, "/live/all"
RETRY_S = 0.5
SILENCE_NS, DEAD_NS = 1_500_000_000, 5_000_000_000
"""Time without usable data after which the source is `waiting`, and after which it connects anew."""
REPORT_NS = 6_000_000_000
"""RTCP reports come every few seconds; data without a time are not used meanwhile."""
NO_REPORT = "no time yet"


@dataclass(frozen=True, slots=True)
class GlassesAddress:
    """The address of the recording unit's RTSP server."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        """Write it as a source's name."""
        return f"tobii://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class TobiiSource(ThreadedSource):
    """A base of sources that play streams of the glasses. data: what they are about, as users know it."""

    def __init__(self, address: GlassesAddress | None, data: str) -> None:
        """address: None to find the only glasses in the network."""
        self._address, self._data = address, data
        super().__init__(f"asking {address}" if address else "looking for Tobii Pro Glasses 3 in the network")
        self._clock, self._clock_jumps = ArrivalClock(), 0
        self._connected_ns = self._good_ns = 0
        self._flaw = ""  # of the last data that could not be used
        self._is_udp = False

    def _connect(self, on_event: OnEvent | None) -> None:
        self._start_threads(on_event, **{f"tobii {self._data}": self._run})

    def _select(self, streams: Sequence[SessionStream]) -> Sequence[SessionStream]:
        """Select the streams to play; raises `StreamError` where one is missing."""
        raise NotImplementedError

    def _handle(self, stream: SessionStream, packet: RtpPacket) -> None:
        """Handle a packet of a selected stream."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                host, port = self._find()
                self._play(host, port)
            except GlassesUnavailable as error:
                self._monitor.set_state("connecting", str(error))
            except StreamError as error:
                self._monitor.set_state("connecting", f"{self._place(host, port)}: {error}")
            except OSError:
                place = self._place(host, port)
                self._monitor.set_state("connecting", f"no answer from {place}; switch the glasses on, in this network")
            self._stop.wait(RETRY_S)

    def _find(self) -> tuple[str, int]:
        return (self._address.host, self._address.port) if self._address else (find_glasses(self._stop), DEFAULT_PORT)

    def _place(self, host: str, port: int) -> str:
        return str(GlassesAddress(host, port))

    def _play(self, host: str, port: int) -> None:
        """Play until the connection ends or nothing usable comes for long."""
        session = RtspSession(host, port, PATH, self._stop.is_set, is_udp=self._is_udp)
        try:
            try:
                session.play(self._select)
            except TransportRefused:
                self._is_udp = not self._is_udp
                raise
            self._connected_ns = self._good_ns = now_ns()
            about: str | None = None
            for found in session.packets():
                if found is not None:
                    self._handle(*found)
                silent_ns = now_ns() - self._good_ns
                if silent_ns > SILENCE_NS:
                    about = describe_glasses(host) if about is None else about
                    why = self._flaw or about
                    text = f"{self._place(host, port)} sends no usable {self._data}" + (f": {why}" if why else "")
                    self._monitor.set_state("waiting", text)
                if silent_ns > max(DEAD_NS, REPORT_NS + SILENCE_NS):
                    return
        finally:
            session.close()

    def _map_time(self, stream: SessionStream, sent_s: float | None, received_ns: int) -> tuple[float, int] | None:
        """Return a packet's time and its capture on the host; None, and count it, while it has none.

        Where no report comes at all, both are those of the arrival.
        """
        if sent_s is None:
            if received_ns - self._connected_ns < REPORT_NS:
                self._drop(NO_REPORT, "its times are not known yet (RTCP)")
                return None
            return received_ns / 1e9, received_ns
        if stream.clock_jumps != self._clock_jumps:
            self._clock, self._clock_jumps = ArrivalClock(), stream.clock_jumps
        return sent_s, min(received_ns, self._clock.host_ns(sent_s, received_ns))

    def _accept(self, sent_s: float, received_ns: int) -> None:
        """Set the state `running` for usable data."""
        self._good_ns, self._flaw = now_ns(), ""
        is_untimed = sent_s == received_ns / 1e9
        reason = "the glasses send no times (RTCP); the times of arrival are used" if is_untimed else ""
        self._monitor.set_state("running", reason)

    def _drop(self, reason: str, flaw: str) -> None:
        self._monitor.count_dropped(reason)
        self._flaw = flaw
