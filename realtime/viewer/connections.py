"""One viewer at the other end: a page with a WebSocket, or a reader of MJPEG. On the event loop's thread.

What goes out is bounded: one picture, and a few texts. A viewer that does not read is left waiting, then sent off.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web

from realtime.errors import PageError
from realtime.infra.clock import now_ns
from realtime.viewer.frame_broadcaster import FrameBroadcaster, PictureOrder
from realtime.viewer.interfaces import PageHost
from realtime.viewer.page_messages import pack_text

PROBE_EVERY_S = 2.0
MOST_BAD = 20
"""Messages that make no sense before a page is shown the door."""
MOST_A_SECOND = 2000
"""Far more than a page sends: 60 frames, 60 packets of looks, 60 acknowledgements."""
MOST_TEXTS = 32
FAREWELL_S = 2.0
"""For a page to answer that it is sent off; one that does not is cut off, or it would hold its place."""
STALLED_S = 10.0
"""A reader of MJPEG that takes nothing for so long has its place given to others; a WebSocket is pinged."""


class WebSocketConnection:
    """One WebSocket. Texts wait in a short queue; of pictures there is one, the newest."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        host: PageHost,
        loop: asyncio.AbstractEventLoop,
        *,
        refused: Callable[[], None],
        cut_off: Callable[[], None],
    ) -> None:
        """refused: called for every message that is. cut_off: ends the connection without another word."""
        self._socket, self._host, self._loop = socket, host, loop
        self._refused, self._cut_off = refused, cut_off
        self._texts: list[str] = []
        self._picture: bytes | None = None
        self._news = asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self._bad = 0
        self._second, self._in_second = 0, 0

    def tell(self, text: str) -> None:
        """Send a text when the socket has room; beyond `MOST_TEXTS` the oldest is lost."""
        self._texts.append(text)
        del self._texts[:-MOST_TEXTS]
        self._news.set()

    def deliver(self, seq: int, picture: bytes) -> None:
        """Send a picture in place of one that has not left yet; any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._show, picture)

    def dismiss(self) -> None:
        """The server ends."""
        if self._task is not None:
            self._task.cancel()

    async def stay(self) -> None:
        """Serve until the page goes or is sent off."""
        self._task = asyncio.current_task()
        self._talk = self._host.enter(self)
        jobs = [asyncio.ensure_future(job) for job in (self._send(), self._probe())]
        try:
            await self._receive()
        except asyncio.CancelledError:
            await self._send_off(WSCloseCode.GOING_AWAY)
        finally:
            for job in jobs:
                job.cancel()
            self._talk.leave()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _receive(self) -> None:
        async for message in self._socket:
            at_ns = now_ns()
            if self._flooding(at_ns):
                self._refused()
                await self._send_off(WSCloseCode.POLICY_VIOLATION, b"too many messages")
                return
            try:
                if message.type == WSMsgType.TEXT:
                    self._talk.hear(message.data, at_ns)
                elif message.type == WSMsgType.BINARY:
                    self._talk.take(message.data, at_ns)
            except PageError as error:
                self._bad += 1
                self._refused()
                self.tell(pack_text("refused", reason=str(error)))
                if self._bad >= MOST_BAD:
                    await self._send_off(WSCloseCode.POLICY_VIOLATION, b"messages that make no sense")
                    return

    async def _send_off(self, code: WSCloseCode, why: bytes = b"") -> None:
        """Say why and hang up; a peer that neither reads nor answers cannot make this last."""
        try:
            await asyncio.wait_for(self._socket.close(code=code, message=why, drain=False), FAREWELL_S)
        except TimeoutError:
            self._cut_off()

    def _flooding(self, at_ns: int) -> bool:
        if at_ns - self._second > 1_000_000_000:
            self._second, self._in_second = at_ns, 0
        self._in_second += 1
        return self._in_second > MOST_A_SECOND

    def _show(self, picture: bytes) -> None:
        self._picture = picture
        self._news.set()

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._news.wait()
                self._news.clear()
                texts, self._texts = self._texts, []
                picture, self._picture = self._picture, None
                for text in texts:
                    await self._socket.send_str(text)
                if picture is not None:
                    await self._socket.send_bytes(picture)

    async def _probe(self) -> None:
        while True:
            self._talk.probe(now_ns())
            await asyncio.sleep(PROBE_EVERY_S)


class MjpegStream:
    """One reader of MJPEG: multipart/x-mixed-replace, the next picture when the last has left."""

    def __init__(self, hub: FrameBroadcaster, loop: asyncio.AbstractEventLoop) -> None:
        self._hub, self._loop = hub, loop
        self._task: asyncio.Task[object] | None = None
        self._next: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()  # holds one: the hub waits for the ack

    def tell(self, text: str) -> None:
        """A picture cannot be told anything."""

    def dismiss(self) -> None:
        """The server ends."""
        if self._task is not None:
            self._task.cancel()

    async def send(self, request: web.Request, order: PictureOrder) -> web.StreamResponse:
        """Send until the reader goes."""
        self._task = asyncio.current_task()
        headers = {
            "Content-Type": "multipart/x-mixed-replace; boundary=frame", "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }  # fmt: skip
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        seat = self._hub.join(order, self._deliver)
        try:
            while True:
                seq, jpeg = await self._next.get()
                part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                await asyncio.wait_for(response.write(part + jpeg + b"\r\n"), STALLED_S)
                self._hub.ack(seat, seq)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            return response
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            self._hub.leave(seat)

    def _deliver(self, seq: int, jpeg: bytes) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._next.put_nowait, (seq, jpeg))
