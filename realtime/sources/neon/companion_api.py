"""Asks the Companion app on the phone: discovery, status, camera calibration and time."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from calibration.camera import CameraModel
from calibration.formats.neon import parse_calibration_bin
from realtime.errors import SourceError
from realtime.infra.clock import now_ns

log = logging.getLogger(__name__)
DEFAULT_PORT = 8080
ANSWER_S, DISCOVERY_S, OTHERS_S = 3.0, 3.0, 1.0
"""Longest waits: for an answer, for a device in the network, and for others after the first one."""
_TICK_NS = 1_000_000
"""Time Echo is in whole milliseconds."""
_ECHO = struct.Struct("!QQ")
SENSORS = ("world", "gaze", "eye_events")
SENSOR_NAMES = {"world": "scene camera", "gaze": "gaze", "eye_events": "eye events"}


class DeviceUnavailable(Exception):
    """The reason why no device answers."""


@dataclass(frozen=True, slots=True)
class CompanionAddress:
    """The address of the app's HTTP server."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        """Write it as a source's name."""
        return f"neon://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What a device says of itself.

    name: of the phone. streams: the URL of each connected sensor. echo: host and port of Time Echo; None without it.
    """

    name: str
    streams: Mapping[str, str] = field(default_factory=dict)
    echo: tuple[str, int] | None = None


def load_client() -> Any:
    """Import the official client; raises `SourceError` where the extra is not installed."""
    try:
        import pupil_labs.realtime_api
    except ImportError as error:
        raise SourceError(f"Neon and Invisible need Pupil Labs' client ({error}): pip install -e '.[neon]'") from None
    from realtime.sources.video.ffmpeg_log import silence_ffmpeg

    silence_ffmpeg()
    logging.getLogger("pupil_labs").setLevel(logging.CRITICAL)  # it warns of every component that it does not know
    return pupil_labs.realtime_api


async def find_address() -> CompanionAddress:
    """Find the only device in the network; raises `DeviceUnavailable` for none, or names them where there are more."""
    found: dict[str, tuple[CompanionAddress, str]] = {}
    try:
        async with load_client().Network() as network:
            if await network.wait_for_new_device(DISCOVERY_S) is not None:
                await asyncio.sleep(OTHERS_S)
            for device in network.devices:
                if device.addresses:
                    address = CompanionAddress(device.addresses[0], device.port)
                    found[str(address)] = address, str(device.name).split(":")[1]
    except Exception as error:  # of many kinds, where a network forbids multicast
        log.debug("discovery: %r", error)
        raise DeviceUnavailable("this computer is in no network in which a Neon could be found") from None
    if not found:
        raise DeviceUnavailable("no Neon found in this network; start the Companion app there, or name it: neon://HOST")
    if len(found) > 1:
        places = ", ".join(f"{place} ({name})" for place, (_, name) in sorted(found.items()))
        raise DeviceUnavailable(f"{len(found)} devices found; name one of them: {places}")
    return next(iter(found.values()))[0]


async def _ask(address: CompanionAddress, request: Callable[[Any], Any]) -> Any:
    async with _make_device(address) as device:
        return await asyncio.wait_for(request(device), ANSWER_S)


def _make_device(address: CompanionAddress) -> Any:
    """Make the client of a device, which resolves names as the system does: its own resolver knows no `.local`."""
    from aiohttp import ClientSession, TCPConnector, ThreadedResolver

    class SystemDevice(load_client().Device):  # type: ignore[misc]
        def _create_client_session(self) -> None:
            self.session = ClientSession(connector=TCPConnector(resolver=ThreadedResolver()))

    return SystemDevice(address.host, address.port)


async def request_status(address: CompanionAddress) -> DeviceStatus:
    """Request the device's status; raises `DeviceUnavailable`."""
    place = f"http://{address.host}:{address.port}"
    try:
        status = await _ask(address, lambda device: device.get_status())
        streams = {}
        for name in SENSORS:
            sensor = getattr(status, f"direct_{name}_sensor")()
            if sensor is not None and sensor.connected and sensor.url:
                streams[name] = str(sensor.url)
        port = status.phone.time_echo_port
        return DeviceStatus(str(status.phone.device_name), streams, (str(status.phone.ip), int(port)) if port else None)
    except _client_errors() as error:
        if not _is_other_server(error):
            raise DeviceUnavailable(f"no answer from {place}; start the Companion app there") from None
    except Exception as error:  # the client parses without checks
        log.debug("%s: %r", place, error)
    raise DeviceUnavailable(f"{place} answers, but not as a Neon's Companion app does")


async def request_camera(address: CompanionAddress) -> CameraModel:
    """Request the model of the scene camera; raises `DeviceUnavailable`, also for an Invisible, which has none."""
    try:
        calibration = await _ask(address, lambda device: device.get_calibration())
        return parse_calibration_bin(str(address), bytes(calibration.tobytes()))[1]
    except Exception as error:  # the client parses without checks
        log.debug("%s: %r", address, error)
    raise DeviceUnavailable(f"{address} sends no model of its camera, which only a Neon has")


def find_camera(address: CompanionAddress | None) -> CameraModel | None:
    """Request the model of a device's scene camera, of the only one in the network for None; None without one."""

    async def request() -> CameraModel:
        return await request_camera(address or await find_address())

    try:
        return asyncio.run(request())
    except DeviceUnavailable:
        return None


async def probe_clock(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, float, int]:
    """Read the device's clock by Time Echo: (sent ns, unix seconds, received ns), the times widened by half a tick.

    Raises `OSError` or `EOFError` when the connection is lost, `ValueError` for another answer.
    """
    sent_ns = now_ns()
    token = sent_ns // _TICK_NS
    writer.write(token.to_bytes(8, "big"))
    await writer.drain()
    echoed, device_ms = _ECHO.unpack(await asyncio.wait_for(reader.readexactly(_ECHO.size), ANSWER_S))
    received_ns = now_ns()
    if echoed != token:
        raise ValueError("Time Echo sends back another time than it was sent")
    return sent_ns - _TICK_NS // 2, (device_ms + 0.5) / 1e3, received_ns + _TICK_NS // 2


def _client_errors() -> tuple[type[Exception], ...]:
    from aiohttp import ClientError

    return load_client().DeviceError, ClientError, OSError, asyncio.TimeoutError


def _is_other_server(error: Exception) -> bool:
    """Whether an HTTP server answered, though not the app's."""
    from aiohttp import ClientResponseError

    return isinstance(error, (ClientResponseError, load_client().DeviceError))
