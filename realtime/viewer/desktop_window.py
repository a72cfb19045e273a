"""Shows masks in a desktop window, whose mouse can replace an eye tracker.

OpenCV's windows belong to one thread: everything here except `MouseGaze.start` and `stop` runs in the main thread.
"""

from __future__ import annotations

import os
import sys

import cv2

from engines import Image
from realtime.errors import WindowError
from realtime.infra.clock import now_ns
from realtime.media.overlay import draw_caption
from realtime.types import GazeSample, GazeSource, OnEvent, OnGaze, SourceStatus
from realtime.viewer.window_keys import NO_KEY, WindowKeys

SAMPLE_NS = 1_000_000_000 // 120
"""A mouse that rests repeats its sample at the rate of a wearable tracker."""


class MouseGaze(GazeSource):
    """A gaze source that reads the mouse: pixels of the shown frame, confidence 1 while over the window."""

    def __init__(self) -> None:
        self._on_gaze: OnGaze | None = None
        self._position: tuple[float, float] | None = None
        self._sent_ns = 0
        self._count = 0

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start to pass samples to `on_gaze`."""
        self._on_gaze = on_gaze

    def stop(self) -> None:
        """Stop to pass samples."""
        self._on_gaze = None

    def status(self) -> SourceStatus:
        """Return `running` after the mouse was over the window, `idle` before."""
        hint = "move the mouse over the window" if self._position is None else ""
        return SourceStatus("idle" if hint else "running", hint, self._count, {})

    def move_to(self, x: float, y: float) -> None:
        """Pass on the mouse's position in pixels of the frame."""
        self._position = x, y
        self._send(now_ns())

    def repeat(self, at_ns: int) -> None:
        """Repeat the last position if the mouse rests."""
        if at_ns - self._sent_ns >= SAMPLE_NS:
            self._send(at_ns)

    def _send(self, at_ns: int) -> None:
        if self._on_gaze is None or self._position is None:
            return
        self._sent_ns = at_ns
        self._count += 1
        self._on_gaze(GazeSample(*self._position, "px", 1.0, at_ns / 1e9, at_ns, at_ns))


class DesktopWindow:
    """An OpenCV window, whose keys are commands (`keys`); q, Escape or its button closes it."""

    def __init__(self, title: str, mouse: MouseGaze | None) -> None:
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise WindowError("no display for --window: neither DISPLAY nor WAYLAND_DISPLAY is set; run without it")
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise WindowError(f"OpenCV cannot open a window here ({error.err}); run without --window") from None
        self._title, self._mouse, self._size = title, mouse, (0, 0)
        self.keys, self._note = WindowKeys(), ""
        if mouse is not None:
            cv2.setMouseCallback(title, lambda event, x, y, flags, data: mouse.move_to(float(x), float(y)))

    def show(self, image: Image) -> None:
        """Show an image, and over it the word that is typed, or the last note.

        The first image, and one of another size, sets the window's size.
        """
        size = image.shape[1], image.shape[0]
        if size != self._size:
            cv2.resizeWindow(self._title, *size)
            self._size = size
        text = f"word: {self.keys.text}_" if self.keys.text is not None else self._note
        cv2.imshow(self._title, draw_caption(image, text) if text else image)

    def show_note(self, text: str) -> None:
        """Show a short text below, until another one replaces it; "" for none. From any thread."""
        self._note = text

    def poll(self) -> bool:
        """Process window events for some milliseconds; False after the user has closed the window."""
        pressed = cv2.waitKey(5)
        stays_open = self.keys.press(pressed & 0xFF if pressed != NO_KEY else NO_KEY)
        if self._mouse is not None:
            self._mouse.repeat(now_ns())
        return stays_open and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        cv2.destroyWindow(self._title)
        cv2.waitKey(1)
