"""Tests that a connection ends whatever its peer does, and that refused messages are counted at once."""

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest

from realtime.pipeline.control import CommandQueue
from realtime.viewer import connections
from realtime.viewer.frame_broadcaster import FrameBroadcaster
from realtime.viewer.live_handler import LiveHandler
from realtime.viewer.page_input import PageInput


class SilentSocket:
    """A socket whose peer sends `count` invalid messages, and never answers the close message."""

    def __init__(self, count):
        self.count, self.code, self.counts = count, None, []

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.counts.append(self.count_refused())
        if self.count == 0:
            await asyncio.Event().wait()
        self.count -= 1
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, "?", None)

    async def send_str(self, text):
        pass

    async def close(self, *, code, message, drain):
        self.code = code
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("invalid", "code"),
    [(connections.MAX_INVALID, aiohttp.WSCloseCode.POLICY_VIOLATION), (3, aiohttp.WSCloseCode.GOING_AWAY)],
)
def test_a_peer_that_does_not_answer_is_aborted_and_its_messages_counted(monkeypatch, invalid, code):
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_S", 0.01)
    refused, aborted = [], []
    socket = SilentSocket(invalid)
    socket.count_refused = lambda: len(refused)

    async def serve():
        loop = asyncio.get_running_loop()
        parts = FrameBroadcaster(80, lambda: 0), PageInput(None, None, CommandQueue()), None, None, None
        host = SimpleNamespace(on_connect=lambda send_text, send_frame: LiveHandler(send_text, send_frame, *parts))
        connection = connections.WebSocketConnection(
            socket, host, loop, count_refused=lambda: refused.append(1), abort=lambda: aborted.append(1)
        )
        serving = asyncio.ensure_future(connection.serve())
        while len(socket.counts) <= 3:
            await asyncio.sleep(0)
        if code == aiohttp.WSCloseCode.GOING_AWAY:
            connection.close()
        await serving

    asyncio.run(asyncio.wait_for(serve(), 30))
    assert socket.counts[:invalid] == list(range(invalid))
    assert (len(refused), aborted, socket.code) == (invalid, [1], code)
