"""Lets a live source leave out, or defer, the decoding of frames that its reader has no time for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from realtime.types import Frame, Image


class FramePacing:
    """Holds what the reader of frames wants of a source, which asks before it decodes, or converts, a frame.

    admit: whether a frame is wanted now; one that is not was counted. may_defer: whether the reader has no time for it
    yet, so that a `PendingFrame` saves work.
    """

    def __init__(self) -> None:
        self.admit: Callable[[], bool] = lambda: True
        self.may_defer: Callable[[], bool] = lambda: False


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
