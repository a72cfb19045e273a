"""The live page's server: one thread with an event loop, joined on `close`.

    /                the page
    /ws              what it shows and says, see `messages`
    /overlay.mjpeg   frames with the mask drawn, for whatever shows MJPEG
    /edges.mjpeg     the mask's edge on black, for see-through displays; ?homography=a,...,i&size=WxH as in the settings
    /edges           the same as a page, drawn by the browser and some 50 ms younger

Requests from other sites' pages are refused: what names another host than it came to, or comes from another origin.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from urllib.parse import urlsplit

from aiohttp import web

from realtime.config.viewer import ViewSettings, check_homography
from realtime.errors import PageError, ViewerError
from realtime.viewer.connections import MjpegStream, WebSocketConnection
from realtime.viewer.frame_broadcaster import PictureOrder
from realtime.viewer.interfaces import PageHost
from realtime.viewer.page_messages import MOST_BYTES, pack_text

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: mediastream:; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEARTBEAT_S = 5.0
START_S = 30.0


class PageServer:
    """Serves a host's page between `__init__` and `close`."""

    def __init__(self, settings: ViewSettings, host: PageHost) -> None:
        """Bind and begin; raises `ViewerError`."""
        self._settings, self._host = settings, host
        self._files = _page_files(host.page)
        self._answers = ThreadPoolExecutor(1, "gazecast-viewer-answers")
        self._tls = _tls(settings)
        self._visits: set[WebSocketConnection | MjpegStream] = set()
        self._health = ""
        self.refused = 0
        self._failure: OSError | None = None
        self._loop = asyncio.new_event_loop()
        self._up, self._end = threading.Event(), asyncio.Event()
        self.port = settings.port
        self._thread = threading.Thread(target=self._run, name="gazecast-viewer", daemon=True)
        self._thread.start()
        self._up.wait(START_S)
        if self._failure is not None:
            self._thread.join(START_S)
            raise ViewerError(_why(self._failure, settings))

    @property
    def address(self) -> str:
        """What to open, token and all."""
        host = _reachable(self._settings.host.strip("[]"))
        host = f"[{host}]" if ":" in host else host
        token = f"?token={self._settings.token}" if self._settings.token else ""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/{token}"

    def health(self, text: str) -> None:
        """Send everybody the health, as a packed message, and who comes later at once; any thread."""
        self._health = text
        self.tell_all(text)

    def tell_all(self, text: str) -> None:
        """Send everybody a packed message; any thread."""
        self._soon(self._tell_all, text)

    def close(self) -> None:
        """Send everybody off, free the port; within a second. Twice is fine."""
        self._soon(self._end.set)
        self._thread.join(0.9)

    def counts(self) -> dict[str, int]:
        """What was refused or passed over, by reason."""
        return {"refused": self.refused, **self._host.counts()}

    # -- the event loop's thread --------------------------------------------------------------------------------------

    def _soon(self, call: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *args)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._up.set()
            self._answers.shutdown(wait=False, cancel_futures=True)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/ws", self._socket)
        app.router.add_get("/overlay.mjpeg", self._overlay)
        app.router.add_get("/edges.mjpeg", self._edges)
        app.router.add_get("/{name:.*}", self._file)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.3, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._settings.host.strip("[]"), self._settings.port, ssl_context=self._tls)
            await site.start()
            self.port = int(runner.addresses[0][1])
            self._up.set()
            await self._end.wait()
            for visit in list(self._visits):
                visit.dismiss()
        finally:
            await runner.cleanup()
            for _ in range(3):  # what was cut off closes its socket on a later turn of the loop
                await asyncio.sleep(0)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let in who names this server and knows its token, and send the page with headers that keep others out."""
        reason = self._refusal(request)
        if reason:
            self.refused += 1
            return web.Response(status=403, text=f"{reason}\n")
        return await handler(request)

    def _refusal(self, request: web.Request) -> str:
        """Why not; empty for welcome."""
        settings, host = self._settings, request.host
        if settings.loopback and _host_name(host) not in ("localhost", "127.0.0.1", "::1", settings.host.strip("[]")):
            return f"this page is at {settings.host}, not at {host[:80]}"
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "pages of other sites may not look in"
        if settings.token and request.path not in self._files:
            given = request.query.get("token", "")
            if not hmac.compare_digest(given.encode(), settings.token.encode()):
                return "the address needs ?token=..., as gazecast printed it"
        return ""

    async def _file(self, request: web.Request) -> web.Response:
        found = self._files.get(request.path)
        if found is None:
            return await self._answer(request)
        kind, body = found
        headers = {
            "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache", "Permissions-Policy": "camera=(self)",
        }  # fmt: skip
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def _answer(self, request: web.Request) -> web.Response:
        """What the host has at this address."""
        try:
            answer = await self._loop.run_in_executor(
                self._answers, self._host.answer, request.path, dict(request.query)
            )
        except PageError as error:
            self.refused += 1
            return web.Response(status=400, text=f"{error}\n")
        if answer is None:
            return web.Response(status=404, text="there is no such page; try /\n")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return web.Response(body=answer.body, content_type=answer.kind, headers=headers)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self._full():
            return _no_room()
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MOST_BYTES, compress=False)
        await socket.prepare(request)
        visit = WebSocketConnection(
            socket, self._host, self._loop, refused=self._refuse, cut_off=lambda: _cut_off(request)
        )
        self._visits.add(visit)
        try:
            visit.tell(pack_text("hello", **self._host.hello()))
            if self._health:
                visit.tell(self._health)
            await visit.stay()
        finally:
            self._visits.discard(visit)
        return socket

    def _refuse(self) -> None:
        self.refused += 1

    def _full(self) -> bool:
        full = len(self._visits) >= self._settings.max_viewers
        self.refused += full
        return full

    def _tell_all(self, text: str) -> None:
        for visit in self._visits:
            visit.tell(text)

    async def _overlay(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, PictureOrder("overlay"))

    async def _edges(self, request: web.Request) -> web.StreamResponse:
        try:
            order = edges_order(request.query.get("homography"), request.query.get("size"), self._settings)
        except ValueError as error:
            self.refused += 1
            return web.Response(status=400, text=f"{error}\n")
        return await self._stream(request, order)

    async def _stream(self, request: web.Request, order: PictureOrder) -> web.StreamResponse:
        hub = self._host.streams
        if hub is None:
            return web.Response(status=404, text="there is no stream here; try /\n")
        if self._full():
            return _no_room()
        stream = MjpegStream(hub, self._loop)
        self._visits.add(stream)
        try:
            return await stream.send(request, order)
        finally:
            self._visits.discard(stream)


def edges_order(homography: str | None, size: str | None, settings: ViewSettings) -> PictureOrder:
    """The order for edges with what an address asks for, or else the settings; `ValueError` says what is wrong."""
    numbers, display = settings.homography, settings.display_size
    if homography is not None:
        try:
            numbers = tuple(float(part) for part in homography[:400].split(","))
        except ValueError:
            raise ValueError(f"homography={homography[:80]} is not nine numbers with commas between them") from None
        check_homography(numbers)
    if size is not None:
        wide, _, high = size.partition("x")
        if not (wide.isdecimal() and high.isdecimal() and len(size) < 12 and 0 < int(wide) <= 8192 >= int(high) > 0):
            raise ValueError(f"size={size[:40]} is not WIDTHxHEIGHT of 1 to 8192")
        display = int(wide), int(high)
    return PictureOrder("edges", numbers, display)


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _no_room() -> web.Response:
    return web.Response(status=503, text="there are viewers enough; close one, or --set view.max_viewers=N\n")


def _page_files(page: str) -> dict[str, tuple[str, bytes]]:
    """Every file of the pages by its path, and `page` as `/`."""
    found = {}
    for file in resources.files("realtime.viewer").joinpath("page").iterdir():
        kind = TYPES.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None:
            found[f"/{file.name}"] = kind, file.read_bytes()
    return {**found, "/": found[f"/{page}"], "/edges": found["/edges.html"]}


def _tls(settings: ViewSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        said = error.strerror or str(error)
        raise ViewerError(f"view.tls_cert {settings.tls_cert} and view.tls_key {settings.tls_key}: {said}") from None
    return context


def _why(error: OSError, settings: ViewSettings) -> str:
    hint = {
        errno.EADDRINUSE: "the port is in use; stop the program that holds it, or --set view.port=0 for a free one",
        errno.EACCES: "ports below 1024 are the system's; choose another with --set view.port=N",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }.get(error.errno or 0, error.strerror or str(error))
    return f"cannot serve the page at {settings.host}:{settings.port}: {hint}"


def _reachable(host: str) -> str:
    """Where others find a host that listens at all addresses of this machine; itself where there is no network."""
    elsewhere = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}.get(host)  # noqa: S104
    if elsewhere is None:
        return host
    with contextlib.suppress(OSError), socket.socket(elsewhere[0], socket.SOCK_DGRAM) as probe:
        probe.connect((elsewhere[1], 9))  # which sends nothing, but chooses an address
        return str(probe.getsockname()[0])
    return host


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    return urlsplit(f"//{host}").hostname or ""
