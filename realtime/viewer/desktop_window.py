"""A desktop window that shows the newest mask on its frame; its mouse is the gaze when there is no tracker.

OpenCV's windows belong to one thread: everything here but `MouseGaze`'s start and stop runs in the main thread.
"""

from __future__ import annotations

import os
import sys

import cv2

from engines import Image
from realtime.errors import WindowError
from realtime.infra.clock import now_ns
from realtime.types import GazeSample, GazeSource, OnEvent, OnGaze, SourceStatus

SAMPLE_NS = 1_000_000_000 // 120
"""A still mouse goes on being a gaze, at the rate of a wearable tracker."""


class MouseGaze(GazeSource):
    """The mouse over the window as a gaze source: pixels of the shown frame, confidence 1 while over the window."""

    def __init__(self) -> None:
        self._on_gaze: OnGaze | None = None
        self._place: tuple[float, float] | None = None
        self._sent_ns = 0
        self._count = 0

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Begin to give samples to `on_gaze`."""
        self._on_gaze = on_gaze

    def stop(self) -> None:
        """Give no more samples."""
        self._on_gaze = None

    def status(self) -> SourceStatus:
        """Running once the mouse has been over the window."""
        if self._place is None:
            return SourceStatus("waiting", "move the mouse over the window", self._count, {})
        return SourceStatus("running", "", self._count, {})

    def moved(self, x: float, y: float) -> None:
        """Take the mouse's place in pixels of the frame."""
        self._place = x, y
        self._give(now_ns())

    def tick(self, at_ns: int) -> None:
        """Repeat the place when the mouse rests."""
        if at_ns - self._sent_ns >= SAMPLE_NS:
            self._give(at_ns)

    def _give(self, at_ns: int) -> None:
        if self._on_gaze is None or self._place is None:
            return
        self._sent_ns = at_ns
        self._count += 1
        self._on_gaze(GazeSample(*self._place, "px", 1.0, at_ns / 1e9, at_ns, at_ns))


class DesktopWindow:
    """One OpenCV window. Close it with q, Escape or its button."""

    def __init__(self, title: str, mouse: MouseGaze | None) -> None:
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise WindowError("no display for --window: neither DISPLAY nor WAYLAND_DISPLAY is set; run without it")
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise WindowError(f"OpenCV cannot open a window here ({error.err}); run without --window") from None
        self._title, self._mouse, self._size = title, mouse, (0, 0)
        if mouse is not None:
            cv2.setMouseCallback(title, lambda event, x, y, flags, data: mouse.moved(float(x), float(y)))

    def show(self, image: Image) -> None:
        """Show a picture; the first one, and one of another size, sets the window's size."""
        size = image.shape[1], image.shape[0]
        if size != self._size:
            cv2.resizeWindow(self._title, *size)
            self._size = size
        cv2.imshow(self._title, image)

    def poll(self) -> bool:
        """Let the window live for some milliseconds; False when the user has closed it."""
        key = cv2.waitKey(5) & 0xFF
        if self._mouse is not None:
            self._mouse.tick(now_ns())
        return key not in (ord("q"), 27) and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Take the window off the screen."""
        cv2.destroyWindow(self._title)
        cv2.waitKey(1)
