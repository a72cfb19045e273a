"""Reads a live page's pixels back from its canvases, and moves the mouse after an object in them."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import Image, Mask
from tests.browser import BrowserTab

MIN_MASK_ALPHA = 56
"""Alpha of the overlay from which on a pixel belongs to the mask: its tint is 66, its glow fades from 125 to 0."""
RADIUS = 70
SCENE = (640, 480)
_READ = """(() => {
  const { stage: { view }, state: { latest, shown }, localVideo } = window.gazecast;
  if (!view || !shown) return null;
  const out = [];
  for (const id of ["picture", "overlay"]) {
    const to = new OffscreenCanvas(%d, %d).getContext("2d", { willReadFrequently: true });
    to.drawImage(document.getElementById(id), view.x, view.y, view.width * view.scale, view.height * view.scale,
                 0, 0, to.canvas.width, to.canvas.height);
    const data = to.getImageData(0, 0, to.canvas.width, to.canvas.height).data;
    let text = "";
    for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
    out.push(btoa(text));
  }
  return { picture: out[0], overlay: out[1], shown, media: localVideo.newest?.mediaS ?? null,
           own: latest?.frame?.mediaS ?? null, masked: latest?.contours.length > 0 };
})()"""
_FIND = """(() => {
  const { view } = window.gazecast.stage, width = 80, height = 60;
  if (!view) return null;
  const small = window.small ??= new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  const stage = document.getElementById("stage").getBoundingClientRect(), picture = document.getElementById("picture");
  const [wide, high] = [view.width * view.scale, view.height * view.scale];
  small.drawImage(picture, view.x, view.y, wide, high, 0, 0, width, height);
  const data = small.getImageData(0, 0, width, height).data;
  let count = 0, x = 0, y = 0;
  for (let i = 0; i < width * height; i++) {
    if (!(data[4 * i] > 125 && data[4 * i + 1] < 90 && data[4 * i + 2] < 90)) continue;
    [count, x, y] = [count + 1, x + (i % width) + 0.5, y + ((i / width) | 0) + 0.5];
  }
  if (count < 1e-3 * width * height) return null;
  const ratio = picture.width / stage.width;
  x = view.x + (x / count / width) * wide;
  y = view.y + (y / count / height) * high;
  return [stage.x + x / ratio, stage.y + y / ratio];
})()"""


@dataclass(frozen=True, slots=True, eq=False)
class PagePixels:
    """Holds a page's pixels: picture (h, w, 3) BGR, drawn (h, w) bool where the mask is, and the page's state.

    `state["masked"]`: whether there is a mask to draw; otherwise the gaze alone is drawn.
    """

    picture: Image
    drawn: Mask
    state: dict[str, Any]


def read_page(tab: BrowserTab, size: tuple[int, int] = (320, 240)) -> PagePixels | None:
    """Read both canvases at one instant, cut to the frame and scaled to (width, height); None before the first mask."""
    state = tab.evaluate(_READ % size)
    if state is None:
        return None
    picture, overlay = (
        np.frombuffer(base64.b64decode(state.pop(name)), np.uint8).reshape(size[1], size[0], 4)
        for name in ("picture", "overlay")
    )
    return PagePixels(np.ascontiguousarray(picture[:, :, 2::-1]), overlay[:, :, 3] >= MIN_MASK_ALPHA, state)


def find_red(picture: Image) -> Mask:
    """Find the object in a picture: nothing else in the scene is red."""
    blue, green, red = (picture[:, :, channel].astype(int) for channel in range(3))
    return np.asarray((red > 125) & (green < 90) & (blue < 90))


def page_position(tab: BrowserTab, x: float, y: float) -> tuple[float, float]:
    """Map (x, y) in 0..1 of the frame to a position on the page."""
    left, top, ratio, view = tab.evaluate(
        "(() => { const box = document.getElementById('stage').getBoundingClientRect(), view = gazecast.stage.view;"
        " return [box.x, box.y, document.getElementById('picture').width / box.width, view]; })()"
    )
    return (
        left + (view["x"] + x * view["width"] * view["scale"]) / ratio,
        top + (view["y"] + y * view["height"] * view["scale"]) / ratio,
    )


def point_at_red(tab: BrowserTab) -> bool:
    """Move the mouse onto the red object, which the page itself finds cheaply; False while there is none."""
    position = tab.evaluate(_FIND)
    if position is None:
        return False
    tab.send_mouse("mouseMoved", *position)
    return True


def point_at_red_in(tab: BrowserTab, picture: Image) -> bool:
    """Move the mouse to the position of the red object in a picture; False if there is none."""
    rows, columns = np.nonzero(find_red(picture))
    high, wide = picture.shape[:2]
    if len(rows) < 1e-3 * high * wide:
        return False
    tab.send_mouse("mouseMoved", *page_position(tab, (columns.mean() + 0.5) / wide, (rows.mean() + 0.5) / high))
    return True


def draw_scene(index: int, count: int, size: tuple[int, int] = SCENE) -> Image:
    """Draw (height, width, 3) BGR: a still grey-green texture, and a textured red disc that moves on an ellipse."""
    unit = size[1] / SCENE[1]
    rng = np.random.default_rng(7)
    ground = cv2.GaussianBlur(rng.integers(60, 120, size[::-1], np.uint8), (0, 0), 3 * unit)
    image = np.ascontiguousarray(np.dstack([ground, ground + 20, ground]), np.uint8)
    turn = 2 * math.pi * index / count
    x, y = size[0] / 2 + 150 * unit * math.sin(turn), size[1] / 2 + 60 * unit * math.cos(turn)
    _disc(image, x, y, RADIUS * unit, (30, 30, 200))
    for angle in range(0, 360, 40):
        dx, dy = 42 * unit * math.cos(math.radians(angle)), 42 * unit * math.sin(math.radians(angle))
        _disc(image, x + dx, y + dy, 7 * unit, (30, 30, 165))
    return image


def _disc(image: Image, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    cv2.circle(image, (round(x * 16), round(y * 16)), round(radius * 16), colour, -1, cv2.LINE_AA, 4)


def write_camera(path: Path, frames: int = 240, size: tuple[int, int] = SCENE) -> Path:
    """Write the scene as concatenated JPEGs, which Chromium's camera plays in a loop at 30 Hz."""
    with path.open("wb") as file:
        for index in range(frames):
            jpeg = cv2.imencode(".jpg", draw_scene(index, frames, size), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
            file.write(jpeg.tobytes())
    return path
