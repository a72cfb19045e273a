"""A visit ends whatever its peer does, and what is refused of it counts as it happens."""

import asyncio

import aiohttp
import pytest

from realtime.pipeline.control import CommandQueue
from realtime.viewer import connections
from realtime.viewer.frame_broadcaster import FrameBroadcaster
from realtime.viewer.live_host import LiveHost
from realtime.viewer.page_input import PageInput


class Deaf:
    """A socket whose peer says `count` things that make no sense, and never answers that it is sent off."""

    def __init__(self, count):
        self.count, self.code, self.seen = count, None, []

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.seen.append(self.heard())
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
    ("nonsense", "code"),
    [(connections.MAX_INVALID, aiohttp.WSCloseCode.POLICY_VIOLATION), (3, aiohttp.WSCloseCode.GOING_AWAY)],
)
def test_a_peer_that_does_not_answer_is_cut_off_and_counted_all_along(monkeypatch, nonsense, code):
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_S", 0.01)
    refused, cut = [], []
    socket = Deaf(nonsense)
    socket.heard = lambda: len(refused)

    async def stay():
        loop = asyncio.get_running_loop()
        host = LiveHost(FrameBroadcaster(80, lambda: 0), PageInput(None, None, CommandQueue()), {})
        one = connections.WebSocketConnection(
            socket, host, loop, count_refused=lambda: refused.append(1), abort=lambda: cut.append(1)
        )
        staying = asyncio.ensure_future(one.serve())
        while len(socket.seen) <= 3:
            await asyncio.sleep(0)
        if code == aiohttp.WSCloseCode.GOING_AWAY:
            one.close()
        await staying

    asyncio.run(asyncio.wait_for(stay(), 30))
    assert socket.seen[:nonsense] == list(range(nonsense))
    assert (len(refused), cut, socket.code) == (nonsense, [1], code)
