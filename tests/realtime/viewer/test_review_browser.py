"""A recording in a real browser: its pixels are read back, its objects named and dropped by hand."""

from __future__ import annotations

import json

import pytest

from realtime.config.viewer import ViewSettings
from realtime.recording.labels import ObjectLabel, load_labels
from realtime.viewer.review_page import ReviewPage
from tests.browser import installed
from tests.realtime.recording import looked
from tests.realtime.recording.looked import run
from tests.realtime.waiting import eventually

pytestmark = [
    pytest.mark.skipif(installed() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"),
    pytest.mark.timeout(180),
]
FIRST, SECOND = range(20, 50), range(50, 60)
"""The frames with object 1, and with object 2."""
ANSWERED = "!gazecast.state.asked && !gazecast.state.wish"
_LOOK = """(() => {
  const { view, shown } = gazecast.state, at = (id, x, y) => document.getElementById(id).getContext("2d")
    .getImageData(Math.floor(view.x + (x + 0.5) * view.scale), Math.floor(view.y + (y + 0.5) * view.scale), 1, 1).data;
  return { n: shown.head.n, grey: at("picture", 2, 2)[0], tint: [26, 38].map((x) => at("overlay", x, 24 - 4)[3]) };
})()"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Cut off, and with ten frames' damage: twenty frames of nothing, then object 1, then object 2."""
    path = tmp_path_factory.mktemp("review") / "kitchen.mcap"
    looked.record(path, [*run(20, None), *run(30, 1), *run(20, 2, "held")], cut=True)
    looked.damage(path, 6)  # frames 60 to 69
    return path


@pytest.fixture(scope="module")
def tab(browser, path):
    page = ReviewPage(ViewSettings(port=0), path)
    tab = browser.open(page.address, (1100, 760))
    tab.until("window.gazecast?.state.shown && gazecast.state.film.share === 1 && gazecast.state.objects.length === 2")
    yield tab
    tab.close()
    page.close()


def shown(tab):
    """What is in the picture: the frame's number, its grey, and the overlay's alpha within objects 1 and 2."""
    tab.until(ANSWERED)
    tab.do("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return tab.do(_LOOK)


def press(tab, key):
    """A key that has a name."""
    for kind in ("rawKeyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=key)


def test_it_says_that_it_was_cut_off_and_shows_what_there_is(tab):
    said = tab.do("document.getElementById('cut').textContent")
    assert "was cut off, or is still being written. Everything up to there is here. 1 piece of half a second" in said
    assert tab.do("document.getElementById('state').textContent") == "cut off"
    assert tab.do("gazecast.state.film.frames") == 60
    rows = "[...document.querySelectorAll('#things li')]"
    told = tab.do(f"{rows}.map((row) => row.querySelector('small').textContent)")
    assert told == ["1.2 s · 30 masks · 1 visit", "0.8 s · 10 masks · 1 visit"]
    tab.until(f"{rows}.every((row) => row.querySelector('img').naturalWidth === 192)")
    assert tab.complaints() == []


def test_every_step_is_the_next_frame_and_a_click_on_an_object_its_best_moment(tab):
    tab.click("#things li:nth-child(1) .see")
    tab.until("gazecast.state.selected === 1")
    best = shown(tab)
    assert best["n"] in FIRST
    assert best["tint"][0] > 50 > 30 > best["tint"][1]
    for key, by in (("ArrowRight", 1), ("ArrowRight", 1), ("ArrowLeft", -1)):
        before = shown(tab)
        press(tab, key)
        after = shown(tab)
        assert after["n"] == before["n"] + by
        assert abs(after["grey"] - (20 + after["n"])) <= 3  # every frame has a grey of its own
    press(tab, "ArrowDown")
    tab.until("gazecast.state.selected === 2")
    other = shown(tab)
    assert other["n"] in SECOND
    assert other["tint"][1] > 50 > 30 > other["tint"][0]


def test_it_plays_to_its_end_and_the_lane_seeks(tab):
    left, top, width, height = tab.do(
        "(() => { const b = document.getElementById('lane').getBoundingClientRect();"
        " return [b.x, b.y, b.width, b.height]; })()"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        tab.mouse(kind, left + width / 2, top + height / 2)
    half = shown(tab)["n"]
    length = tab.do("gazecast.state.film.length_ms")
    assert abs(half - (length / 2 - 8) // 40) <= 1
    tab.click("[data-speed='2']")
    tab.do("window.seen = []; setInterval(() => seen.push(gazecast.state.shown.head.n), 5)")
    between = f"seen.some((n) => n > {half} && n < 59)"
    for _ in range(20):  # a machine that does something else meanwhile skips frames, which is right
        tab.do(f"seen.length = 0; gazecast.seek({length} / 2)")
        assert shown(tab)["n"] == half
        press(tab, " ")
        tab.until("gazecast.state.playing || seen.includes(59)")
        tab.until("!gazecast.state.playing")
        assert shown(tab)["n"] == 59
        seen = tab.do("seen")
        assert seen[seen.index(half) :] == sorted(seen[seen.index(half) :])
        if tab.do(between):
            break
    assert tab.do(between)
    press(tab, "Home")
    assert shown(tab)["n"] == 0


def test_names_and_what_is_dropped_are_saved_and_undone(tab, path):
    tab.click("#things li:nth-child(1) .see")
    tab.click("#things li:nth-child(1) input")
    tab.call("Input.insertText", text="red cup")
    press(tab, "Enter")
    eventually(lambda: load_labels(path).of(1) == ObjectLabel("red cup"), "a name in the file")
    tab.until("document.getElementById('card-object').textContent === 'red cup'")
    assert shown(tab)["tint"][0] > 50
    press(tab, "k")
    eventually(lambda: load_labels(path).of(1) == ObjectLabel("red cup", keep=False), "that it is dropped in the file")
    tab.until("document.querySelector('#things li.dropped') !== null")
    assert shown(tab)["tint"][0] < 30  # the disc of the gaze alone
    assert tab.do("document.getElementById('count').textContent") == "2, 1 dropped"
    tab.click("#undo")
    tab.until("document.querySelector('#things li.dropped') === null")
    assert shown(tab)["tint"][0] > 50
    assert json.loads(path.with_suffix(".labels.json").read_text())["objects"]["1"] == {
        "label": "red cup",
        "keep": True,
    }
    assert tab.complaints() == []


def test_a_phone_has_it_all(browser, tab):
    phone = browser.open(tab.do("location.href"), (390, 844), phone=True)
    phone.until("window.gazecast?.state.objects.length === 2 && gazecast.state.shown")
    assert phone.do("document.documentElement.scrollWidth") <= 390
    for what in ("#lane", "#play", "[data-speed='4']", "#things .see", "#things input", "#things .keep", "#undo"):
        box = phone.do(
            f"(() => {{ const b = document.querySelector({json.dumps(what)}).getBoundingClientRect();"
            " return [b.left, b.right, b.height]; })()"
        )
        assert 0 <= box[0] < box[1] <= 390, what
        assert box[2] >= (38 if what == "#undo" else 42), what
    phone.do("document.querySelector('#things li:nth-child(2) .keep').click()")
    tab.until("document.querySelector('#things li:nth-child(2).dropped') !== null")  # everybody sees it
    phone.do("document.getElementById('undo').click()")
    tab.until("document.querySelector('#things li.dropped') === null")
    assert phone.complaints() == []
    phone.close()
