"""Checks host names, so that a misspelt one is reported instead of waited for."""

from __future__ import annotations

import socket

from realtime.errors import TransportError


def check_host(host: str) -> None:
    """Raise `TransportError` unless the host is an address or a name that resolves; may block for some seconds."""
    try:
        socket.getaddrinfo(host.strip("[]"), None)
    except (OSError, UnicodeError):  # UnicodeError: a label of more than 63 characters
        raise TransportError(explain_unresolved(host)) from None


def explain_unresolved(host: str) -> str:
    """Return the error for a host that cannot be resolved."""
    return f"cannot resolve {host}: check the name or give its IP address"
