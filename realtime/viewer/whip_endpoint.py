"""Answers wearers that connect over WebRTC (WHIP, RFC 9725): a POST of an offer, a DELETE of the session.

    POST /whip            an SDP offer, application/sdp -> 201 with the answer; Location names the session
    DELETE /whip/SESSION  ends it

The page's token is expected as a bearer token, which pages of other sites may send too, because no browser adds it by
itself.
"""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from realtime.config.viewer import ViewSettings
from realtime.errors import OfferError, SourceError

PATH = "/whip"
MAX_OFFER_BYTES = 2**16
_ALLOWED = "POST, DELETE, OPTIONS"


class OfferReceiver(Protocol):
    """A receiver of one sender's video; raises `SourceError` where it cannot answer now."""

    async def answer(self, offer: str) -> tuple[str, str]:
        """Answer an offer; returns the session's name and the description. Raises `OfferError`."""

    async def end(self, session: str) -> bool:
        """End a session; False where it is not the present one."""


def is_whip_path(path: str) -> bool:
    """Whether a request is for this endpoint."""
    return path == PATH or path.startswith(f"{PATH}/")


class WhipEndpoint:
    """Serves the requests for one receiver, on the page server's event loop."""

    def __init__(self, receiver: OfferReceiver, settings: ViewSettings) -> None:
        self._receiver = receiver
        cross_origin = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Location"}
        self._headers = {"Cache-Control": "no-store", **(cross_origin if settings.token else {})}

    async def respond(self, request: web.Request) -> web.Response:
        """Respond to a request that may have access."""
        session = request.path.removeprefix(PATH).strip("/")
        if request.method == "OPTIONS":
            allowed = {
                "Access-Control-Allow-Methods": _ALLOWED,
                "Access-Control-Allow-Headers": "Authorization, Content-Type",
            }
            return self._respond(204, headers={**allowed, "Accept-Post": "application/sdp"})
        if request.method == "POST" and not session:
            return await self._answer(request)
        if request.method == "DELETE" and session:
            try:
                is_ended = await self._receiver.end(session)
            except SourceError as error:
                return self._respond(503, f"{error}\n")
            return self._respond(200 if is_ended else 404, "" if is_ended else "there is no such session\n")
        return self._respond(405, "send an offer with POST, or end a session with DELETE\n", {"Allow": _ALLOWED})

    async def _answer(self, request: web.Request) -> web.Response:
        if request.content_type != "application/sdp":
            return self._respond(415, f"an offer is application/sdp, got {request.content_type:.80}\n")
        body = await request.content.read(MAX_OFFER_BYTES + 1)
        if len(body) > MAX_OFFER_BYTES:
            return self._respond(413, f"an offer has at most {MAX_OFFER_BYTES} bytes\n")
        try:
            session, answer = await self._receiver.answer(body.decode(errors="replace"))
        except OfferError as error:
            return self._respond(400, f"{error}\n")
        except SourceError as error:
            return self._respond(503, f"{error}\n")
        headers = {"Location": f"{PATH}/{session}"}
        return self._respond(201, answer, headers, content_type="application/sdp")

    def _respond(
        self, status: int, text: str = "", headers: dict[str, str] | None = None, content_type: str = "text/plain"
    ) -> web.Response:
        return web.Response(
            status=status, text=text, content_type=content_type, headers={**self._headers, **(headers or {})}
        )
