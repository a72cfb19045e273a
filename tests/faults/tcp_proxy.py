"""A network between two programs on one machine, whose faults are chosen while it runs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Literal

NetworkFault = Literal["none", "stall", "swallow", "delay", "truncate", "duplicate", "reorder"]
"""stall: bytes wait. swallow: bytes vanish, as on a half-open connection. delay: bytes are late by `DELAY_S`.
truncate, duplicate, reorder: once a piece is cut, sent twice or exchanged with the next, and so on."""
DELAY_S = 0.3
EVERY = 20
"""Each so many pieces one is damaged."""
PIECE = 65536


class TcpProxy:
    """Forwards connections to `port` of 127.0.0.1 from the same port of `host`; both directions have the fault."""

    def __init__(self, host: str, port: int) -> None:
        self.fault: NetworkFault = "none"
        self._port = port
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server((host, port))
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        """Close all present connections."""
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.fault = "none"
        while any(thread.is_alive() for thread in self._threads):
            self.cut()
            self._threads[-1].join(0.05)
        self._listener.close()

    def _start(self, body: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=body, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._start(self._connect, near)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._port), 5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._sockets |= {near, far}
        back = threading.Thread(target=self._forward, args=(far, near), daemon=True)
        back.start()
        self._forward(near, far)
        back.join()
        self._sockets -= {near, far}
        near.close()
        far.close()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        count, kept = 0, b""
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                count += 1
                is_hit, fault = count % EVERY == 0, self.fault
                if fault == "delay":
                    time.sleep(DELAY_S)
                while self.fault == "stall":
                    time.sleep(0.02)
                if fault == "swallow":
                    continue
                if fault == "truncate" and is_hit:
                    piece = piece[: len(piece) // 2]
                elif fault == "duplicate" and is_hit:
                    piece += piece
                elif fault == "reorder" and is_hit:
                    kept = piece
                    continue
                target.sendall(piece + kept)
                kept = b""
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
