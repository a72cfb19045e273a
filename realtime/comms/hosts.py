"""Checks host names: whether they resolve, and whether only this machine can reach them."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

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


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host that is listened at."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def split_url(url: str) -> tuple[str, str]:
    """Return (host, host with port) of a URL that a client sent; empty where it has none, or is no URL."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.netloc
    except ValueError:  # such as of a bracket without its other one
        return "", ""
