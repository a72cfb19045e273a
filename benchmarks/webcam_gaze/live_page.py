"""Measures gaze by webcam in a real browser, whose camera shows the rendered face."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.webcam_gaze.rendered_face import SCREEN_PX, HeadMotion, RenderedFace
from calibration.gaze.choreography import build_screen_steps
from engines.base import Image
from realtime.recording.reader import RecordingReader
from tests.browser import BrowserTab, ChromeBrowser

FPS = 30
DWELL_S = 2.0
"""Time for which the face in the camera's clip looks at each place."""
SETTLED_S = 0.7
"""Gaze from this long after a change of place counts."""
VARIANTS = 8
"""Pictures of each place, with the head at different places."""
BITS, BIT_PX = 6, 24
"""The number of the place, in squares at the upper edge of the picture."""
FAKE_CAMERA = """(() => {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  Object.assign(canvas, { width: 1280, height: 720 });
  const faces = %s.map((urls) => urls.map((src) => Object.assign(new Image(), { src })));
  const places = %s;
  let place = 0, due = 0, count = 0;
  setInterval(() => {
    const dot = document.getElementById("calibration-target"), now = performance.now();
    const at = places.findIndex(([x, y]) => dot.style.left === `${100 * x}%%` && dot.style.top === `${100 * y}%%`);
    if (at < 0 || at === place) due = now + 250; // the eyes follow a quarter of a second later
    else if (now > due) place = at;
    context.drawImage(faces[place][count++ %% faces[place].length], 0, 0);
  }, 33);
  navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(30);
})()"""
"""A camera whose face looks at the page's target."""
READ_PLACES = """(() => {
  const { video } = gazecast.eyes.camera;
  const context = new OffscreenCanvas(%d, 1).getContext("2d", { willReadFrequently: true });
  window.places = [];
  const note = (now, meta) => {
    context.drawImage(video, 0, 0, %d, %d, 0, 0, %d, 1);
    const { data } = context.getImageData(0, 0, %d, 1);
    let place = 0;
    for (let bit = 0; bit < %d; bit++) place += (data[4 * bit] > 127) << bit;
    window.places.push([(meta.captureTime ?? now) + gazecast.connection.hostMs, place]);
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
})()"""
"""Notes the host's time, ms, and the place that the face looks at, of every picture of the camera."""


@dataclass(frozen=True)
class LiveResult:
    """Holds what a page's calibration reported, and the error of the live gaze at other places, px of the screen.

    scale_px: px of the screen per degree.
    """

    calibration: dict[str, Any]
    errors_px: np.ndarray[Any, np.dtype[np.float64]]
    rate_hz: float
    scale_px: float


def measure_page(face: RenderedFace, models: Path | None, folder: Path, seed: int, shots: Path | None) -> LiveResult:
    """Calibrate on the page, open it anew with the camera's clip, and compare the gaze with the clip's places."""
    rng = np.random.default_rng(seed)
    scene, record = write_scene(folder / "scene.mp4"), folder / "recorded.mcap"
    places = [step.place for step in build_screen_steps(9)]
    motion = HeadMotion(rng)
    faces = [[face.render(to_px(place), motion.step(), rng) for _ in range(VARIANTS)] for place in places]
    others = rng.uniform((0.08, 0.1), (0.92, 0.9), (12, 2)).tolist()
    camera = write_camera(folder / "eyes.mjpeg", face, others, motion, rng)
    flags = ["--source", f"file:{scene}?loop=1", "--gaze", "webcam", "--engine", "fake",
             "--set", f"webcam.folder={folder}", "--record", str(record)]  # fmt: skip
    flags += ["--models", str(models)] if models else []
    with serve_run(flags) as address, ChromeBrowser(camera, SCREEN_PX) as chrome:
        calibration = _calibrate(_open_page(chrome, address), faces, places, shots)
        tab = _open_page(chrome, address)
        tab.click("#eyes-camera")
        tab.wait_for("gazecast.eyes.eyes?.face && gazecast.connection.hostMs !== null")
        sizes = (BITS, BITS * BIT_PX, BIT_PX, BITS, BITS, BITS)
        tab.evaluate(READ_PLACES % sizes)
        begun = time.monotonic()
        while time.monotonic() - begun < len(others) * DWELL_S + 2:
            tab.evaluate("new Promise((done) => setTimeout(done, 500))")
        if shots is not None:
            tab.save_screenshot(shots / "live.png")
        noted = tab.evaluate("window.places")
        picture = json.loads(tab.evaluate("gazecast.eyes.sentScreen"))
    return _compare(record, noted, others, picture, calibration)


def _open_page(chrome: ChromeBrowser, address: str) -> BrowserTab:
    tab = chrome.open_tab(address, SCREEN_PX)
    tab.wait_for("window.gazecast?.state.hello && gazecast.stage.view")
    return tab


