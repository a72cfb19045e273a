"""Answers as the app on the phone does over HTTP, WebSocket and Time Echo."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from aiohttp import web

SENSORS = ("gaze", "world", "eye_events", "imu")
DEVICE_NAME = "Simulated Neon"
_VERSION, _SERIAL = 1, b"SIMUL1"
_MATRIX = ((891.0, 0.0, 804.0), (0.0, 890.0, 597.0), (0.0, 0.0, 1.0))
_DISTORTION = (-0.1299, 0.1090, 0.0004, -0.0006, 0.0026, 0.1700, 0.0530, 0.0200)


def pack_calibration() -> bytes:
    """Pack a `calibration.bin`: the scene camera, and eye cameras of which only the size is right."""
    camera = np.concatenate([np.ravel(_MATRIX), _DISTORTION, np.eye(4).ravel()]).astype("<f8").tobytes()
    return bytes([_VERSION]) + _SERIAL + 3 * camera + bytes(4)


class CompanionServer:
    """Describes the device, its streams and its camera. connected: the sensors that send; may be changed."""

    def __init__(self, connected: set[str], *, is_invisible: bool, time_echo: bool) -> None:
        self.connected, self._is_invisible, self._time_echo = connected, is_invisible, time_echo
        self.rtsp_port = self.echo_port = 0

    def make_app(self) -> web.Application:
        """Make the HTTP application."""
        app = web.Application()
        app.router.add_get("/api/status", self._answer_status)
        app.router.add_get("/calibration.bin", self._answer_calibration)
        return app

    def describe(self, host: str) -> list[dict[str, Any]]:
        """Describe all components, as reached at `host`."""
        phone = {
            "device_id": "simulated", "device_name": DEVICE_NAME, "ip": host, "battery_level": 100,
            "battery_state": "OK", "memory": 1 << 35, "memory_state": "OK",
        } | ({"time_echo_port": self.echo_port} if self._time_echo else {})  # fmt: skip
        serial = {"glasses_serial" if self._is_invisible else "module_serial": _SERIAL.decode()}
        hardware = {"version": "1" if self._is_invisible else "2", "world_camera_serial": "-1", **serial}
        sensors = [name for name in SENSORS if not (self._is_invisible and name == "eye_events")]
        return [
            {"model": "Phone", "data": phone},
            {"model": "Hardware", "data": hardware},
            *({"model": "Sensor", "data": self._describe_sensor(name, host)} for name in sensors),
        ]

    def _describe_sensor(self, name: str, host: str) -> dict[str, Any]:
        return {
            "sensor": name, "conn_type": "DIRECT", "connected": name in self.connected, "ip": host,
            "port": self.rtsp_port, "params": f"camera={name}", "protocol": "rtsp", "stream_error": False,
        }  # fmt: skip

    async def _answer_status(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        components = self.describe(request.transport.get_extra_info("sockname")[0])
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.json_response({"message": "Success", "result": components})
        updates = web.WebSocketResponse()
        await updates.prepare(request)
        for component in components:
            await updates.send_str(json.dumps(component))
        async for _ in updates:
            pass
        return updates

    async def _answer_calibration(self, request: web.Request) -> web.Response:
        if self._is_invisible:
            raise web.HTTPNotFound
        return web.Response(body=pack_calibration(), content_type="application/octet-stream")


async def answer_time_echo(
    clock_s: Callable[[], float], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer Time Echo until the client leaves: what it sent, and the device's clock in whole ms."""
    try:
        while True:
            sent = await reader.readexactly(8)
            writer.write(sent + struct.pack("!Q", int(clock_s() * 1e3)))
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()
