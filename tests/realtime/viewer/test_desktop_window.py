"""Tests the keys of the desktop window, without a display."""

import numpy as np
import pytest

from realtime.viewer import desktop_window
from realtime.viewer.desktop_window import DesktopWindow
from realtime.viewer.window_keys import WindowKeys


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

    def resizeWindow(self, title, width, height):
        pass

    def imshow(self, title, image):
        self.image = image


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
    window.keys.on_confirm = lambda: calls.append(1)
    assert window.poll() is stays_open
    assert len(calls) == confirms


def press(keys, text):
    return [keys.press(key if isinstance(key, int) else ord(key)) for key in text]


def test_a_word_is_typed_between_slash_and_enter():
    keys, words, steps = WindowKeys(), [], []
    keys.on_word, keys.on_step = words.append, steps.append
    assert all(press(keys, ["n", "p", "/"]))
    assert (steps, keys.text) == ([1, -1], "")
    assert all(press(keys, [*" \xe9q", -1, "x", 8, *"ny ", 0]))
    assert (keys.text, words) == (" \xe9qny ", [])
    assert all(press(keys, "\r"))
    assert (keys.text, words) == (None, ["\xe9qny"])
    assert all(press(keys, ["/", "a", 27])), "Escape drops the word, and closes nothing"
    assert (keys.text, words) == (None, ["\xe9qny"])
    press(keys, "/\r")
    assert words[-1] == "", "no word is the end of the last one"
    press(keys, ["/", *"a" * 200])
    assert len(keys.text) == 80
    assert steps == [1, -1]
    assert keys.press(27)
    assert not keys.press(27)


def test_the_word_that_is_typed_and_notes_are_shown_over_the_picture_alone(monkeypatch):
    display, picture = Display(), np.zeros((90, 160, 3), np.uint8)
    monkeypatch.setattr(desktop_window, "cv2", display)
    monkeypatch.setenv("DISPLAY", ":0")
    window = DesktopWindow("a test", None)
    window.show(picture)
    assert display.image is picture
    press(window.keys, "/")
    assert window.keys.text is None, "here a word is of no use"
    window.keys.on_word = lambda text: None
    window.show_note("searching for 'cup'")
    window.show(picture)
    note = display.image
    press(window.keys, "/c")
    window.show(picture)
    assert note[60:].any()
    assert not note[:60].any()
    assert not picture.any()
    assert not np.array_equal(note, display.image)
