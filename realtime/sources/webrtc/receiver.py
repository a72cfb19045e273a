"""Provides frames and gaze of the wearer that connects over WebRTC, one at a time.

The page's server passes on the offers; an event loop on a thread of its own serves the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from realtime.errors import SourceError
from realtime.infra.channels import Latest
from realtime.infra.clock import now_ns
from realtime.sources.base import SourceMonitor, ThreadedFrames
from realtime.types import (
    Frame,
    FrameSource,
    GazeSample,
    GazeSource,
    OnEvent,
    OnFrame,
    OnGaze,
    SourceState,
    SourceStatus,
)

if TYPE_CHECKING:
    from realtime.sources.webrtc.peer import ReceivedPicture, WebRtcPeer

MAX_PIXELS = 4096 * 2160
SILENCE_NS = 2_000_000_000
ANSWER_TIMEOUT_S = 15.0
"""For servers that are asked for addresses (STUN, TURN)."""
STOP_S = 0.8
NO_WEARER = "no wearer is connected; send an offer to /whip at the page's address"
CONNECTING = "a wearer has sent an offer and is connecting"
NO_PATH = "no network path to the last wearer; allow UDP, or give a TURN server: --set whip.ice_servers=..."
REPLACED = "another wearer has connected, and replaces the one before"
T = TypeVar("T")


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
        self.frames: WebRtcFrames | None = None
        self.gaze: WebRtcGaze | None = None
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
        self._forget(NO_WEARER if peer.was_connected else NO_PATH)
        self._closing = asyncio.ensure_future(peer.close())

    def _forget(self, reason: str) -> None:
        self._peer, self._session = None, ""
        self._report("connecting", reason)

    def _report(self, state: SourceState, reason: str) -> None:
        for source in (self.frames, self.gaze):
            if source is not None:
                source.change_state(state, reason)

    def _count_dropped(self, reason: str, count: int) -> None:
        source = self.frames if reason == "lost on the way" else self.gaze or self.frames
        if source is not None:
            source.count_dropped(reason, count)


class WearerSource:
    """A base of a receiver's sources, whose state follows the connection."""

    _monitor: SourceMonitor

    def __init__(self, receiver: WebRtcReceiver, what: str) -> None:
        """what: names what the wearer sends."""
        self.receiver, self._what = receiver, what
        self._changing = threading.RLock()  # a listener to the state may ask for it
        self._connections = 0
        self._last_ns: int | None = None
        self._is_started = False

    def change_state(self, state: SourceState, reason: str) -> None:
        """Set the state after the connection has changed; nothing of the earlier one is published any more."""
        with self._changing:
            self._connections += 1
            self._last_ns = now_ns() if self.receiver.peer is not None else None
            self._monitor.set_state(state, reason)

    def count_dropped(self, reason: str, count: int) -> None:
        """Count what came and is not used."""
        self._monitor.count_dropped(reason, count)

    def status(self) -> SourceStatus:
        """Return state, counts and the map to the wearer's clock."""
        with self._changing:
            peer, last_ns = self.receiver.peer, self._last_ns
            if peer is not None and last_ns is not None and now_ns() - last_ns > SILENCE_NS:
                self._monitor.set_state("waiting", f"the wearer is connected, but sends no {self._what}")
        return self._monitor.status(peer.clock.status(now_ns()) if peer is not None else None)

    def _join(self) -> None:
        self._is_started = True
        self.receiver.add_user()

    def _leave(self) -> None:
        if self._is_started:
            self._is_started = False
            self.receiver.remove_user()


class WebRtcFrames(WearerSource, ThreadedFrames, FrameSource):
    """A `FrameSource` of the connected wearer's video; converts the newest picture on its own thread.

    `timestamp` is the RTP clock since the first frame. `dropped` counts pictures superseded before they were converted,
    and frames that lacked packets.
    """

    def __init__(self, receiver: WebRtcReceiver) -> None:
        WearerSource.__init__(self, receiver, "video")
        ThreadedFrames.__init__(self, NO_WEARER, "frames webrtc")
        receiver.frames = self
        self._pending: Latest[tuple[int, ReceivedPicture]] = Latest()  # with the number of its connection
        self._index = 0

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Start; a wearer may connect later."""
        self._join()
        super().start(on_frame, on_event)

    def stop(self) -> None:
        """Stop within a second."""
        self._pending.close()
        super().stop()
        self._leave()

    def status(self) -> SourceStatus:
        """Return state, counts and the map to the wearer's clock."""
        found = super().status()
        superseded = {"superseded": self._pending.dropped} if self._pending.dropped else {}
        return replace(found, dropped={**found.dropped, **superseded})

    def offer(self, picture: ReceivedPicture) -> None:
        """Queue a picture; never blocks."""
        self._pending.put((self._connections, picture))

    def _run(self) -> None:
        while (pending := self._pending.get()) is not None:
            connection, received = pending
            picture = received.picture
            if not 0 < picture.width * picture.height <= MAX_PIXELS:
                self._monitor.count_dropped("size")
                continue
            image = np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)
            frame = Frame(image, self._index, received.timestamp, received.captured_ns, received.received_ns)
            with self._changing:
                if connection != self._connections:
                    self._monitor.count_dropped("of an earlier connection")
                    continue
                self._last_ns = now_ns()
                self._publish(frame)
                self._index += 1


class WebRtcGaze(WearerSource, GazeSource):
    """A `GazeSource` of the samples on the connected wearer's data channel, in the order of arrival."""

    def __init__(self, receiver: WebRtcReceiver) -> None:
        super().__init__(receiver, "gaze")
        receiver.gaze = self
        self._monitor = SourceMonitor("connecting", NO_WEARER)
        self._on_gaze: OnGaze | None = None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start; a wearer may connect later."""
        self._monitor.on_event, self._on_gaze = on_event, on_gaze
        self._join()

    def stop(self) -> None:
        """Stop within a second."""
        self._on_gaze = None
        self._leave()

    def offer(self, sample: GazeSample) -> None:
        """Pass on a sample; called from one thread, the one that changes the state."""
        on_gaze = self._on_gaze
        if on_gaze is not None:
            self._last_ns = now_ns()
            self._monitor.count_received()
            self._monitor.set_state("running")
            on_gaze(sample)
