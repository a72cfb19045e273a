"""Opens the two UDP ports of a media stream."""

from __future__ import annotations

import socket

_ATTEMPTS = 50


def open_port_pair(host: str, family: int = socket.AF_INET) -> tuple[socket.socket, socket.socket]:
    """Bind an even port for RTP and the next one for RTCP (RFC 3550); raises `OSError`."""
    for _ in range(_ATTEMPTS):
        first, second = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        try:
            first.bind((host, 0))
            port = first.getsockname()[1]
            second.bind((host, port ^ 1))
        except OSError:
            first.close()
            second.close()
            continue
        return (first, second) if port % 2 == 0 else (second, first)
    raise OSError("no two neighbouring UDP ports are free")
