"""The page in a real browser: its pixels are read back and compared with what is known to be there."""

import json
import os
import threading
import time

import numpy as np
import pytest

from realtime.config import load_config
from realtime.progress import Quiet
from realtime.run import run
from tests import chrome
from tests.realtime import scene
from tests.realtime.patience import eventually
from tests.realtime.viewer.showing import look_at_red, place_of, red, seen, write_camera

pytestmark = [
    pytest.mark.skipif(
        chrome.installed() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
    ),
    pytest.mark.timeout(180),
]
CAMERA = (320, 240)
AGE_MS, IOU = 60, 0.8


class View:
    def __init__(self):
        self.progress, self.address, self.healths = Quiet(), "", []

    def page(self, address):
        self.address = address

    def ready(self, source, endpoint):
        pass

    def health(self, health):
        self.healths.append(health)


class Run:
    """`gazecast run --view` on a thread, with the fake engine."""

    def __init__(self, source, gaze="", **view):
        config = load_config(None, {
            "source": source, "gaze": gaze, "publish": {"endpoint": "tcp://127.0.0.1:0"},
            "engine": {"backend": "fake"}, "view": {"enabled": True, "port": 0, **view},
        })  # fmt: skip
        self.view, self._stop = View(), threading.Event()
        self._thread = threading.Thread(target=run, args=(config, self.view), kwargs={"stop": self._stop})

    def __enter__(self):
        self._thread.start()
        eventually(lambda: self.view.address, "an address")
        return self.view.address

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join(10)


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    return write_camera(tmp_path_factory.mktemp("camera") / "scene.mjpeg", size=CAMERA)


@pytest.fixture(scope="module")
def browser(camera):
    with chrome.Chrome(camera) as one:
        yield one


def started(browser, address, size=(1280, 800), **options):
    """A page whose camera runs and whose mouse is on the red thing, and that shows its mask."""
    tab = browser.open(address, size, **options)
    tab.until("window.gazecast?.state.hello")
    tab.click("#start-camera")
    tab.until("gazecast.state.view")
    eventually(lambda: look_at_red(tab) and tab.do("gazecast.state.latest?.outlines.length > 0"), "a mask", 30)
    return tab


def overlaps(tab, count, follow):
    """IoU of what is drawn with the red thing in the picture that it is drawn on."""
    found = []
    until = time.monotonic() + 30
    while len(found) < count and time.monotonic() < until:
        follow()
        shown = seen(tab)
        if shown is not None and shown.said["masked"]:
            found.append(scene.iou(shown.drawn, red(shown.picture)))
    assert len(found) == count, f"{len(found)} masks in 30 s; {tab.complaints()}"
    return np.array(found)


def close(tab):
    tab.call("Page.close")


def test_camera_and_mouse_two_viewers(browser):
    """The mask that is drawn is the thing under it, for the page whose camera it is and for one that watches."""
    with Run("browser:") as address:
        tab = started(browser, address)
        other = browser.open(address, (900, 600))
        other.until("window.gazecast?.state.shown")
        for mode in ("matched", "carried"):
            tab.click(f"[data-mode={mode}]")
            mine = overlaps(tab, 12, lambda: look_at_red(tab))
            assert np.median(mine) >= IOU, (mode, mine)
        theirs = overlaps(other, 12, lambda: look_at_red(tab))
        assert np.median(theirs) >= IOU, theirs
        assert tab.complaints() == other.complaints() == []
        close(tab)
        close(other)


def test_masks_are_young_with_two_viewers(browser):
    """Overlay age p95 within 60 ms, for both, in some two seconds out of thirty: what else runs here is not ours."""
    with Run("browser:") as address:
        tab = started(browser, address, (800, 600))
        other = browser.open(address, (800, 600))
        other.until("window.gazecast?.state.shown")
        best = [float("inf")] * 2
        until = time.monotonic() + 30
        while max(best) > AGE_MS and time.monotonic() < until:
            for each in (tab, other):
                each.do("gazecast.forget()")
            for _ in range(20):
                look_at_red(tab)
                tab.do("new Promise((done) => setTimeout(done, 100))")
            ages = [[age for age in each.do("gazecast.ages()") if age is not None] for each in (tab, other)]
            assert min(map(len, ages)) > 5
            p95 = [float(np.percentile(each, 95)) for each in ages]
            best = min(best, p95, key=max)
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if max(best) > AGE_MS and load > cores:
            pytest.skip(f"p95 {best[0]:.0f} and {best[1]:.0f} ms on a busy machine: load {load:.1f} on {cores} cores")
        assert max(best) <= AGE_MS
        close(tab)
        close(other)


