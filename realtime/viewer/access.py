"""Decides which requests the page's server accepts, and finds the address that others can open."""

from __future__ import annotations

import contextlib
import errno
import hmac
import socket
import ssl
from dataclasses import replace

from aiohttp import web

from realtime.comms.hosts import explain_unresolved, split_url
from realtime.comms.keys import check_private
from realtime.config.viewer import ViewSettings
from realtime.errors import AccessError, ViewerError


def refusal_reason(
    request: web.Request, settings: ViewSettings, *, is_public: bool, is_cross_origin: bool = False
) -> str:
    """Return the reason to refuse a request; empty where it is allowed.

    Refused are requests of other sites' pages (which name another host than they reached, or come from another origin),
    and requests without the token, unless what they request is public. is_cross_origin: other sites' pages have access
    with the token as a bearer token.
    """
    host = request.host
    own_names = ("localhost", "127.0.0.1", "::1", settings.host.strip("[]"))
    if settings.loopback and split_url(f"//{host}")[0] not in own_names:
        return f"this page is at {settings.host}, not at {host[:80]}"
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if is_cross_origin and settings.token and _is_equal(bearer, settings.token):
        return ""
    origin = request.headers.get("Origin")
    if origin is not None and split_url(origin)[1] != host:
        return "pages of other sites have no access"
    if settings.token and not is_public and not _is_equal(request.query.get("token", ""), settings.token):
        as_header = ", or the header Authorization: Bearer ..." if is_cross_origin else ""
        return f"the address needs ?token=...{as_header}, as gazecast printed it"
    return ""


def _is_equal(given: str, secret: str) -> bool:
    """Compare in a time that tells nothing of the secret; what was given may hold bytes that are not UTF-8."""
    return hmac.compare_digest(given.encode(errors="surrogateescape"), secret.encode())


def read_token(settings: ViewSettings) -> ViewSettings:
    """Return the settings with the token of their file; raises `ViewerError`."""
    if settings.token or settings.token_file is None:
        return settings
    try:
        check_private(settings.token_file, is_secret=True)
        token = settings.token_file.read_text(encoding="ascii").strip()
        if not token:
            raise ValueError("it is empty")
        return replace(settings, token=token)
    except (OSError, ValueError, AccessError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ViewerError(f"view.token_file {settings.token_file}: {reason}") from None


def load_tls(settings: ViewSettings) -> ssl.SSLContext | None:
    """Load the certificate of the settings, None without one; raises `ViewerError`."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise ViewerError(f"view.tls_cert {settings.tls_cert} and view.tls_key {settings.tls_key}: {reason}") from None
    return context


def page_address(settings: ViewSettings, port: int) -> str:
    """Return the page's URL with its token."""
    host = reachable_host(settings.host.strip("[]"))
    host = f"[{host}]" if ":" in host else host
    token = f"?token={settings.token}" if settings.token else ""
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{port}/{token}"


def reachable_host(host: str) -> str:
    """Return this machine's address for a host that listens at all addresses; otherwise the host itself."""
    targets = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}  # noqa: S104
    target = targets.get(host)
    if target is None:
        return host
    with contextlib.suppress(OSError), socket.socket(target[0], socket.SOCK_DGRAM) as probe:
        probe.connect((target[1], 9))  # which sends nothing, but chooses a local address
        return str(probe.getsockname()[0])
    return host


def explain_bind_error(error: OSError, settings: ViewSettings) -> str:
    """Explain why the page cannot be served at its host and port, with a way out."""
    if isinstance(error, socket.gaierror):
        return explain_unresolved(settings.host)
    hint = {
        errno.EADDRINUSE: "the port is in use; stop the program that holds it, or --set view.port=0 for a free one",
        errno.EACCES: "ports below 1024 are reserved for the system; choose another with --set view.port=N",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }.get(error.errno or 0, error.strerror or str(error))
    return f"cannot serve the page at {settings.host}:{settings.port}: {hint}"
