"""`gazecast run --view` with the fake engine on a thread, and pages of it in a browser."""

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
from realtime.infra.progress import QuietProgress
from realtime.session.run import run
from tests.browser import Chrome, Tab
from tests.realtime import scene
from tests.realtime.viewer.showing import look_at_red, point_at_red, red, seen
from tests.realtime.waiting import eventually

CAMERA = (320, 240)
LONG_S = 30


class View:
    """Notes the address."""

    def __init__(self) -> None:
        self.progress, self.address = QuietProgress(), ""

    def on_page(self, address: str) -> None:
        self.address = address

    def on_ready(self, source: str, endpoint: str) -> None:
        pass

    def on_health(self, health: object) -> None:
        pass


@contextlib.contextmanager
def serving(source: str, folder: Path | None = None, **view: object) -> Iterator[str]:
    """Run it; gives the page's address. folder: where it records when asked to."""
    config = load_config(None, {
        "source": source, "gaze": "", "publish": {"endpoint": "tcp://127.0.0.1:0"},
        "engine": {"backend": "fake"}, "view": {"enabled": True, "port": 0, **view},
        "record": {} if folder is None else {"folder": str(folder)},
    })  # fmt: skip
    told, stop = View(), threading.Event()
    thread = threading.Thread(target=run, args=(config, told), kwargs={"stop": stop})
    thread.start()
    try:
        eventually(lambda: bool(told.address), "an address", LONG_S)
        yield told.address
    finally:
        stop.set()
        thread.join(20)


def started(browser: Chrome, address: str, size: tuple[int, int] = (1280, 800), *, phone: bool = False) -> Tab:
    """A page whose camera runs."""
    tab = browser.open(address, size, phone=phone)
    tab.until("window.gazecast?.state.hello")
    tab.click("#start-camera")
    tab.until("gazecast.state.view")
    return tab


def until_masked(tab: Tab) -> None:
    """Look at the red thing until its mask is there."""
    eventually(lambda: look_at_red(tab) and tab.do("gazecast.state.latest?.outlines.length > 0"), "a mask", LONG_S)


def overlaps(tab: Tab, hand: Tab, count: int = 6) -> NDArray[np.float64]:
    """IoU of what a page draws with the red thing in the picture that it is drawn on; the mouse of `hand` follows it.

    A mask that is not nearly of the thing's size is of something else: on a busy machine the hand comes too late, and
    the page shows, rightly, what lies under it then.
    """
    found: list[float] = []
    until = time.monotonic() + 4 * LONG_S
    while len(found) < count and time.monotonic() < until:
        shown = seen(tab)
        if shown is None:
            continue
        point_at_red(hand, shown.picture)
        thing = red(shown.picture)
        if shown.said["masked"] and 0.7 < shown.drawn.sum() / max(1, thing.sum()) < 1.4:
            found.append(scene.iou(shown.drawn, thing))
    assert len(found) == count, f"{len(found)} masks in {4 * LONG_S} s; {tab.complaints()}"
    return np.array(found)


@contextlib.contextmanager
def held_back(tab: Tab, ms: int) -> Iterator[None]:
    """What the server sends reaches the page `ms` late; `window.heldFrom` is the first picture that does."""
    hold = """(() => {
      const { handlers } = gazecast.link, { picture } = handlers;
      Object.assign(window, { heldFrom: null, letGo: () => { handlers.picture = picture; } });
      handlers.picture = (head, ...rest) => {
        window.heldFrom ??= head.seq;
        setTimeout(() => picture(head, ...rest), LATE_MS);
      };
    })()"""
    tab.do(hold.replace("LATE_MS", str(ms)))
    try:
        yield
    finally:
        tab.do("letGo()")


def ages(tab: Tab, count: int, since: str = "0") -> list[Any]:
    """What the page measures of the next masks from picture `since` on, ms: from capture until drawn."""
    found: dict[int, Any] = {}

    def more() -> bool:
        shown = tab.do(f"gazecast.state.shown?.seq >= {since} ? gazecast.state.shown : null")
        if shown:
            found[shown["seq"]] = shown["age"]
        return len(found) >= count

    eventually(more, f"{count} masks", LONG_S)
    return list(found.values())
