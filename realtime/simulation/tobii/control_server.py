"""Answers as Tobii Pro Glasses 3 do over their WebSocket: properties by their path."""

from __future__ import annotations

import json

from aiohttp import WSMsgType, web

SERIAL = "TG03B-SIMULATED"


class ControlServer:
    """Describes the glasses. is_head_unit_connected: whether the cable of the frame is plugged in."""

    def __init__(self) -> None:
        self.is_head_unit_connected = True

    def make_app(self) -> web.Application:
        """Make the HTTP application."""
        app = web.Application()
        app.router.add_get("/websocket", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("g3api",))
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_json({"signal": 1, "body": []})
                await socket.send_json(self._reply(json.loads(message.data)))
        return socket

    def _reply(self, asked: dict[str, object]) -> dict[str, object]:
        properties = {
            "system.recording-unit-serial": SERIAL,
            "system.head-unit-serial": "TG03H-SIMULATED" if self.is_head_unit_connected else "",
            "system.version": "1.29.1",
        }
        path = str(asked.get("path"))
        if path not in properties:
            return {"id": asked.get("id"), "error": 404, "message": f"no {path}"}
        return {"id": asked.get("id"), "body": properties[path]}