def _calibrate(
    tab: BrowserTab, faces: list[list[Image]], places: Sequence[tuple[float, float]], shots: Path | None
) -> dict[str, Any]:
    urls = [[f"data:image/jpeg;base64,{base64.b64encode(to_jpeg(one)).decode()}" for one in each] for each in faces]
    tab.evaluate(FAKE_CAMERA % (json.dumps(urls), json.dumps([list(place) for place in places])))
    tab.click("#eyes-camera")
    tab.wait_for("gazecast.eyes.eyes?.face")
    if shots is not None:
        tab.save_screenshot(shots / "uncalibrated.png")
    tab.click("#eyes-calibrate")
    tab.wait_for("gazecast.eyes.eyes?.target?.done >= 3", 120)
    if shots is not None:
        tab.save_screenshot(shots / "target.png")
    until = time.monotonic() + 240
    while tab.evaluate("document.getElementById('calibration-result').hidden"):
        state = tab.evaluate("[gazecast.eyes.eyes, gazecast.state.health?.reason, gazecast.state.isOpen]")
        assert time.monotonic() < until, f"{state}; {tab.console_errors()}"
        tab.evaluate("new Promise((done) => setTimeout(done, 300))")
    if shots is not None:
        tab.save_screenshot(shots / "result.png")
    result = tab.evaluate("gazecast.eyes.eyes.result")
    assert result, tab.evaluate("gazecast.eyes.eyes.note")
    tab.click("#calibration-close")
    tab.close()
    return dict(result)


def _compare(
    record: Path, noted: list[tuple[float, int]], others: list[list[float]], picture: dict[str, Any],
    calibration: dict[str, Any],
) -> LiveResult:  # fmt: skip
    """Compare recorded gaze with the place that the camera's clip looked at when it was captured."""
    times_ms, shown = np.array([ms for ms, _ in noted]), np.array([place for _, place in noted])
    changed_ms = times_ms[np.flatnonzero(np.diff(shown, prepend=-1))]
    samples = [each for each in RecordingReader(record).read_samples() if each.captured_ns / 1e6 > times_ms[0]]
    left, top, width, height = picture["picture"]
    errors, scale = [], 1.0
    for sample in samples:
        at_ms = sample.captured_ns / 1e6
        index = int(np.searchsorted(times_ms, at_ms, "right")) - 1
        since_ms = at_ms - changed_ms[np.searchsorted(changed_ms, at_ms, "right") - 1]
        if sample.confidence < 0.5 or index >= len(times_ms) - 1 or since_ms < SETTLED_S * 1e3:
            continue
        x, y = to_px(others[shown[index]])
        errors.append(np.hypot(left + sample.x * width - x, top + sample.y * height - y))
        scale = (sample.px_per_degree or 1.0) * width / picture["frame_width"]
    span_s = (samples[-1].captured_ns - samples[0].captured_ns) / 1e9
    return LiveResult(calibration, np.array(errors), (len(samples) - 1) / span_s, scale)


def write_camera(
    path: Path, face: RenderedFace, places: list[list[float]], motion: HeadMotion, rng: np.random.Generator
) -> Path:
    """Write the face looking at one place after the other, as JPEGs that Chromium's camera plays in a loop."""
    with path.open("wb") as file:
        for number, place in enumerate(places):
            images = [face.render(to_px(place), motion.step(), rng) for _ in range(VARIANTS)]
            for image in images:
                for bit in range(BITS):
                    image[: BIT_PX * 2, bit * BIT_PX : (bit + 1) * BIT_PX] = 255 * (number >> bit & 1)
            shots = [to_jpeg(image) for image in images]
            for index in range(round(DWELL_S * FPS)):
                file.write(shots[index % VARIANTS])
    return path


def write_scene(path: Path) -> Path:
    """Write a short clip of moving discs."""
    from realtime.media.video_writer import OverlayWriter

    with OverlayWriter(path.with_suffix(""), (640, 360), 24) as writer:
        for index in range(48):
            image = np.full((360, 640, 3), (70, 80, 90), np.uint8)
            for number, colour in enumerate(((40, 40, 220), (60, 200, 60), (220, 120, 40))):
                cv2.circle(image, (120 + 200 * number, 180 + round(60 * np.sin(index / 7.6 + number))), 45, colour, -1)
            writer.write(image, index / 24)
    return writer.path


def to_jpeg(image: Image) -> bytes:
    """Encode a picture as a webcam does."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def to_px(place: Sequence[float]) -> tuple[float, float]:
    """Convert shares of the screen to px."""
    return place[0] * SCREEN_PX[0], place[1] * SCREEN_PX[1]


@contextmanager
def serve_run(flags: list[str]) -> Iterator[str]:
    """Run `gazecast run --view` in a process of its own; yields the page's address."""
    command = [sys.executable, "-m", "realtime", "run", "--view", "--publish", "tcp://127.0.0.1:0",
               "--set", "view.port=0", *flags]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line.startswith("open http"):
                    threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would block it
                    yield line.split()[1]
                    return
            raise SystemExit("gazecast did not start")
        finally:
            process.terminate()
            process.wait(20)
