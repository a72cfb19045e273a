"""Tests the page of a recording in a real browser: pixels are read back, objects are named and dropped."""

from __future__ import annotations

import json

import pytest

from realtime.config.viewer import ViewSettings
from realtime.recording.labels import ObjectLabel, load_labels
from realtime.viewer.review_page import ReviewPage
from tests.browser import find_browser
from tests.realtime.recording import object_recordings
from tests.realtime.recording.object_recordings import run
from tests.realtime.waiting import eventually

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
)
FIRST, SECOND = range(20, 50), range(50, 60)
"""Numbers of the frames with object 1, and with object 2."""
IS_IDLE = "!gazecast.player.inFlight && !gazecast.player.next"
_READ = """(() => {
  const { stage: { view }, player: { shown } } = gazecast;
  const at = (id, x, y) => document.getElementById(id).getContext("2d")
    .getImageData(Math.floor(view.x + (x + 0.5) * view.scale), Math.floor(view.y + (y + 0.5) * view.scale), 1, 1).data;
  return { n: shown.header.n, grey: at("picture", 2, 2)[0], tint: [26, 38].map((x) => at("overlay", x, 24 - 4)[3]) };
})()"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Record twenty frames without an object, then object 1, then object 2; cut off, ten frames damaged."""
    path = tmp_path_factory.mktemp("review") / "kitchen.mcap"
    object_recordings.record(path, [*run(20, None), *run(30, 1), *run(20, 2, "held")], cut=True)
    object_recordings.damage(path, 6)  # frames 60 to 69
    return path


@pytest.fixture(scope="module")
def tab(browser, path):
    page = ReviewPage(ViewSettings(port=0), path)
    tab = browser.open_tab(page.address, (1100, 760))
    tab.wait_for(
        "window.gazecast?.player.shown && gazecast.state.timeline.share === 1 && gazecast.state.objects.length === 2"
    )
    yield tab
    tab.close()
    page.close()


def read_shown(tab):
    """Read the shown frame's number, its grey level, and the overlay's alpha within objects 1 and 2."""
    tab.wait_for(IS_IDLE)
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return tab.evaluate(_READ)


def press(tab, key):
    """Press a key that has a name."""
    for kind in ("rawKeyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=key)


def test_a_recording_that_was_cut_off_is_marked_and_shown(tab):
    problems = tab.evaluate("document.getElementById('problems').textContent")
    assert (
        "was cut off, or is still being written. Everything up to that point is shown. 1 piece of half a second"
        in problems
    )
    assert tab.evaluate("document.getElementById('state').textContent") == "cut off"
    assert tab.evaluate("gazecast.state.timeline.frames") == 60
    rows = "[...document.querySelectorAll('#objects li')]"
    details = tab.evaluate(f"{rows}.map((row) => row.querySelector('small').textContent)")
    assert details == ["1.2 s · 30 masks · 1 visit", "0.8 s · 10 masks · 1 visit"]
    tab.wait_for(f"{rows}.every((row) => row.querySelector('img').naturalWidth === 192)")
    assert tab.console_errors() == []


def test_keys_step_by_frames_and_a_click_on_an_object_shows_its_best_moment(tab):
    tab.click("#objects li:nth-child(1) .thumbnail")
    tab.wait_for("gazecast.state.selected === 1")
    best = read_shown(tab)
    assert best["n"] in FIRST
    assert best["tint"][0] > 50 > 30 > best["tint"][1]
    for key, by in (("ArrowRight", 1), ("ArrowRight", 1), ("ArrowLeft", -1)):
        before = read_shown(tab)
        press(tab, key)
        after = read_shown(tab)
        assert after["n"] == before["n"] + by
        assert abs(after["grey"] - (20 + after["n"])) <= 3  # every frame has its own grey level
    press(tab, "ArrowDown")
    tab.wait_for("gazecast.state.selected === 2")
    other = read_shown(tab)
    assert other["n"] in SECOND
    assert other["tint"][1] > 50 > 30 > other["tint"][0]


def test_it_plays_to_its_end_and_the_timeline_seeks(tab):
    left, top, width, height = tab.evaluate(
        "(() => { const b = document.getElementById('timeline').getBoundingClientRect();"
        " return [b.x, b.y, b.width, b.height]; })()"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        tab.send_mouse(kind, left + width / 2, top + height / 2)
    half = read_shown(tab)["n"]
    length = tab.evaluate("gazecast.state.timeline.length_ms")
    assert abs(half - (length / 2 - 8) // 40) <= 1
    tab.click("[data-speed='2']")
    tab.evaluate("window.seen = []; setInterval(() => seen.push(gazecast.player.shown.header.n), 5)")
    between = f"seen.some((n) => n > {half} && n < 59)"
    for _ in range(20):  # a busy machine skips frames, which is correct
        tab.evaluate(f"seen.length = 0; gazecast.player.seek({length} / 2)")
        assert read_shown(tab)["n"] == half
        press(tab, " ")
        tab.wait_for("gazecast.player.isPlaying || seen.includes(59)")
        tab.wait_for("!gazecast.player.isPlaying")
        assert read_shown(tab)["n"] == 59
        seen = tab.evaluate("seen")
        assert seen[seen.index(half) :] == sorted(seen[seen.index(half) :])
        if tab.evaluate(between):
            break
    assert tab.evaluate(between)
    press(tab, "Home")
    assert read_shown(tab)["n"] == 0


def test_labels_are_saved_and_undone(tab, path):
    tab.click("#objects li:nth-child(1) .thumbnail")
    tab.click("#objects li:nth-child(1) input")
    tab.call("Input.insertText", text="red cup")
    press(tab, "Enter")
    eventually(lambda: load_labels(path).get_label(1) == ObjectLabel("red cup"), "a name in the file")
    tab.wait_for("document.getElementById('card-object').textContent === 'red cup'")
    assert read_shown(tab)["tint"][0] > 50
    press(tab, "k")
    eventually(
        lambda: load_labels(path).get_label(1) == ObjectLabel("red cup", keep=False), "that it is dropped in the file"
    )
    tab.wait_for("document.querySelector('#objects li.dropped') !== null")
    assert read_shown(tab)["tint"][0] < 30  # the disc of the gaze alone
    assert tab.evaluate("document.getElementById('count').textContent") == "2, 1 dropped"
    tab.click("#undo")
    tab.wait_for("document.querySelector('#objects li.dropped') === null")
    assert read_shown(tab)["tint"][0] > 50
    assert json.loads(path.with_suffix(".labels.json").read_text())["objects"]["1"] == {
        "label": "red cup",
        "keep": True,
    }
    assert tab.console_errors() == []


def test_a_phone_shows_all_controls(browser, tab):
    phone = browser.open_tab(tab.evaluate("location.href"), (390, 844), phone=True)
    phone.wait_for("window.gazecast?.state.objects.length === 2 && gazecast.player.shown")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    for selector in (
        "#timeline",
        "#play",
        "[data-speed='4']",
        "#objects .thumbnail",
        "#objects input",
        "#objects .keep",
        "#undo",
    ):
        box = phone.evaluate(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.left, b.right, b.height]; })()"
        )
        assert 0 <= box[0] < box[1] <= 390, selector
        assert box[2] >= (38 if selector == "#undo" else 42), selector
    phone.evaluate("document.querySelector('#objects li:nth-child(2) .keep').click()")
    tab.wait_for("document.querySelector('#objects li:nth-child(2).dropped') !== null")  # every page shows it
    phone.evaluate("document.getElementById('undo').click()")
    tab.wait_for("document.querySelector('#objects li.dropped') === null")
    assert phone.console_errors() == []
    phone.close()
