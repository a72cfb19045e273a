"""Runs `gazecast run --view` with the fake engine on a thread, and opens its pages in a browser."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.config.schema import load_config
from realtime.session.run import run
from tests.browser import BrowserTab, ChromeBrowser
from tests.realtime import scene
from tests.realtime.kept_view import KeptView
from tests.realtime.viewer.page_pixels import find_red, point_at_red, point_at_red_in, read_page
from tests.realtime.waiting import eventually

CAMERA = (320, 240)
SAMPLING_S = 180


@contextlib.contextmanager
def serve_run(
    source: str,
    folder: Path | None = None,
    *,
    gaze: str = "",
    webcam: dict[str, object] | None = None,
    engine: dict[str, object] | None = None,
    **view: object,
) -> Iterator[str]:
    """Run it and give the page's address. folder: of recordings. webcam, engine, view: their settings."""
    config = load_config(None, {
        "source": source, "gaze": gaze, "webcam": webcam or {}, "publish": {"endpoint": "tcp://127.0.0.1:0"},
        "engine": {"backend": "fake", **(engine or {})}, "view": {"enabled": True, "port": 0, **view},
        "record": {} if folder is None else {"folder": str(folder)},
    })  # fmt: skip
    run_view, stop = KeptView(), threading.Event()
    thread = threading.Thread(target=run, args=(config, run_view), kwargs={"stop": stop})
    thread.start()
    try:
        eventually(lambda: bool(run_view.address), "an address")
        yield run_view.address
    finally:
        stop.set()
        thread.join(60)


def open_with_camera(
    browser: ChromeBrowser, address: str, size: tuple[int, int] = (1280, 800), *, phone: bool = False
) -> BrowserTab:  # fmt: skip
    """Open a page and start its camera."""
    tab = browser.open_tab(address, size, phone=phone)
    tab.wait_for("window.gazecast?.state.hello")
    tab.click("#start-camera")
    tab.wait_for("gazecast.stage.view")
    return tab


def wait_for_mask(tab: BrowserTab) -> None:
    """Point at the red object until its mask arrives."""
    has_mask = "gazecast.state.latest?.contours.length > 0"
    eventually(lambda: point_at_red(tab) and tab.evaluate(has_mask), "a mask")


def measure_overlaps(tab: BrowserTab, pointing: BrowserTab, count: int = 6) -> NDArray[np.float64]:
    """Measure the IoU of the drawn mask with the red object in the picture under it, while a mouse follows the object.

    pointing: the page of the mouse. A mask whose size differs much from the object's is of another object: on a busy
    machine the mouse arrives too late, and the page then shows, correctly, the object under it.
    """
    found: list[float] = []
    until = time.monotonic() + SAMPLING_S
    while len(found) < count and time.monotonic() < until:
        shown = read_page(tab)
        if shown is None:
            continue
        point_at_red_in(pointing, shown.picture)
        truth = find_red(shown.picture)
        if shown.state["masked"] and 0.7 < shown.drawn.sum() / max(1, truth.sum()) < 1.4:
            found.append(scene.iou(shown.drawn, truth))
    assert len(found) == count, f"{len(found)} masks in {SAMPLING_S} s; {tab.console_errors()}"
    return np.array(found)


@contextlib.contextmanager
def delay_frames(tab: BrowserTab, ms: int) -> Iterator[None]:
    """Delay the server's frames by `ms`; `window.firstDelayed` is the number of the first one."""
    delay = """(() => {
      const { handlers } = gazecast.connection, { onFrame } = handlers;
      Object.assign(window, { firstDelayed: null, endDelay: () => { handlers.onFrame = onFrame; } });
      handlers.onFrame = (header, ...rest) => {
        window.firstDelayed ??= header.seq;
        setTimeout(() => onFrame(header, ...rest), DELAY_MS);
      };
    })()"""
    tab.evaluate(delay.replace("DELAY_MS", str(ms)))
    try:
        yield
    finally:
        tab.evaluate("endDelay()")


def read_ages(tab: BrowserTab, count: int, since: str = "0") -> list[Any]:
    """Read the ages of the next masks from frame `since` on, ms from capture until drawn, as the page measures them."""
    found: dict[int, Any] = {}

    def has_enough() -> bool:
        shown = tab.evaluate(f"gazecast.state.shown?.seq >= {since} ? gazecast.state.shown : null")
        if shown:
            found[shown["seq"]] = shown["age"]
        return len(found) >= count

    eventually(has_enough, f"{count} masks")
    return list(found.values())
