"""The page in a real browser: its pixels are read back and compared with what is known to be there."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from realtime.infra.clock import now_ns
from tests.browser import Tab, installed
from tests.realtime.viewer.running import ages, held_back, overlaps, serving, started, until_masked
from tests.realtime.viewer.showing import look_at_red
from tests.realtime.waiting import eventually

pytestmark = [
    pytest.mark.skipif(installed() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"),
    pytest.mark.timeout(600),
]
IOU = 0.8


@dataclass(frozen=True)
class Live:
    """A page whose camera and mouse are the source, and where its snapshots go."""

    address: str
    tab: Tab
    shots: Path


@pytest.fixture(scope="module")
def live(browser, tmp_path_factory):
    shots = tmp_path_factory.mktemp("live") / "shots"
    with serving("browser:", snapshots=str(shots)) as address:
        tab = started(browser, address)
        until_masked(tab)
        yield Live(address, tab, shots)
        tab.close()


@pytest.fixture(scope="module")
def other(browser, live):
    """A page that watches."""
    tab = browser.open(live.address, (900, 600))
    tab.until("window.gazecast?.state.shown")
    yield tab
    tab.close()


def test_camera_and_mouse_two_viewers(live, other):
    """The mask that is drawn is the thing under it, for the page whose camera it is and for one that watches."""
    for mode in ("matched", "carried"):
        live.tab.click(f"[data-mode={mode}]")
        mine = overlaps(live.tab, live.tab)
        assert np.median(mine) >= IOU, (mode, mine)
    theirs = overlaps(other, live.tab)
    assert np.median(theirs) >= IOU, theirs
    assert live.tab.complaints() == other.complaints() == []


def test_a_pages_age_of_a_mask_counts_from_the_frames_capture(live, other):
    """How low it is, `benchmarks.viewer` measures; here: that it is measured right, for both viewers."""
    for tab in (live.tab, other):
        eventually(lambda tab=tab: _clock_error_ms(tab) < 10, "the server's clock in the page", 30)
        assert min(ages(tab, 5)) > -10
        with held_back(tab, 250):
            tab.until("heldFrom !== null")
            assert min(ages(tab, 3, "heldFrom")) > 240


def _clock_error_ms(tab):
    """How far the page's idea of the server's clock is outside of what it was meanwhile, ms."""
    before_ns = now_ns()
    host_ms = tab.do("gazecast.link.hostMs === null ? null : performance.now() + gazecast.link.hostMs")
    if host_ms is None:
        return float("inf")
    return max(before_ns / 1e6 - host_ms, host_ms - now_ns() / 1e6)


def test_edges_alone_for_a_display(browser, live):
    display = browser.open(live.address + "edges?homography=2,0,0,0,2,0,0,0,1&size=640x480", (640, 480))
    look = (
        "(() => { const c = document.getElementById('edges'); if (!c) return null;"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let lit = 0;"
        " for (let i = 0; i < d.length; i += 4) lit += d[i + 3] > 100;"
        " return [c.width, c.height, lit]; })()"
    )
    eventually(lambda: look_at_red(live.tab) and (display.do(look) or [0] * 3)[2] > 300, "an edge", 20)
    width, height, lit = display.do(look)
    assert (width, height) == (640, 480)
    assert lit < 0.1 * width * height  # of a disc that fills a fifth of it
    assert display.do("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
    assert display.complaints() == []
    display.close()


def test_a_late_mask_is_carried_to_where_the_thing_is_now(live):
    """The switch makes a difference: with masks held back for a third of a second, only the carried one fits."""
    middle = {}
    with held_back(live.tab, 333):
        for mode in ("late", "carried"):
            live.tab.click(f"[data-mode={mode}]")
            middle[mode] = float(np.median(overlaps(live.tab, live.tab)))
    assert middle["carried"] > middle["late"] + 0.05, middle
    assert middle["carried"] > 0.75, middle


def test_keys_and_buttons(live):
    tab = live.tab

    def taken(kind="frame"):
        return sorted(live.shots.glob(f"*-{kind}.png"))

    def shot_of_a_mask():
        before = len(taken())
        look_at_red(tab)
        tab.key("s")
        eventually(lambda: len(taken()) == before + 1, "a snapshot")
        return taken("mask")

    eventually(shot_of_a_mask, "a mask in a snapshot", 30)
    tab.until("document.getElementById('notice').textContent.startsWith('saved ')")
    told = json.loads(Path(str(taken("mask")[0]).replace("-mask.png", ".json")).read_text())
    assert told["area"] > 1000
    before = len(taken())
    tab.click("[data-verb=snapshot]")
    eventually(lambda: len(taken()) == before + 1, "another")
    modes = set()
    for _ in range(3):
        tab.key("m")
        modes.add(tab.do("gazecast.state.mode"))
    assert modes == {"matched", "carried", "late"}
    can = set(tab.do("gazecast.state.hello.verbs"))
    for verb in ("part", "whole", "hold", "clear", "record", "snapshot"):
        assert tab.do(f"document.querySelector('[data-verb={verb}]').disabled") is (verb not in can)
