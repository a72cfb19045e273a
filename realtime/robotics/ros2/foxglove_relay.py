"""Accepts the clients of Foxglove's server and passes their bytes on, whichever subprotocol they speak.

foxglove-sdk's server accepts `foxglove.sdk.v1` only. The TypeScript client (@foxglove/ws-protocol) and viewers built on
it ask for `foxglove.websocket.v1`, whose messages are the same; such a handshake is translated. A browser lets pages of
any site connect to this machine, and names their origin: those of other sites are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading

from realtime.comms.hosts import is_loopback

SDK_PROTOCOL, OLDER_PROTOCOL = b"foxglove.sdk.v1", b"foxglove.websocket.v1"
MAX_HANDSHAKE_BYTES = 2**16
HANDSHAKE_S = 10.0
"""A client that sends no handshake for so long is disconnected."""
_CHUNK_BYTES = 2**16
_REFUSAL = (
    b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"pages of other sites have no access, unless gazecast runs with --insecure foxglove\n"
)
_ORIGIN = re.compile(rb"^origin:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_PROTOCOLS = re.compile(rb"^sec-websocket-protocol:[^\r\n]*", re.IGNORECASE | re.MULTILINE)


class FoxgloveRelay:
    """A TCP relay to a server on this machine, from `__init__` to `close`; slow readers slow down its reading."""

    def __init__(self, host: str, port: int, server_port: int, *, is_open: bool = False) -> None:
        """Listen at host and port, 0 for a free one, of `port`; raises `OSError`. is_open: to pages of any site."""
        self._server_port, self._is_open = server_port, is_open
        self.refused = 0
        """Connections of pages of other sites."""
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        try:
            self._server = self._loop.run_until_complete(
                asyncio.start_server(self._serve, host, port, limit=MAX_HANDSHAKE_BYTES)
            )
        except OSError:
            self._loop.close()
            raise
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="gazecast-foxglove-relay", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Free the port and disconnect all clients; may be called twice."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._disconnect_all())
        self._loop.close()

    async def _disconnect_all(self) -> None:
        self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # an aborted connection closes its socket in a later iteration of the loop
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        opened = [writer]
        try:
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANDSHAKE_S)
            if not (self._is_open or is_own_origin(request)):
                self.refused += 1
                writer.write(_REFUSAL)
                return
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            opened.append(server_writer)
            is_older = _offers_older_only(request)
            server_writer.write(_rename_protocol(request, OLDER_PROTOCOL, SDK_PROTOCOL) if is_older else request)
            reply = await asyncio.wait_for(server_reader.readuntil(b"\r\n\r\n"), HANDSHAKE_S)
            writer.write(_rename_protocol(reply, SDK_PROTOCOL, OLDER_PROTOCOL) if is_older else reply)
            pumps = [asyncio.ensure_future(_pump(*ends)) for ends in ((reader, server_writer), (server_reader, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, EOFError, asyncio.LimitOverrunError):  # EOFError: no whole handshake; OSError: also too late
            pass
        except asyncio.CancelledError:
            for stream in opened:
                stream.transport.abort()
        finally:
            self._connections.discard(task)
            for stream in opened:
                stream.close()


def is_own_origin(request: bytes) -> bool:
    """Return whether a handshake is of a program, of a page of this machine, or of Foxglove's own pages."""
    for origin in _ORIGIN.findall(request):
        scheme, _, host = origin.decode("latin-1").lower().partition("://")
        if scheme == "file":  # Foxglove's desktop program
            continue
        name = host.rpartition(":")[0] if re.search(r":\d+\Z", host) else host
        is_foxglove = scheme == "https" and (name == "foxglove.dev" or name.endswith(".foxglove.dev"))
        if not (is_foxglove or (scheme in ("http", "https") and is_loopback(name))):
            return False
    return True


def _offers_older_only(request: bytes) -> bool:
    offered = b"".join(_PROTOCOLS.findall(request))
    return OLDER_PROTOCOL in offered and SDK_PROTOCOL not in offered


def _rename_protocol(handshake: bytes, name: bytes, other: bytes) -> bytes:
    return _PROTOCOLS.sub(lambda line: line[0].replace(name, other), handshake)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
