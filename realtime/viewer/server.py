"""Serves a page over HTTP and WebSocket: one thread with an event loop, joined on `close`.

    /                the page
    /FOLDER/         another page that the host finds there, such as that of a recording
    /ws              its messages, see `page_messages`
    /overlay.mjpeg   frames with the mask drawn, for any MJPEG viewer
    /edges.mjpeg     the mask's edge on black, for see-through displays; ?homography=a,...,i&size=WxH as in the settings
    /whip            wearers that connect over WebRTC, see `whip_endpoint`
    /edges           the same as a page, drawn by the browser, with some 50 ms less latency

`access` refuses requests of other sites' pages.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

from aiohttp import web

from realtime.config.viewer import ViewSettings, check_homography
from realtime.errors import PageError, ViewerError
from realtime.infra.error_guard import describe_error
from realtime.infra.threads import run_to_end
from realtime.viewer.access import explain_bind_error, load_tls, page_address, read_token, refusal_reason
from realtime.viewer.connections import MjpegStream, WebSocketConnection, abort_connection, call_soon
from realtime.viewer.frame_broadcaster import FrameRequest
from realtime.viewer.interfaces import PageHost
from realtime.viewer.page_messages import MAX_MESSAGE_BYTES
from realtime.viewer.whip_endpoint import PATH, WhipEndpoint, is_whip_path

log = logging.getLogger(__name__)
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: mediastream:; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
FILE_HEADERS = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache", "Permissions-Policy": "camera=(self)",
}  # fmt: skip
STREAM_NAMES = ("ws", "overlay.mjpeg", "edges.mjpeg")
HEARTBEAT_S = 5.0
START_TIMEOUT_S = 30.0


class PageServer:
    """A server of one host's page, between `__init__` and `close`.

    address: the URL to open, with its token. refused: number of refused requests and messages.
    """

    def __init__(self, settings: ViewSettings, host: PageHost) -> None:
        """Bind and serve; raises `ViewerError`."""
        settings = read_token(settings)
        self._settings, self._host = settings, host
        self._files = _load_files(host.index_file)
        self._responders = ThreadPoolExecutor(1, "gazecast-viewer-responder")
        self._tls = load_tls(settings)
        self._connections: set[WebSocketConnection | MjpegStream] = set()
        self.refused = 0
        self._failure: OSError | None = None
        self._loop = asyncio.new_event_loop()
        self._is_up, self._end = threading.Event(), asyncio.Event()
        self.port = settings.port
        self._thread = threading.Thread(target=self._run, name="gazecast-viewer", daemon=True)
        self._thread.start()
        self._is_up.wait(START_TIMEOUT_S)
        if self._failure is not None:
            self._thread.join(START_TIMEOUT_S)
            raise ViewerError(explain_bind_error(self._failure, settings))
        self.address = page_address(settings, self.port)

    def broadcast(self, text: str, host: PageHost | None = None) -> None:
        """Send a packed message to all pages of a host, by default the server's own; any thread."""
        call_soon(self._loop, self._send_text, text, host or self._host)

    def close(self) -> None:
        """Disconnect all pages and free the port, within a second; may be called twice."""
        call_soon(self._loop, self._end.set)
        self._thread.join(0.9)

    # -- the event loop's thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serving = self._loop.create_task(self._serve())
        run_to_end(lambda: self._loop.run_until_complete(serving), serving.done, self._on_error)
        self._is_up.set()
        self._responders.shutdown(wait=False, cancel_futures=True)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _on_error(self, error: Exception) -> None:
        if isinstance(error, OSError) and not self._is_up.is_set():
            self._failure = error
        else:
            log.warning("the page's server: %s", describe_error(error))

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._check_access])
        app.router.add_get("/{folder:(.+/)?}ws", self._serve_socket)
        app.router.add_get("/overlay.mjpeg", self._serve_mjpeg)
        app.router.add_get("/edges.mjpeg", self._serve_mjpeg)
        for path in (PATH, f"{PATH}/{{session}}"):
            app.router.add_route("*", path, self._serve_whip)
        app.router.add_get("/{name:.*}", self._serve_file)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.3, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._settings.host.strip("[]"), self._settings.port, ssl_context=self._tls)
            await site.start()
            self.port = int(runner.addresses[0][1])
            self._is_up.set()
            await self._end.wait()
            for connection in list(self._connections):
                connection.close()
        finally:
            await runner.cleanup()
            for _ in range(3):  # an aborted connection closes its socket in a later iteration of the loop
                await asyncio.sleep(0)

    @web.middleware
    async def _check_access(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        is_whip = is_whip_path(request.path)
        # a browser asks with OPTIONS, without a token, whether a page of another site may send one
        is_public = self._find_file(request.path) is not None or (is_whip and request.method == "OPTIONS")
        reason = refusal_reason(request, self._settings, is_public=is_public, is_cross_origin=is_whip)
        if reason and not (is_whip and request.method == "OPTIONS" and self._settings.token):
            return self._refuse(401 if is_whip else 403, reason)
        if request.path.rpartition("/")[2] in STREAM_NAMES and len(self._connections) >= self._settings.max_viewers:
            return self._refuse(503, "too many viewers; close one, or --set view.max_viewers=N")
        return await handler(request)

    def _find_file(self, path: str) -> tuple[str, bytes] | None:
        """Find a file of the pages, which needs no token; every folder has them, but only `/` its index."""
        folder, _, name = path.rpartition("/")
        return self._files.get(f"/{name}") if name or not folder else None

    async def _find_host(self, path: str) -> PageHost | None:
        folder = path.rpartition("/")[0]
        if not folder:
            return self._host
        return await self._loop.run_in_executor(self._responders, self._host.find_host, folder.removeprefix("/"))

    async def _serve_file(self, request: web.Request) -> web.Response:
        found = self._find_file(request.path)
        if found is None:
            return await self._serve_resource(request)
        content_type, body = found
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=FILE_HEADERS)

    async def _serve_resource(self, request: web.Request) -> web.Response:
        name, response = request.path.rpartition("/")[2], None
        try:
            host = await self._find_host(request.path)
            if host is not None and not name:
                content_type, body = self._files[f"/{host.index_file}"]
                return web.Response(body=body, content_type=content_type, charset="utf-8", headers=FILE_HEADERS)
            if host is not None:
                query = dict(request.query)
                response = await self._loop.run_in_executor(self._responders, host.respond, f"/{name}", query)
        except PageError as error:
            return self._refuse(400, str(error))
        if response is None:
            return web.Response(status=404, text="there is no such page; try /\n")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return web.Response(body=response.body, content_type=response.content_type, headers=headers)

    async def _serve_whip(self, request: web.Request) -> web.Response:
        receiver = self._host.whip
        if receiver is None:
            return web.Response(status=404, text="no wearer is expected here; start with --source whip:\n")
        return await WhipEndpoint(receiver, self._settings).respond(request)

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        host = await self._find_host(request.path)
        if host is None:
            return web.Response(status=404, text="there is no such page; try /\n")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        await socket.prepare(request)
        connection = WebSocketConnection(
            socket, host, self._loop, count_refused=self._count_refused, abort=lambda: abort_connection(request)
        )
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
        return socket

    async def _serve_mjpeg(self, request: web.Request) -> web.StreamResponse:
        broadcaster, frame_request = self._host.broadcaster, FrameRequest("overlay")
        if broadcaster is None:
            return web.Response(status=404, text="there is no stream here; try /\n")
        if request.path == "/edges.mjpeg":
            try:
                frame_request = read_edges_request(request.query, self._settings)
            except ValueError as error:
                return self._refuse(400, str(error))
        stream = MjpegStream(broadcaster, self._loop)
        self._connections.add(stream)
        try:
            return await stream.serve(request, frame_request)
        finally:
            self._connections.discard(stream)

    def _send_text(self, text: str, host: PageHost) -> None:
        for connection in self._connections:
            if isinstance(connection, WebSocketConnection) and connection.host is host:
                connection.send_text(text)

    def _count_refused(self) -> None:
        self.refused += 1

    def _refuse(self, status: int, reason: str) -> web.Response:
        self.refused += 1
        return web.Response(status=status, text=f"{reason}\n")


