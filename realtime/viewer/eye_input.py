"""Selects the page whose person's eyes are tracked by webcam; called by one thread, without sockets."""

from __future__ import annotations

from collections import Counter

from realtime.sources.browser import BrowserFrame, BrowserFrames
from realtime.sources.webcam_gaze.gaze_source import WebcamGaze
from realtime.sources.webcam_gaze.screen_layout import ScreenLayout
from realtime.viewer.page_client import PageClient
from realtime.viewer.page_messages import PageFrame, ScreenChange


class EyeInput:
    """Passes on what one page sends about its person's eyes.

    With the page's own camera it is the page that started it last, with a camera of this machine the one that was used
    last. What other pages send is refused and counted.
    """

    def __init__(self, webcam: WebcamGaze | None, dropped: Counter[str]) -> None:
        self._webcam, self._dropped = webcam, dropped
        camera = webcam.camera if webcam is not None else None
        self._frames = camera if isinstance(camera, BrowserFrames) else None
        self._page: PageClient | None = None
        self._layouts: dict[PageClient, ScreenLayout] = {}

    def change_camera(self, page: PageClient, on: bool) -> None:
        """Make the page's camera the one of the eyes, or end it; the newest offer wins."""
        if self._frames is None:
            self._dropped["not the eyes"] += 1
        elif on:
            self._select(page)
        elif page is self._page:
            self._select(None)

    def change_screen(self, page: PageClient, change: ScreenChange) -> None:
        """Note where a page is on its screen."""
        if self._webcam is None:
            self._dropped["not the eyes"] += 1
            return
        layout = ScreenLayout(change.size, change.page, change.picture, change.frame_width)
        self._layouts[page] = layout
        if self._frames is None:
            self._page = page
        if page is self._page:
            self._webcam.set_layout(layout)

    def change_calibration(self, page: PageClient, on: bool) -> None:
        """Begin or cancel a calibration at targets on this page."""
        if self._webcam is None or page is not self._page:
            self._dropped["not the eyes"] += 1
        elif on:
            self._webcam.start_calibration()
        else:
            self._webcam.cancel_calibration()

    def add_click(self, page: PageClient, x: float, y: float, now_ns: int) -> None:
        """Pass on where the person clicked on the screen, px: people look there."""
        if self._webcam is None or page is not self._page:
            self._dropped["not the eyes"] += 1
        else:
            self._webcam.correct_drift(x, y, now_ns)

    def add_frame(self, page: PageClient, frame: PageFrame, now_ns: int) -> None:
        """Pass on a frame of the camera that films the eyes."""
        if self._frames is None or page is not self._page:
            self._dropped["not the eyes"] += 1
            return
        captured_ns = page.captured_ns(frame.ms, now_ns)
        self._frames.offer(BrowserFrame(frame.jpeg, frame.index, frame.ms / 1e3, captured_ns, now_ns))

    def disconnect(self, page: PageClient) -> None:
        """Forget a page that has disconnected."""
        self._layouts.pop(page, None)
        if page is self._page:
            self._select(None)

    def _select(self, page: PageClient | None) -> None:
        self._page = page
        if page is None and self._frames is not None:
            self._frames.disconnect()
        if self._webcam is not None:
            self._webcam.set_layout(self._layouts.get(page) if page is not None else None)
