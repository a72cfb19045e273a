"""Tests the keys of the desktop window, without a display."""

import pytest

from realtime.viewer import desktop_window
from realtime.viewer.desktop_window import DesktopWindow


class Display:
    """Stands in for OpenCV's windows; `key` is the one that is pressed."""

    WINDOW_NORMAL = WINDOW_KEEPRATIO = WINDOW_GUI_NORMAL = WND_PROP_VISIBLE = 0
    key = -1

    def namedWindow(self, title, flags):
        pass

    def waitKey(self, wait_ms):
        return self.key

    def getWindowProperty(self, title, name):
        return 1.0


@pytest.mark.parametrize(
    ("key", "stays_open", "confirms"),
    [
        (-1, True, 0),
        (ord("y"), True, 1),
        (ord("\r"), True, 1),
        (ord("x"), True, 0),
        (ord("q"), False, 0),
        (27, False, 0),
    ],
)
def test_keys_confirm_and_close(monkeypatch, key, stays_open, confirms):
    display, calls = Display(), []
    display.key = key
    monkeypatch.setattr(desktop_window, "cv2", display)
    monkeypatch.setenv("DISPLAY", ":0")
    window = DesktopWindow("a test", None)
    window.on_confirm = lambda: calls.append(1)
    assert window.poll() is stays_open
    assert len(calls) == confirms