def read_edges_request(query: Mapping[str, str], settings: ViewSettings) -> FrameRequest:
    """Read a request for edges from an address's query, completed by the settings; raises `ValueError`."""
    numbers, display = settings.homography, settings.display_size
    if (homography := query.get("homography")) is not None:
        try:
            numbers = tuple(float(part) for part in homography[:400].split(","))
        except ValueError:
            raise ValueError(f"homography={homography[:80]} is not nine numbers with commas between them") from None
        check_homography(numbers)
    if (size := query.get("size")) is not None:
        width, _, height = size.partition("x")
        is_size = width.isdecimal() and height.isdecimal() and len(size) < 12
        if not (is_size and 0 < int(width) <= 8192 >= int(height) > 0):
            raise ValueError(f"size={size[:40]} is not WIDTHxHEIGHT of 1 to 8192")
        display = int(width), int(height)
    return FrameRequest("edges", numbers, display)


def _load_files(index_file: str) -> dict[str, tuple[str, bytes]]:
    """Load (content type, body) of every page file by its path, with `index_file` as `/`."""
    files = {}
    for file in resources.files("realtime.viewer").joinpath("page").iterdir():
        content_type = CONTENT_TYPES.get(f".{file.name.rpartition('.')[2]}")
        if content_type is not None:
            files[f"/{file.name}"] = content_type, file.read_bytes()
    return {**files, "/": files[f"/{index_file}"], "/edges": files["/edges.html"]}
