"""Provides frames and gaze of the wearer that is connected over WebRTC."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from realtime.infra.channels import Latest
from realtime.infra.clock import now_ns
from realtime.infra.frame_pacing import FramePacing
from realtime.sources.base import SourceMonitor, ThreadedFrames
from realtime.sources.webrtc.receiver import NO_WEARER, WebRtcReceiver
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
    from realtime.sources.webrtc.peer import ReceivedPicture

MAX_PIXELS = 4096 * 2160
SILENCE_NS = 2_000_000_000


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
        self.pacing = FramePacing()

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

    def offer(self, value: ReceivedPicture) -> None:
        """Queue a picture; never blocks."""
        self._pending.put((self._connections, value))

    def _run(self) -> None:
        while (pending := self._pending.get()) is not None:
            connection, received = pending
            picture = received.picture
            if not 0 < picture.width * picture.height <= MAX_PIXELS:
                self._monitor.count_dropped("size")
                continue
            if not self.pacing.admit():
                self._last_ns = now_ns()
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

    def offer(self, value: GazeSample) -> None:
        """Pass on a sample; called from one thread, the one that changes the state."""
        on_gaze = self._on_gaze
        if on_gaze is not None:
            self._last_ns = now_ns()
            self._monitor.count_received()
            self._monitor.set_state("running")
            on_gaze(value)
