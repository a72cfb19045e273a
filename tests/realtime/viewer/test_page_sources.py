"""The page in a real browser with each kind of source: a clip of the server's, one of the page's, a phone's camera."""

import numpy as np
import pytest

from tests import chrome
from tests.realtime import scene
from tests.realtime.viewer.running import CAMERA, overlaps, serving, started, until_masked
from tests.realtime.viewer.showing import place_of

pytestmark = [
    pytest.mark.skipif(
        chrome.installed() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
    ),
    pytest.mark.timeout(600),
]


def test_a_clip_of_the_servers_with_the_pages_mouse_is_found_again_after_a_restart(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 90, speed=0.5)
    with serving(f"file:{clip}?loop=1") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.view")
        until_masked(tab)
        assert np.median(overlaps(tab, tab)) >= 0.75
        assert tab.do("document.getElementById('modes').hidden")
        assert tab.complaints() == []
    tab.until("document.getElementById('warning').textContent.includes('connection is gone')")
    with serving(f"file:{clip}?loop=1", port=int(address.rsplit(":", 1)[1].strip("/"))):
        tab.until("gazecast.state.latest && document.getElementById('warning').hidden")
        tab.close()


def test_a_clip_of_the_pages(browser, tmp_path):
    from realtime.film import OverlayWriter

    with OverlayWriter(tmp_path / "clip", scene.SIZE, 24) as writer:
        for index in range(48):
            writer.write(scene.picture(index, 0.5), index / 24)
    with serving("browser:") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.hello")
        tab.choose_file("#file", writer.path)
        tab.until("gazecast.state.view")
        until_masked(tab)
        assert np.median(overlaps(tab, tab)) >= 0.75
        assert tab.complaints() == []
        tab.close()


def test_a_finger_on_a_phone(browser):
    with serving("browser:") as address:
        tab = started(browser, address, (390, 844), phone=True)
        assert tab.do("document.documentElement.scrollWidth") <= 390
        x, y = place_of(tab, 0.5, 0.5)
        tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        tab.until("gazecast.state.latest?.head.looks.length > 0 && gazecast.state.latest.head.target")
        look = tab.do("gazecast.state.latest.head.looks.at(-1)")
        assert abs(look[0] - CAMERA[0] / 2) < 4
        assert abs(look[1] - CAMERA[1] / 2) < 4
        tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        tab.until("gazecast.state.latest.head.looks.length === 0")
        tab.close()
