"""Tests the live page in a real browser: its pixels are read back and compared with a known scene."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from realtime.infra.clock import now_ns
from tests.browser import BrowserTab, find_browser
from tests.realtime.viewer.page_pixels import point_at_red
from tests.realtime.viewer.page_runs import (
    delay_frames,
    measure_overlaps,
    open_with_camera,
    read_ages,
    serve_run,
    wait_for_mask,
)
from tests.realtime.waiting import eventually

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"),
    pytest.mark.timeout(1000),  # each of several samplings may take `page_runs.SAMPLING_S`
]
IOU = 0.8


@dataclass(frozen=True)
class SourcePage:
    """A page whose camera and mouse are the source, and the folder of its snapshots."""

    address: str
    tab: BrowserTab
    snapshots: Path


@pytest.fixture(scope="module")
def live(browser, tmp_path_factory):
    snapshots = tmp_path_factory.mktemp("live") / "snapshots"
    with serve_run("browser:", snapshots=str(snapshots)) as address:
        tab = open_with_camera(browser, address)
        wait_for_mask(tab)
        yield SourcePage(address, tab, snapshots)
        tab.close()


@pytest.fixture(scope="module")
def other(browser, live):
    """A page that only shows the run."""
    tab = browser.open_tab(live.address, (900, 600))
    tab.wait_for("window.gazecast?.state.shown")
    yield tab
    tab.close()


def test_masks_cover_the_object_for_the_source_page_and_a_viewer(live, other):
    for mode in ("exact", "compensated"):
        live.tab.click(f"[data-mode={mode}]")
        mine = measure_overlaps(live.tab, live.tab)
        assert np.median(mine) >= IOU, (mode, mine)
    theirs = measure_overlaps(other, live.tab)
    assert np.median(theirs) >= IOU, theirs
    assert live.tab.console_errors() == other.console_errors() == []


def test_the_age_of_a_mask_counts_from_the_frames_capture(live, other):
    """`benchmarks.viewer` measures how low it is; here it must be measured correctly, by both pages."""
    for tab in (live.tab, other):
        eventually(lambda tab=tab: _clock_error_ms(tab) < 10, "the server's clock in the page")
        assert min(read_ages(tab, 5)) > -10
        with delay_frames(tab, 250):
            tab.wait_for("firstDelayed !== null")
            assert min(read_ages(tab, 3, "firstDelayed")) > 240


def _clock_error_ms(tab):
    """Measure by how many ms the page's estimate of the server's clock is wrong at least."""
    before_ns = now_ns()
    host_ms = tab.evaluate(
        "gazecast.connection.hostMs === null ? null : performance.now() + gazecast.connection.hostMs"
    )
    if host_ms is None:
        return float("inf")
    return max(before_ns / 1e6 - host_ms, host_ms - now_ns() / 1e6)


def test_the_edges_page_draws_a_thin_edge_on_black(browser, live):
    display = browser.open_tab(live.address + "edges?homography=2,0,0,0,2,0,0,0,1&size=640x480", (640, 480))
    count_lit = (
        "(() => { const c = document.getElementById('edges'); if (!c) return null;"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let lit = 0;"
        " for (let i = 0; i < d.length; i += 4) lit += d[i + 3] > 100;"
        " return [c.width, c.height, lit]; })()"
    )
    eventually(lambda: point_at_red(live.tab) and (display.evaluate(count_lit) or [0] * 3)[2] > 300, "an edge")
    width, height, lit = display.evaluate(count_lit)
    assert (width, height) == (640, 480)
    assert lit < 0.1 * width * height  # the disc fills a fifth of it
    assert display.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
    assert display.console_errors() == []
    display.close()


def test_motion_compensation_moves_a_delayed_mask_onto_the_object(live):
    """With masks delayed by a third of a second, only the compensated mask fits."""
    median = {}
    with delay_frames(live.tab, 333):
        for mode in ("delayed", "compensated"):
            live.tab.click(f"[data-mode={mode}]")
            median[mode] = float(np.median(measure_overlaps(live.tab, live.tab)))
    assert median["compensated"] > median["delayed"] + 0.05, median
    assert median["compensated"] > 0.75, median


def test_keys_and_buttons_take_snapshots_and_switch_modes(live):
    tab = live.tab

    def written(kind="frame"):
        return sorted(live.snapshots.glob(f"*-{kind}.png"))

    def has_snapshot_of_a_mask():
        before = len(written())
        point_at_red(tab)
        tab.press_key("s")
        eventually(lambda: len(written()) == before + 1, "a snapshot")
        return written("mask")

    eventually(has_snapshot_of_a_mask, "a mask in a snapshot")
    tab.wait_for("document.getElementById('notice').textContent.startsWith('saved ')")
    metadata = json.loads(Path(str(written("mask")[0]).replace("-mask.png", ".json")).read_text())
    assert metadata["area"] > 1000
    before = len(written())
    tab.click("[data-verb=snapshot]")
    eventually(lambda: len(written()) == before + 1, "another")
    modes = set()
    for _ in range(3):
        tab.press_key("m")
        modes.add(tab.evaluate("gazecast.state.mode"))
    assert modes == {"exact", "compensated", "delayed"}
    enabled = set(tab.evaluate("gazecast.state.hello.verbs"))
    for verb in ("part", "whole", "hold", "clear", "record", "snapshot"):
        assert tab.evaluate(f"document.querySelector('[data-verb={verb}]').disabled") is (verb not in enabled)
