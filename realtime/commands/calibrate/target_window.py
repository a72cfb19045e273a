"""Shows a gaze calibration in a window: the target screen, or the scene image."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np

from calibration.gaze.choreography import MOVING_MARKER, ChoreographyStep, Role, TargetAdvice
from calibration.gaze.markers import draw_marker
from engines import Image
from realtime.commands.calibrate.choreography_run import Key, OperatorAction
from realtime.media.overlay import measure_text, put_text
from realtime.types import Frame
from realtime.viewer.desktop_window import DesktopWindow

Method = Literal["screen", "head", "press"]
SCREEN = (1280, 720)
TITLE = "gazecast: calibrate gaze"
HELP = "r: repeat the last target   s: skip this one   q: leave"
PRESS_HELP = "fixate an object, press space, click it   c: validation points from now on   r: undo   q: done"
GROUND, DONE, INK, FAINT = (214, 214, 214), (142, 104, 0), (52, 44, 40), (110, 100, 92)
_MARKER = 0.17  # its share of the screen's height
_EDGE = 0.1
_RING_STEPS = 10


class TargetWindow:
    """A window that shows targets and returns key presses. Belongs to the main thread."""

    def __init__(self, method: Method, *, full: bool = True) -> None:
        """Open the window; raises `WindowError`."""
        self._method: Method = method
        self._window = DesktopWindow(TITLE, None)
        if full and method == "screen":
            cv2.setWindowProperty(TITLE, cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_FULLSCREEN)
        self._role: Role = "fit"
        self._frozen: Frame | None = None
        self._newest: Frame | None = None
        self._clicks: list[tuple[float, float]] = []
        cv2.setMouseCallback(TITLE, self._store_click)

    def _store_click(self, event: int, x: int, y: int, flags: int, data: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            self._clicks.append((float(x), float(y)))

    def show(self, advice: TargetAdvice, frame: Frame | None) -> list[Key | OperatorAction]:
        """Show the target or the scene; q, Escape and the window's close button leave."""
        self._newest = frame or self._newest
        if self._method == "screen":
            self._window.show(draw_screen(round_progress(advice)))
        elif (current := self._frozen or self._newest) is not None:
            self._window.show(draw_scene(current.image, advice, self._method, frozen=self._frozen is not None))
        return self.handle_key(cv2.waitKey(5) & 0xFF)

    def handle_key(self, key: int) -> list[Key | OperatorAction]:
        """Translate a key and the clicks since the last call into commands."""
        clicks, self._clicks = self._clicks, []
        if key in (ord("q"), 27) or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return ["leave"]
        if key == ord("r"):
            return ["repeat"]
        if self._method != "press":
            return ["skip"] if key == ord("s") else []
        if key == ord("c"):
            self._role = "check"
        elif key == ord(" "):
            self._frozen = self._newest
        elif clicks and self._frozen is not None:
            frame, self._frozen = self._frozen, None
            return [OperatorAction(frame.timestamp, *clicks[-1], self._role)]
        return []

    def close(self) -> None:
        """Close the window."""
        self._window.close()


def round_progress(advice: TargetAdvice) -> TargetAdvice:
    """Round the progress, so that the screen is not redrawn for every sample."""
    return replace(advice, progress=round(advice.progress * _RING_STEPS) / _RING_STEPS)


@functools.lru_cache(maxsize=4)
def draw_screen(advice: TargetAdvice, size: tuple[int, int] = SCREEN) -> Image:
    """Draw the marker with a progress ring around it, the hint, and the keys."""
    wide, high = size
    out = np.full((high, wide, 3), GROUND, np.uint8)
    if advice.step is not None:
        x, y = (round(value) for value in compute_position_px(advice.step, size))
        side = round(_MARKER * high)
        marker = draw_marker(advice.step.marker, side)
        left, top, radius = x - side // 2, y - side // 2, round(side * 0.76)
        out[top : top + side, left : left + side] = marker
        cv2.circle(out, (x, y), radius, (190, 190, 190), 4, cv2.LINE_AA)
        cv2.ellipse(out, (x, y), (radius, radius), -90, 0, 360 * advice.progress, DONE, 4, cv2.LINE_AA)
    low = advice.step is not None and advice.step.place[1] > 0.6
    foot = round(0.45 * high if low else high - 58.0)
    lines = ((advice.hint, 0.6, INK), (f"{advice.done} of {advice.total} done", 0.5, INK), (HELP, 0.45, FAINT))
    for row, (text, scale, ink) in enumerate(lines):
        at = (wide - measure_text(text, scale=scale)) // 2, foot + 23 * row
        put_text(out, text, at, ink, scale=scale, rim=False)
    return out


def compute_position_px(step: ChoreographyStep, size: tuple[int, int]) -> tuple[float, float]:
    """Compute a target's centre, px, on a (width, height) screen, with room for its marker."""
    edge = _EDGE * size[1]
    return edge + step.place[0] * (size[0] - 2 * edge), edge + step.place[1] * (size[1] - 2 * edge)


def draw_scene(image: Image, advice: TargetAdvice, method: Method, *, frozen: bool = False) -> Image:
    """Draw the instructions into a copy of the scene image."""
    out = image.copy()
    wide, high = out.shape[1], out.shape[0]
    step = advice.step
    if method == "head" and step is not None and step.marker == MOVING_MARKER:
        at = round(step.place[0] * wide), round(step.place[1] * high)
        cv2.circle(out, at, round(0.09 * wide), (255, 255, 255), 3, cv2.LINE_AA)
        cv2.ellipse(out, at, (round(0.09 * wide),) * 2, -90, 0, 360 * advice.progress, DONE, 6, cv2.LINE_AA)
    hint = "click the fixated object" if frozen else advice.hint if method == "head" else "fixate an object"
    for row, text in enumerate((f"{advice.done} done: {hint}", PRESS_HELP if method == "press" else HELP)):
        put_text(out, text, (12, high - 40 + 26 * row), (255, 255, 255), scale=0.6)
    return out
