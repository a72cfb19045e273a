"""A page on a server of its own, and clients that visit it over real sockets."""

import asyncio
import contextlib
import json
import threading

import aiohttp

from realtime.comms.messages import HealthMessage
from realtime.config.viewer import ViewSettings
from realtime.viewer.live_page import LivePage
from tests.realtime.viewer.test_frame_broadcaster import frame_result, read_header
from tests.realtime.waiting import PATIENCE_S

TOKEN = "0123456789abcdef"
VISIT_S = 120
"""Limit of a visit: texts come at intervals, so that a wait for one that never comes would have no end of its own."""
HEALTH = HealthMessage("running", "", {"frames": 30.0}, {}, {}, 100.0, {"backend": "fake"})


@contextlib.contextmanager
def serve_page(**changes):
    parts = {name: changes.pop(name) for name in ("frames", "gaze") if name in changes}
    page = LivePage(ViewSettings(enabled=True, port=0, **changes), **parts)
    try:
        yield page
    finally:
        page.close()


@contextlib.contextmanager
def publish_frames(page, rate_hz=100):
    """Publish frames during the block."""
    stop = threading.Event()

    def feed():
        index = 0
        while not stop.wait(1 / rate_hz):
            page.on_mask(frame_result(index))
            index += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def run_client(page, visit, trust=True):
    """Run `visit(session, base)` against the page; `trust` is a TLS context."""

    async def run():
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE_S), connector=connector) as session:
            found = await visit(session, page.address.partition("?")[0])
        # TLS sends its last message after `close`, and warns if the loop ends before
        while len(asyncio.get_running_loop()._selector.get_map()) > 1:
            await asyncio.sleep(0.01)
        return found

    return asyncio.run(asyncio.wait_for(run(), VISIT_S))


async def receive_text(ws, kind):
    """Receive the next text of a kind and skip other messages."""
    while True:
        message = await ws.receive(timeout=300)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        if message.type == aiohttp.WSMsgType.TEXT and json.loads(message.data)["t"] == kind:
            return json.loads(message.data)


async def receive_frames(ws, count, ack=True):
    """Receive the headers of the next frames."""
    frames = []
    while len(frames) < count:
        message = await ws.receive(timeout=300)
        if message.type == aiohttp.WSMsgType.BINARY:
            frames.append(read_header(message.data))
            if ack:
                await ws.send_str(json.dumps({"t": "ack", "seq": frames[-1]["seq"]}))
        else:
            assert message.type == aiohttp.WSMsgType.TEXT, message
    return frames
