"""Plays a clip's frames and gaze on time, as a device does: the part that simulated devices share."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator

from realtime.errors import SourceError
from realtime.infra.interrupts import InterruptHandler
from realtime.simulation.encoded_frames import EncodedFrame
from realtime.simulation.gaze_signal import GazeSignal
from realtime.sources.gaze_files.trace_values import TracePoint

_MAX_LATE_S = 0.25


class ClipPlayer:
    """A base of simulated devices, with a thread that plays and one that answers."""

    def __init__(self, frames: Generator[EncodedFrame], frame_s: float, gaze: GazeSignal) -> None:
        """frame_s: time between two frames."""
        self._frames, self._frame_s, self._gaze = frames, frame_s, gaze
        self._stop, self._ended = threading.Event(), threading.Event()
        self._failure: SourceError | None = None
        self._started_s = 0.0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start to answer and to play."""
        for work in (self._answer, self._play):
            thread = threading.Thread(target=work, name=f"simulator {work.__name__[1:]}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop within a second and free the ports; stopping twice is fine."""
        self._stop.set()
        for thread in self._threads:
            thread.join(1.0)
        self._close()

    def serve(self, on_start: Callable[[], None] = lambda: None) -> None:
        """Play until the clip has ended, SIGINT or SIGTERM, then stop; `SourceError` if the clip went away.

        on_start: called when it plays and can be interrupted.
        """
        with InterruptHandler() as interrupts:
            try:
                self.start()
                on_start()
                while not (self._ended.wait(0.1) or interrupts.is_requested):
                    pass
            finally:
                self.stop()
        if self._failure:
            raise self._failure

    def _play(self) -> None:
        try:
            with contextlib.closing(self._frames):
                self._send_frames()
        except SourceError as error:
            self._failure = error
        finally:
            self._ended.set()

    def _send_frames(self) -> None:
        """Send frames and gaze when they are due."""
        frame = next(self._frames, None)
        self._started_s = time.monotonic()
        while frame is not None and self._wait_until(frame.due_s):
            self._send_frame(frame)
            following = next(self._frames, None)
            until_s = following.due_s if following else frame.due_s + self._frame_s
            self._plan_gaze(frame, following, until_s)
            for sample in self._gaze.samples_between(frame, following, until_s):
                if not self._wait_until(sample.timestamp):
                    break
                self._send_gaze(sample, frame.size)
            self._finish_frame()
            frame = following

    def _wait_until(self, due_s: float) -> bool:
        """Wait for an instant of the timeline; False when stopped.

        A player that cannot keep up slows the whole timeline down, so that gaze and picture still agree.
        """
        late_s = time.monotonic() - self._started_s - due_s
        if late_s > _MAX_LATE_S:
            self._started_s += late_s
        return not self._stop.wait(max(0.0, -late_s))

    def _answer(self) -> None:
        """Answer requests until `_stop`."""
        raise NotImplementedError

    def _send_frame(self, frame: EncodedFrame) -> None:
        raise NotImplementedError

    def _send_gaze(self, sample: TracePoint, size: tuple[int, int]) -> None:
        """Send a gaze sample, px of a frame of (width, height), in seconds of the timeline."""
        raise NotImplementedError

    def _plan_gaze(self, frame: EncodedFrame, following: EncodedFrame | None, until_s: float) -> None:
        """Plan what else is sent with the gaze from a frame on, until a second of the timeline."""

    def _finish_frame(self) -> None:
        """Do what else is due after a frame and its gaze."""

    def _close(self) -> None:
        """Free the ports."""


def prepend_frame(first: EncodedFrame, frames: Iterator[EncodedFrame]) -> Generator[EncodedFrame]:
    """Yield a frame that was needed before the others."""
    yield first
    yield from frames


def bind_port(host: str, port: int) -> socket.socket:
    """Bind a port for TCP, 0 for a free one; raises `SourceError`."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SourceError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from None
    return listener
