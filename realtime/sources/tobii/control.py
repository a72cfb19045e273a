"""Asks Tobii Pro Glasses 3 about themselves over their WebSocket, subprotocol `g3api`: JSON requests by path."""

from __future__ import annotations

import asyncio
import json

PORT = 80
ANSWER_S = 0.5
_PROPERTIES = ("system.recording-unit-serial", "system.version", "system.head-unit-serial")


def describe_glasses(host: str) -> str:
    """Describe what may be wrong with glasses that send nothing; empty where they do not answer within `ANSWER_S`."""
    from aiohttp import ClientError

    try:
        serial, firmware, head_unit = asyncio.run(asyncio.wait_for(_read_properties(host), ANSWER_S))
    except (TimeoutError, OSError, ClientError, ValueError, RecursionError):
        return ""
    if not head_unit:
        return f"the head unit of {serial} is not connected; plug it in"
    return f"{serial} (firmware {firmware}) answers; are the glasses worn and calibrated?"


async def _read_properties(host: str) -> list[str]:
    """Read each property; one that is missing is empty. Raises an error of the network, or `ValueError`."""
    from aiohttp import ClientSession, TCPConnector, ThreadedResolver

    shown = f"[{host}]" if ":" in host else host
    texts = []
    async with (
        # The system's resolver knows names that end with .local, aiohttp's own does not.
        ClientSession(connector=TCPConnector(resolver=ThreadedResolver())) as session,
        session.ws_connect(f"ws://{shown}:{PORT}/websocket", protocols=("g3api",)) as socket,
    ):
        for number, path in enumerate(_PROPERTIES, 1):
            await socket.send_str(json.dumps({"id": number, "method": "GET", "path": path}))
            answer = None
            while not isinstance(answer, dict) or answer.get("id") != number:  # signals come between
                answer = json.loads(await socket.receive_str())
            body = answer.get("body")
            texts.append(" ".join(body.split())[:60] if isinstance(body, str) else "")
    return texts
