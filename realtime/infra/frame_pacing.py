"""Lets a live source leave out, or defer, the decoding of frames that its reader has no time for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from realtime.types import Frame, Image

REST_S = 0.12
"""Longest rest of a source: less than what makes it doubt the clock of its device, and its queue holds more."""


class FramePacing:
    """Holds what the reader of a source wants of it, which asks before it decodes, or converts, a frame.

    admit: whether a frame is wanted now; one that is not was counted. may_defer: whether the reader has no time for it
    yet, so that a `PendingFrame` saves work.
    """

    def __init__(self) -> None:
        self.admit: Callable[[], bool] = lambda: True
        self.may_defer: Callable[[], bool] = lambda: False
        self._is_needed = threading.Event()

    def demand(self) -> None:
        """Have the source read at once what waits; by the reader, when its turn comes."""
        self._is_needed.set()

    def rest(self) -> None:
        """Wait for a demand where the reader has no time, so that messages are read together; by the source."""
        if self.may_defer():
            self._is_needed.wait(REST_S)
            self._is_needed.clear()


@runtime_checkable
class PacedSource(Protocol):
    """A source of frames that asks its `pacing` before each."""

    pacing: FramePacing


class PendingFrame(Frame):
    """A frame whose picture is decoded when it is first read, by any thread: in a busy host most never are.

    Reading `image` raises what `decode` raises.
    """

    __slots__ = ("_decode", "_decoded", "_lock", "_size")
    _decode: Callable[[], Image]
    _decoded: Image | None
    _lock: threading.Lock
    _size: tuple[int, int]

    def __init__(
        self, decode: Callable[[], Image], size: tuple[int, int], index: int, timestamp: float, captured_ns: int,
        received_ns: int, jpeg: bytes | None = None,
    ) -> None:  # fmt: skip
        """size: (width, height) of the image that `decode` returns, px."""
        own = {"_decode": decode, "_decoded": None, "_lock": threading.Lock(), "_size": size}
        times = {"index": index, "timestamp": timestamp, "captured_ns": captured_ns, "received_ns": received_ns}
        for name, value in {**own, **times, "jpeg": jpeg}.items():
            object.__setattr__(self, name, value)

    @property
    def image(self) -> Image:
        """The picture, decoded once."""
        with self._lock:
            if (image := self._decoded) is None:
                image = self._decode()
                object.__setattr__(self, "_decoded", image)
            return image

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels; needs no decoding."""
        return self._size