def test_a_late_mask_is_carried_to_where_the_thing_is_now(browser):
    """The switch makes a difference: with masks held back for an eighth of a second, only the carried one fits."""
    with Run("browser:") as address:
        tab = started(browser, address)
        tab.do("""(() => {
          const { link } = gazecast, picture = link.handlers.picture;
          link.handlers.picture = (...all) => setTimeout(() => picture(...all), 125);
        })()""")
        middle = {}
        for mode in ("late", "carried"):
            tab.click(f"[data-mode={mode}]")
            overlaps(tab, 3, lambda: look_at_red(tab))
            middle[mode] = float(np.median(overlaps(tab, 12, lambda: look_at_red(tab))))
        assert middle["carried"] > middle["late"] + 0.05, middle
        assert middle["carried"] > 0.75, middle
        close(tab)


def test_a_clip_of_the_servers_with_the_pages_mouse(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 90)
    with Run(f"file:{clip}?loop=1") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.view")
        eventually(lambda: look_at_red(tab) and tab.do("gazecast.state.latest?.outlines.length > 0"), "a mask", 30)
        assert np.median(overlaps(tab, 12, lambda: look_at_red(tab))) >= 0.75
        assert tab.do("document.getElementById('modes').hidden")
        assert tab.complaints() == []
        close(tab)


def test_a_clip_of_the_pages(browser, tmp_path):
    from realtime.demo.video import OverlayWriter

    with OverlayWriter(tmp_path / "clip", scene.SIZE, 24) as writer:
        for index in range(48):
            writer.write(scene.picture(index), index / 24)
    with Run("browser:") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.hello")
        tab.choose_file("#file", writer.path)
        tab.until("gazecast.state.view")
        eventually(lambda: look_at_red(tab) and tab.do("gazecast.state.latest?.outlines.length > 0"), "a mask", 30)
        assert np.median(overlaps(tab, 8, lambda: look_at_red(tab))) >= 0.75
        assert tab.complaints() == []
        close(tab)


def test_keys_and_buttons(browser, tmp_path):
    with Run("browser:", snapshots=str(tmp_path / "shots")) as address:
        tab = started(browser, address)
        tab.key("s")
        tab.until("!document.getElementById('notice').hidden")
        eventually(lambda: len(list((tmp_path / "shots").glob("*-mask.png"))) == 1, "a snapshot")
        tab.click("[data-verb=snapshot]")
        eventually(lambda: len(list((tmp_path / "shots").glob("*-mask.png"))) == 2, "another")
        told = json.loads(next((tmp_path / "shots").glob("*.json")).read_text())
        assert told["area"] > 1000
        modes = set()
        for _ in range(3):
            tab.key("m")
            modes.add(tab.do("gazecast.state.mode"))
        assert modes == {"matched", "carried", "late"}
        can = set(tab.do("gazecast.state.hello.can"))
        for verb in ("part", "whole", "hold", "clear", "record", "snapshot"):
            assert tab.do(f"document.querySelector('[data-verb={verb}]').disabled") is (verb not in can)
        close(tab)


def test_a_finger_on_a_phone(browser):
    with Run("browser:") as address:
        tab = browser.open(address, (390, 844), phone=True)
        tab.until("window.gazecast?.state.hello")
        tab.click("#start-camera")
        tab.until("gazecast.state.view")
        assert tab.do("document.documentElement.scrollWidth") <= 390
        x, y = place_of(tab, 0.5, 0.5)
        tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        tab.until("gazecast.state.latest?.head.looks.length > 0 && gazecast.state.latest.head.target")
        look = tab.do("gazecast.state.latest.head.looks.at(-1)")
        assert abs(look[0] - CAMERA[0] / 2) < 4
        assert abs(look[1] - CAMERA[1] / 2) < 4
        tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        tab.until("gazecast.state.latest.head.looks.length === 0")
        close(tab)


def test_edges_alone_for_a_display(browser):
    with Run("browser:") as address:
        tab = started(browser, address)
        display = browser.open(address + "edges?homography=2,0,0,0,2,0,0,0,1&size=640x480", (640, 480))
        look = (
            "(() => { const c = document.getElementById('edges'); if (!c) return null;"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let lit = 0;"
            " for (let i = 0; i < d.length; i += 4) lit += d[i + 3] > 100;"
            " return [c.width, c.height, lit]; })()"
        )
        eventually(lambda: look_at_red(tab) and (display.do(look) or [0] * 3)[2] > 300, "an edge", 20)
        width, height, lit = display.do(look)
        assert (width, height) == (640, 480)
        assert lit < 0.1 * width * height  # of a disc that fills a fifth of it
        assert display.do("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
        assert display.complaints() == []
        close(tab)
        close(display)


def test_the_page_finds_gazecast_again(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 60)
    with Run(f"file:{clip}?loop=1") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.view")
    tab.until("document.getElementById('warning').textContent.includes('connection is gone')")
    with Run(f"file:{clip}?loop=1", port=int(address.rsplit(":", 1)[1].strip("/"))):
        tab.until("gazecast.state.latest && document.getElementById('warning').hidden")
        close(tab)
