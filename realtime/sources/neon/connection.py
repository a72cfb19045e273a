"""Connects to the Companion app of a Neon or Invisible, through restarts, clock jumps and unplugged cameras.

A source has a thread that asks for status and time, and one for each stream. Sources share nothing, so that decoding
video never delays a gaze sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from realtime.infra.clock import ClockMap, now_ns
from realtime.sources.async_source import AsyncSource
from realtime.sources.neon.capture_times import CaptureTimes
from realtime.sources.neon.companion_api import (
    SENSOR_NAMES,
    CompanionAddress,
    DeviceStatus,
    DeviceUnavailable,
    find_address,
    load_client,
    probe_clock,
    request_status,
)
from realtime.sources.neon.gaze_messages import UnusableData
from realtime.sources.rtsp.media_stream import MediaStream
from realtime.sources.rtsp.packets import RtpPacket, StreamError
from realtime.types import OnEvent, SourceStatus

CHECK_S, PROBE_S, RETRY_S = 0.5, 1.0, 0.2
SILENCE_NS = 1_500_000_000
"""A device is asked again after so long without usable data."""
REPORT_NS = 500_000_000
"""Longer without a sender report is shown as the reason why nothing comes."""
INITIAL_PROBES = 8
_USED = "the times of arrival are used"
NO_REPORT = "before the first sender report"
HandlePacket = Callable[[MediaStream, RtpPacket], None]


class NeonSource(AsyncSource):
    """A base of sources that receive streams of one device and map its clock to the host's."""

    def __init__(self, address: CompanionAddress | None, sensor: str) -> None:
        """address: None to find the only device in the network. sensor: the stream that `status` is about."""
        load_client()
        self._fixed, self._sensor, self._label = address, sensor, SENSOR_NAMES[sensor]
        super().__init__(f"asking {address}" if address else "looking for a Neon in the network")
        self._clock = ClockMap()
        self._times = CaptureTimes(self._clock)
        self._address, self._device = address, DeviceStatus("")
        self._good_ns = self._begun_ns = 0
        self._answered_ns = 0  # since when the device answers
        self._unreported_ns: int | None = None  # first packet without a time since the last one with it
        self._flaw = ""  # of the stream, or of the last data that could not be used

    def status(self) -> SourceStatus:
        """Return state, counts and clock."""
        return self._monitor.status(self._clock.status(now_ns()))

    def _connect(
        self, on_event: OnEvent | None, streams: Mapping[str, HandlePacket], **works: Callable[[], None]
    ) -> None:
        """Start the threads: for `streams`, a sensor and what handles its packets each, and for other `works`."""
        works[f"neon {self._sensor} status"] = self._as_thread_work(self._watch)
        for sensor, handle in streams.items():
            works[f"neon {sensor}"] = self._as_thread_work(partial(self._receive, sensor, handle))
        self._begun_ns = now_ns()
        self._start_threads(on_event, **works)

    def _accept(self, received_ns: int) -> None:
        """Set the state `running` for usable data."""
        self._good_ns, self._flaw = received_ns, ""
        reason = ""
        if self._times.is_foreign:
            reason = f"the times of {self._label} are of another clock than Time Echo's; {_USED}"
        elif self._clock.host_ns(0.0) is None and received_ns - max(self._begun_ns, self._answered_ns) > SILENCE_NS:
            reason = f"the phone answers no Time Echo; {_USED}"
        self._monitor.set_state("running", reason)

    # -- status and time ----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        await asyncio.gather(self._watch_status(), self._watch_clock(), self._watch_device())

    async def _watch_device(self) -> None:
        """Ask for what else a source needs of the device."""

    async def _watch_status(self) -> None:
        """Ask for the streams while no data come, and report why."""
        while True:
            if now_ns() - self._good_ns > SILENCE_NS:
                try:
                    address = self._address or await find_address()
                    self._device = await request_status(address)
                    self._address, self._answered_ns = address, self._answered_ns or now_ns()
                    is_unplugged = self._sensor not in self._device.streams
                    if is_unplugged or now_ns() - max(self._good_ns, self._answered_ns) > SILENCE_NS:
                        self._monitor.set_state("waiting", self._describe_silence())
                except DeviceUnavailable as error:
                    self._address, self._answered_ns = self._fixed, 0
                    if now_ns() - self._good_ns > SILENCE_NS:
                        self._monitor.set_state("connecting", str(error))
            await asyncio.sleep(CHECK_S)

    def _describe_silence(self) -> str:
        """Explain why a device that answers sends nothing that can be used."""
        name = self._device.name
        if self._sensor not in self._device.streams:
            return f"{name} answers, but its {self._label} is not connected; plug it in, and start its preview"
        if self._unreported_ns is not None and now_ns() - self._unreported_ns > REPORT_NS:
            return f"{name} sends {self._label}, but no sender report yet (RTCP), which has the time"
        return f"{name} answers, but its {self._label} does not come" + (f": {self._flaw}" if self._flaw else "")

    async def _watch_clock(self) -> None:
        """Probe the device's clock, quickly at first and after it was set."""
        while True:
            if self._device.echo is not None:
                with suppress(OSError, EOFError, ValueError, OverflowError, asyncio.TimeoutError):
                    await self._probe_until_lost(*self._device.echo)
            await asyncio.sleep(RETRY_S)

    async def _probe_until_lost(self, host: str, port: int) -> None:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), PROBE_S)
        try:
            probes = 0
            while (host, port) == self._device.echo:
                probe = await probe_clock(reader, writer)
                probes = 0 if self._clock.add(*probe) else probes + 1
                await asyncio.sleep(0.02 if probes < INITIAL_PROBES else PROBE_S)
        finally:
            writer.close()

    # -- streams ------------------------------------------------------------------------------------------------------

    async def _receive(self, sensor: str, handle: HandlePacket) -> None:
        """Play the sensor's stream again and again."""
        while True:
            url = self._device.streams.get(sensor)
            if url is not None:
                await self._play(sensor, url, handle)
            await asyncio.sleep(RETRY_S)

    async def _play(self, sensor: str, url: str, handle: HandlePacket) -> None:
        """Play a stream until it ends; data that cannot be used are counted."""

        def handle_packet(packet: RtpPacket) -> None:
            try:
                handle(stream, packet)
            except UnusableData as error:
                self._monitor.count_dropped(str(error))
                self._flaw = self._flaw if sensor != self._sensor else f"the last data were of no use ({error})"

        is_sparse = sensor == "eye_events"
        stream = MediaStream(url, handle_packet, silence_s=30.0 if is_sparse else 2.0)
        try:
            await stream.play()
        except StreamError as error:
            if sensor == self._sensor:
                self._flaw = str(error)

    def _note_report(self, packet: RtpPacket) -> None:
        """Note since when packets come whose time is not known yet."""
        if packet.sent_s is not None:
            self._unreported_ns = None
        elif self._unreported_ns is None:
            self._unreported_ns = packet.received_ns
