"""Runs `gazecast` with a camera whose driver is ours, which is unplugged while a file says so, and the fake engine.

No machine can unplug its own camera: OpenCV's `VideoCapture` is replaced by one that behaves as V4L2's does then.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import cv2
import numpy as np

from tests.faults.engine_faults import read_fault
from tests.realtime import scene

FPS = 30


class PluggedCamera:
    """Plays the test's scene; cannot be opened, and reads nothing, while it is unplugged."""

    def __init__(self, *_: object) -> None:
        self._is_open, self._count, self._due_s = read_fault() != "camera-unplugged", 0, time.monotonic()

    def isOpened(self) -> bool:
        return self._is_open

    def read(self) -> tuple[bool, Any]:
        self._due_s = max(self._due_s + 1 / FPS, time.monotonic() - 1 / FPS)
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._is_open &= read_fault() != "camera-unplugged"
        self._count += 1
        return (True, np.array(scene.picture(self._count % 200))) if self._is_open else (False, None)

    def get(self, option: int) -> float:
        return 0.0

    def set(self, option: int, value: float) -> bool:
        return True

    def release(self) -> None:
        self._is_open = False


if __name__ == "__main__":
    cv2.VideoCapture = PluggedCamera
    from realtime.__main__ import main

    sys.exit(main())
