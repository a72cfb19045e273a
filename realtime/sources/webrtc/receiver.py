"""Receives the wearer who connects over WebRTC, one at a time.

The page's server passes on the offers; an event loop on a thread of its own serves the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from realtime.errors import SourceError
from realtime.types import GazeSample, SourceState

if TYPE_CHECKING:
    from realtime.sources.webrtc.peer import ReceivedPicture, WebRtcPeer

ANSWER_TIMEOUT_S = 15.0
"""For servers that are asked for addresses (STUN, TURN)."""
STOP_S = 0.8
NO_WEARER = "no wearer is connected; send an offer to /whip at the page's address"
CONNECTING = "a wearer has sent an offer and is connecting"
NO_PATH = "no network path to the last wearer; allow UDP, or give a TURN server: --set whip.ice_servers=..."
NO_HANDSHAKE = "the last wearer was reached, but no encryption was agreed on; try another build of its sender"
REPLACED = "another wearer has connected, and replaces the one before"
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class ConnectionListener(Protocol[T_contra]):
    """A source that a receiver feeds; called on the event loop's thread."""

    def offer(self, value: T_contra) -> None:
        """Take what the present connection has sent; never blocks."""

    def change_state(self, state: SourceState, reason: str) -> None:
        """Set the state after the connection has changed."""

    def count_dropped(self, reason: str, count: int) -> None:
        """Count what came and is not used."""


class WebRtcReceiver:
    """Answers offers, and passes video and gaze of the newest connection to its sources; any thread.

    frames, gaze: the sources that are fed; None where they come from elsewhere. ice_servers: as for `WebRtcPeer`.
    on_notice: receives texts for the user.
    """

    def __init__(self) -> None:
        """Raises `SourceError` where the library is missing."""
        try:
            from realtime.sources.webrtc import peer
        except ImportError as error:
            raise SourceError(f"whip: needs aiortc ({error}): pip install -e '.[webrtc]'") from None
        peer.extend_answers()
        self._library = peer
        self.ice_servers: Sequence[str] = ()
        self.frames: ConnectionListener[ReceivedPicture] | None = None
        self.gaze: ConnectionListener[GazeSample] | None = None
        self.on_notice: Callable[[str], None] = lambda text: None
        self._users = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._peer: WebRtcPeer | None = None
        self._session = ""
        self._is_answering = asyncio.Lock()
        self._closing: asyncio.Future[None] | None = None

    @property
    def peer(self) -> WebRtcPeer | None:
        """The present connection."""
        return self._peer

    def add_user(self) -> None:
        """Start the event loop with the first source that starts."""
        with self._lock:
            self._users += 1
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name="webrtc", daemon=True)
                self._thread.start()

    def remove_user(self) -> None:
        """End connection and thread with the last source that stops."""
        with self._lock:
            self._users -= 1
            loop, thread = self._loop, self._thread
            if self._users or loop is None or thread is None:
                return
            self._loop = None
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_S)

    async def answer(self, offer: str) -> tuple[str, str]:
        """Answer an offer, from any event loop; returns the session's name and the description.

        The new connection replaces the earlier one. Raises `OfferError`, and `SourceError` outside of a run.
        """
        return await self._run_on_loop(self._answer(offer))

    async def end(self, session: str) -> bool:
        """End a session; False where it is not the present one."""
        return await self._run_on_loop(self._end(session))

    async def _run_on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        loop = self._loop
        if loop is None:
            work.close()
            raise SourceError("the run has not begun, or has ended; try again")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    # -- the event loop's thread --------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        with contextlib.suppress(Exception):  # of the library, while it ends
            loop.run_until_complete(self._shut_down())
        loop.close()

    async def _shut_down(self) -> None:
        if self._peer is not None:
            await self._peer.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, offer: str) -> tuple[str, str]:
        async with self._is_answering:
            session = secrets.token_urlsafe(12)
            frames, gaze = self.frames, self.gaze
            handlers = self._library.PeerHandlers(
                self._while_present(session, frames.offer) if frames is not None else None,
                self._while_present(session, gaze.offer) if gaze is not None else None,
                self._count_dropped,
                lambda: self._on_closed(session),
            )
            peer = self._library.WebRtcPeer(handlers, self.ice_servers)
            try:
                description = await asyncio.wait_for(peer.answer(offer), ANSWER_TIMEOUT_S)
            except TimeoutError:
                await peer.close()
                raise SourceError("the servers of whip.ice_servers do not answer") from None
            except BaseException:
                await peer.close()
                raise
            earlier, self._peer, self._session = self._peer, peer, session
            self._report("connecting", CONNECTING)
            if earlier is not None:
                self.on_notice(REPLACED)
                await earlier.close()
            return session, description

    def _while_present(self, session: str, handle: Callable[[T], None]) -> Callable[[T], None]:
        """Handle only what comes while a session is the present one."""

        def handle_present(value: T) -> None:
            if session == self._session:
                handle(value)

        return handle_present

    async def _end(self, session: str) -> bool:
        peer = self._peer
        if peer is None or not secrets.compare_digest(session.encode(), self._session.encode()):
            return False
        self._forget(NO_WEARER)
        await peer.close()
        return True

    def _on_closed(self, session: str) -> None:
        if session != self._session or self._peer is None:
            return
        peer = self._peer
        self._forget(NO_WEARER if peer.was_connected else NO_HANDSHAKE if peer.was_reached else NO_PATH)
        self._closing = asyncio.ensure_future(peer.close())

    def _forget(self, reason: str) -> None:
        self._peer, self._session = None, ""
        self._report("connecting", reason)

    def _report(self, state: SourceState, reason: str) -> None:
        if self.frames is not None:
            self.frames.change_state(state, reason)
        if self.gaze is not None:
            self.gaze.change_state(state, reason)

    def _count_dropped(self, reason: str, count: int) -> None:
        if self.frames is not None and (reason == self._library.LOST or self.gaze is None):
            self.frames.count_dropped(reason, count)
        elif self.gaze is not None:
            self.gaze.count_dropped(reason, count)
