"""Measures the time from an opened live page to its first mask, with a cache that holds only the weights.

    python -m benchmarks.first_mask [WIDTHxHEIGHT ...] [--open-after S] [-- FLAGS OF gazecast run]

A page's own camera of each size shows a known scene; the mouse is on its object from the first frame on. Prints a
Markdown table: seconds from the start of the command until the page can be opened, and from there until its camera's
first frame is shown, until the engine is ready, and until the first mask: the model-free preview, and the model's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from benchmarks.viewer import serve_run
from engines import weights
from tests.browser import ChromeBrowser
from tests.realtime.viewer.page_pixels import point_at_red, write_camera

SIZES = ("640x480", "848x480", "1280x720", "1080x1920")
STEPS = {
    "camera": "gazecast.stage.view",
    "engine": "gazecast.state.health?.engine?.backend",
    "preview": "gazecast.state.latest?.contours.length > 0",
    "mask": "gazecast.state.latest?.contours.length > 0 && gazecast.state.latest.header.target?.method === 'model'",
}
MAX_S, POLL_S = 60, 0.1


def measure_first_mask(size: tuple[int, int], open_after_s: float, flags: list[str]) -> dict[str, float]:
    """Measure the steps of a first run for one camera."""
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, GAZECAST_CACHE=name):
        folder = Path(name)
        (folder / "models").symlink_to(MODELS)
        with ChromeBrowser(write_camera(folder / "scene.mjpeg", 60, size)) as browser:
            begun = time.perf_counter()
            with serve_run("--source", "browser:", *flags) as address:
                found = {"page": time.perf_counter() - begun}
                time.sleep(open_after_s)
                opened = time.perf_counter()
                tab = browser.open_tab(address, (1280, 800))
                tab.wait_for("window.gazecast?.state.hello")
                tab.click("#start-camera")
                while missing := [step for step in STEPS if step not in found]:
                    point_at_red(tab)
                    time.sleep(POLL_S)  # reading pixels keeps the browser busy
                    for step in missing:
                        if tab.evaluate(STEPS[step]):
                            found[step] = time.perf_counter() - opened
                    if time.perf_counter() - opened > MAX_S:
                        raise SystemExit(f"no {missing} within {MAX_S} s: {tab.console_errors()}")
                view = tab.evaluate("[gazecast.stage.view.width, gazecast.stage.view.height]")
                assert view[0] * size[1] == view[1] * size[0], view
                return found


MODELS = weights.model_folder("mobile_sam").parent


def main() -> None:
    """Measure each size and print the table."""
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", default=SIZES)
    parser.add_argument("--open-after", type=float, default=0.0, metavar="S", help="of the page, once it can be opened")
    args = parser.parse_args(arguments[:cut])
    print(f"| camera | page | {' | '.join(STEPS)} |\n|---|---|{'---|' * len(STEPS)}")
    for text in args.sizes:
        width, _, height = text.partition("x")
        found = measure_first_mask((int(width), int(height)), args.open_after, arguments[cut + 1 :])
        print(f"| {text} | {' | '.join(f'{found[name]:.1f} s' for name in ('page', *STEPS))} |", flush=True)


if __name__ == "__main__":
    main()
