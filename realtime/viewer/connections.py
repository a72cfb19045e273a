"""Serves one viewer: a page with a WebSocket, or a reader of MJPEG. On the event loop's thread.

The send queue is bounded: one frame and a few texts. A viewer that does not read gets nothing new, and is disconnected.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web

from realtime.errors import PageError
from realtime.infra.clock import now_ns
from realtime.viewer.frame_broadcaster import FrameBroadcaster, FrameRequest
from realtime.viewer.interfaces import PageHandler, PageHost
from realtime.viewer.page_messages import pack_text

INTERVAL_S = 2.0
MAX_INVALID = 20
"""Invalid messages before a page is disconnected."""
MAX_PER_SECOND = 2000
"""Far more messages than a page sends: 60 frames, 60 packets of gaze, 60 acknowledgements."""
MAX_TEXTS = 32
CLOSE_TIMEOUT_S = 2.0
"""For a page to answer the close message; after it the connection is aborted, or it would hold its place."""
STALL_TIMEOUT_S = 10.0
"""A reader of MJPEG that reads nothing for so long is disconnected, to free its place; a WebSocket is pinged."""


def call_soon(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> None:
    """Call a function on the event loop's thread, unless the loop has ended; any thread."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *args)


def abort_connection(request: web.Request) -> None:
    """End a connection without a handshake."""
    if request.transport is not None:
        request.transport.abort()


class ServedConnection:
    """A connection that one task of the event loop serves."""

    _task: asyncio.Task[object] | None = None

    def close(self) -> None:
        """Disconnect because the server ends."""
        if self._task is not None:
            self._task.cancel()


class WebSocketConnection(ServedConnection):
    """A WebSocket with a bounded send queue: texts wait in order, of frames only the newest is kept.

    host: whose page it serves.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        host: PageHost,
        loop: asyncio.AbstractEventLoop,
        *,
        count_refused: Callable[[], None],
        abort: Callable[[], None],
    ) -> None:
        """count_refused: called for every message that is refused. abort: ends the connection without a handshake."""
        self._socket, self.host, self._loop = socket, host, loop
        self._count_refused, self._abort = count_refused, abort
        self._texts: list[str] = []
        self._frame: bytes | None = None
        self._has_data = asyncio.Event()
        self._invalid = 0
        self._second_ns, self._in_second = 0, 0

    def send_text(self, text: str) -> None:
        """Queue a text; beyond `MAX_TEXTS` the oldest is dropped."""
        self._texts.append(text)
        del self._texts[:-MAX_TEXTS]
        self._has_data.set()

    def send_frame(self, seq: int, data: bytes) -> None:
        """Queue a frame in place of one that was not sent yet; any thread."""
        call_soon(self._loop, self._replace_frame, data)

    async def serve(self) -> None:
        """Serve until the page closes or is disconnected."""
        self._task = asyncio.current_task()
        handler = self.host.on_connect(self.send_text, self.send_frame)
        jobs = [asyncio.ensure_future(job) for job in (self._send(), self._run_intervals(handler))]
        try:
            await self._receive(handler)
        except asyncio.CancelledError:
            await self._disconnect(WSCloseCode.GOING_AWAY)
        finally:
            for job in jobs:
                job.cancel()
            handler.on_close()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _receive(self, handler: PageHandler) -> None:
        async for message in self._socket:
            received_ns = now_ns()
            if self._is_flooding(received_ns):
                self._count_refused()
                await self._disconnect(WSCloseCode.POLICY_VIOLATION, b"too many messages")
                return
            try:
                if message.type == WSMsgType.TEXT:
                    handler.on_text(message.data, received_ns)
                elif message.type == WSMsgType.BINARY:
                    handler.on_binary(message.data, received_ns)
            except PageError as error:
                self._invalid += 1
                self._count_refused()
                self.send_text(pack_text("refused", reason=str(error)))
                if self._invalid >= MAX_INVALID:
                    await self._disconnect(WSCloseCode.POLICY_VIOLATION, b"too many invalid messages")
                    return

    async def _disconnect(self, code: WSCloseCode, reason: bytes = b"") -> None:
        """Close with a reason; a peer that neither reads nor answers is aborted after `CLOSE_TIMEOUT_S`."""
        try:
            await asyncio.wait_for(self._socket.close(code=code, message=reason, drain=False), CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._abort()

    def _is_flooding(self, received_ns: int) -> bool:
        if received_ns - self._second_ns > 1_000_000_000:
            self._second_ns, self._in_second = received_ns, 0
        self._in_second += 1
        return self._in_second > MAX_PER_SECOND

    def _replace_frame(self, data: bytes) -> None:
        self._frame = data
        self._has_data.set()

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._has_data.wait()
                self._has_data.clear()
                texts, self._texts = self._texts, []
                frame, self._frame = self._frame, None
                for text in texts:
                    await self._socket.send_str(text)
                if frame is not None:
                    await self._socket.send_bytes(frame)

    async def _run_intervals(self, handler: PageHandler) -> None:
        while True:
            handler.on_interval(now_ns())
            await asyncio.sleep(INTERVAL_S)


class MjpegStream(ServedConnection):
    """A reader of MJPEG (multipart/x-mixed-replace) that is sent the next frame when the last has left."""

    def __init__(self, broadcaster: FrameBroadcaster, loop: asyncio.AbstractEventLoop) -> None:
        self._broadcaster, self._loop = broadcaster, loop
        # holds one: the broadcaster waits for the acknowledgement
        self._frames: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    async def serve(self, request: web.Request, frame_request: FrameRequest) -> web.StreamResponse:
        """Send frames until the reader disconnects."""
        self._task = asyncio.current_task()
        headers = {
            "Content-Type": "multipart/x-mixed-replace; boundary=frame", "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }  # fmt: skip
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        client = self._broadcaster.connect(frame_request, self._queue_frame)
        try:
            while True:
                seq, jpeg = await self._frames.get()
                part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                await asyncio.wait_for(response.write(part + jpeg + b"\r\n"), STALL_TIMEOUT_S)
                self._broadcaster.acknowledge(client, seq)
        except TimeoutError:
            abort_connection(request)
            return response
        except (ConnectionError, asyncio.CancelledError):
            return response
        finally:
            self._broadcaster.remove(client)

    def _queue_frame(self, seq: int, jpeg: bytes) -> None:
        call_soon(self._loop, self._frames.put_nowait, (seq, jpeg))
