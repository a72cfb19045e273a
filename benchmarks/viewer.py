"""Measures age and accuracy of masks on the screen of a real browser, from its pixels. Prints a table, writes JSON.

    python -m benchmarks.viewer                             two viewers, the fake engine, a camera with a known scene
    python -m benchmarks.viewer --data CLIPS --clip dog     MobileSAM on a clip that the page plays

Age: from the capture of a frame (when the camera or clip delivered it, or when it was due by the clip's clock) until
it, or a newer frame, was drawn with its mask. IoU: between the drawn mask and the object in the picture that is on the
screen under it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.media.video_writer import OverlayWriter
from tests.browser import BrowserTab, ChromeBrowser
from tests.realtime.viewer.page_pixels import find_red, page_position, point_at_red, read_page, write_camera

FPS = 24.0
MODES = ("exact", "compensated", "delayed")


@contextmanager
def serve_run(*flags: str) -> Iterator[str]:
    """Run `gazecast run --view` in a separate process; yields the page's address."""
    command = [sys.executable, "-m", "realtime", "run", "--view", "--publish", "tcp://127.0.0.1:0",
               "--set", "view.port=0", *flags]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if line.startswith("open http"):
                    yield line.split()[1]
                    return
            raise SystemExit("gazecast did not start")
        finally:
            process.terminate()
            process.stderr.close()
            process.wait(10)


def compute_percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in (50, 95, 99)} | {"masks": len(values)}


def measure(tab: BrowserTab, others: list[BrowserTab], seconds: float, follow: Any, truth: Any) -> dict[str, Any]:
    """Measure ages while only the mouse moves, then overlaps while pixels are read back."""
    for each in (tab, *others):
        each.evaluate("gazecast.clearAges()")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        follow()
        tab.evaluate("new Promise((done) => setTimeout(done, 80))")
    ages = [
        compute_percentiles([age for age in each.evaluate("gazecast.ages()") if age is not None])
        for each in (tab, *others)
    ]
    overlaps = {name: [] for name in ("this", "other")[: 1 + bool(others)]}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        follow()
        for name, each in zip(overlaps, (tab, *others), strict=False):
            overlap = truth(each)
            if overlap is not None:
                overlaps[name].append(overlap)
    accuracy = {name: {"mean": round(float(np.mean(found)), 3), "p5": round(float(np.percentile(found, 5)), 3)}
            for name, found in overlaps.items() if found}  # fmt: skip
    return {"age_ms": ages, "iou": accuracy, "health": tab.evaluate("gazecast.state.health.latency_ms"),
            "rates": tab.evaluate("gazecast.state.health.rates")}  # fmt: skip


def compute_iou(a: Any, b: Any) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def measure_known_scene(
    seconds: float, folder: Path, size: tuple[int, int], windows: Sequence[tuple[int, int]]
) -> dict[str, Any]:  # fmt: skip
    """Measure two pages: one that is the source with its camera and mouse, one that only watches the run."""

    def truth(tab: BrowserTab) -> float | None:
        found = read_page(tab)
        return None if found is None or not found.state["masked"] else compute_iou(found.drawn, find_red(found.picture))

    out = {}
    with (
        serve_run("--engine", "fake") as address,
        ChromeBrowser(write_camera(folder / "camera.mjpeg", size=size)) as chrome,
    ):
        tab = chrome.open_tab(address, windows[0])
        tab.wait_for("window.gazecast?.state.hello")
        tab.click("#start-camera")
        tab.wait_for("gazecast.stage.view")
        other = chrome.open_tab(address, windows[1])
        until = time.monotonic() + 20
        while not (point_at_red(tab) and tab.evaluate("gazecast.state.latest?.contours.length")):
            assert time.monotonic() < until, tab.console_errors()
        other.wait_for("window.gazecast?.state.shown")
        for mode in MODES:
            tab.click(f"[data-mode={mode}]")
            out[mode] = measure(tab, [other], seconds, lambda: point_at_red(tab), truth)
    return out


def measure_clip(
    data: Path, name: str, seconds: float, folder: Path, engine: list[str], window: tuple[int, int]
) -> dict[str, Any]:  # fmt: skip
    """Measure a clip that the page plays, while the mouse follows the middle of the object in the newest frame."""
    frames = sorted((data / name / "frames").glob("*.jpg"))
    masks = [
        cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127 for path in sorted((data / name / "masks").glob("*.png"))
    ]
    size = masks[0].shape[1], masks[0].shape[0]
    with OverlayWriter(folder / name, size, FPS) as writer:
        for number, path in enumerate(frames):
            image = cv2.imread(str(path))
            assert image is not None
            writer.write(image, number / FPS)
    positions = []
    for mask in masks:
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        positions.append(((x + 0.5) / size[0], (y + 0.5) / size[1]))
    small = [cv2.resize(mask.astype(np.uint8), (427, 240), interpolation=cv2.INTER_AREA) > 0 for mask in masks]
    out = {}
    with serve_run(*engine) as address, ChromeBrowser() as chrome:
        tab = chrome.open_tab(address, window)
        tab.wait_for("window.gazecast?.state.hello")
        tab.choose_file("#file", writer.path)
        tab.wait_for("gazecast.stage.view")

        def number(media_s: float) -> int:
            return min(len(masks) - 1, max(0, round(media_s * FPS)))

        def follow() -> None:
            tab.send_mouse(
                "mouseMoved",
                *page_position(tab, *positions[number(tab.evaluate("gazecast.localVideo.newest?.mediaS ?? 0"))]),
            )

        def truth(each: BrowserTab) -> float | None:
            found = read_page(each, (427, 240))
            if found is None or not found.state["masked"]:
                return None
            own = each.evaluate("gazecast.state.mode") == "exact"
            return compute_iou(found.drawn, small[number(found.state["own" if own else "media"] or 0)])

        until = time.monotonic() + 120
        while not tab.evaluate("gazecast.state.latest?.contours.length && gazecast.state.health?.state === 'running'"):
            follow()
            assert time.monotonic() < until, tab.console_errors()
        for mode in MODES:
            tab.click(f"[data-mode={mode}]")
            out[mode] = measure(tab, [], seconds, follow, truth)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="clips: NAME/frames/*.jpg and NAME/masks/*.png")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), help="of the camera's scene, px")
    parser.add_argument("--windows", type=int, nargs=4, default=(1280, 800, 960, 640), help="of the two viewers, px")
    parser.add_argument("--clip", default="dog")
    parser.add_argument("--engine", nargs="*", default=[], help="flags for gazecast run, such as --engine=openvino")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = args.windows[:2], args.windows[2:]
        if args.data:
            found = measure_clip(args.data, args.clip, args.seconds, folder, args.engine, first)
        else:
            found = measure_known_scene(args.seconds, folder, tuple(args.size), (first, second))
    for mode, figures in found.items():
        print(f"{mode:8} iou {figures['iou']}  age {figures['age_ms']}  frames {figures['rates'].get('frames')}/s")
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
