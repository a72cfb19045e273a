"""Tests that the pages can be used by everybody: by keyboard, with a screen reader, in light and dark, on a phone."""

from __future__ import annotations

import dataclasses

import pytest

from realtime.comms.messages import HealthMessage
from realtime.config.viewer import ViewSettings
from realtime.viewer.live_page import LivePage
from realtime.viewer.review_page import ReviewPage
from tests.accessibility import find_violations, set_scheme
from tests.browser import find_browser
from tests.realtime import scene
from tests.realtime.recording import object_recordings
from tests.realtime.viewer.page_runs import open_with_camera, serve_run, wait_for_mask
from tests.realtime.waiting import eventually

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
)
NOTICE = "document.getElementById('notice').textContent"
GAZE = "gazecast.state.latest?.header.gaze_trail.at(-1)"
LEGEND = "[...document.querySelectorAll('#object-legend dt')].map((term) => term.textContent)"
STATES = ("preview", "locked", "held", "lost")
DESKTOP, PHONE = (1280, 800), (390, 844)
HEALTH = HealthMessage("running", "", {"frames": 30.0}, {}, {}, 100.0, {"backend": "fake", "precision": "f32"})


def press(tab, key, kinds=("rawKeyDown", "keyUp")):
    """Press a key that has a name."""
    for kind in kinds:
        tab.call("Input.dispatchKeyEvent", type=kind, key=key)


def violations(tab):
    """Find violations in both colour schemes."""
    found = []
    for scheme in ("dark", "light"):
        set_scheme(tab, scheme)
        found += find_violations(tab)
    return found


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_live_page_has_no_violations(browser, tmp_path, size):
    with serve_run("browser:", tmp_path / "recordings") as address:
        tab = browser.open_tab(address, size, phone=size == PHONE)
        tab.wait_for("window.gazecast?.state.hello && !document.getElementById('start').hidden")
        assert violations(tab) == []
        tab.evaluate("document.getElementById('open-help').click()")
        assert violations(tab) == []
        tab.close()
        tab = open_with_camera(browser, address, size, phone=size == PHONE)
        wait_for_mask(tab)
        tab.evaluate("document.querySelector('[data-verb=record]').click()")
        tab.wait_for("document.querySelector('#objects img')?.naturalWidth > 0")
        assert violations(tab) == []
        tab.evaluate("document.querySelector('[data-verb=record]').click()")
        tab.wait_for("!document.getElementById('recorded-next').hidden")
        tab.evaluate("document.getElementById('export').click()")
        assert violations(tab) == []
        tab.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_review_page_has_no_violations(browser, tmp_path, size):
    path = object_recordings.record(
        tmp_path / "kitchen.mcap", [*object_recordings.run(10, 1), *object_recordings.run(10, 2, "held")], cut=True
    )
    page = ReviewPage(ViewSettings(port=0), path)
    try:
        tab = browser.open_tab(page.address, size, phone=size == PHONE)
        tab.wait_for("window.gazecast?.player.shown && gazecast.state.objects.length === 2")
        assert violations(tab) == []
        tab.evaluate("document.getElementById('open-help').click()")
        assert tab.evaluate(LEGEND) == [*STATES, "confidence", "visits"]
        assert violations(tab) == []
        tab.close()
    finally:
        page.close()


def test_axe_finds_what_is_wrong(browser):
    """Without it, a checker that never runs would pass the tests above."""
    tab = browser.open_tab("data:text/html,<html><body><img src=x><p style='color:%23ddd'>pale</p></body></html>")
    tab.wait_for("document.querySelector('img') !== null")
    found = " ".join(find_violations(tab))
    assert "image-alt" in found
    assert "color-contrast" in found
    tab.close()


@pytest.fixture
def clip_tab(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 24, speed=0.0, draw=scene.ringed)
    with serve_run(f"file:{clip}?loop=1", tmp_path / "recordings") as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.stage.view && gazecast.state.hello.verbs.length")
        yield tab
        assert tab.console_errors() == []
        tab.close()


def test_arrow_keys_move_the_gaze_and_escape_ends_it(clip_tab):
    tab = clip_tab
    press(tab, "ArrowRight")
    width, height = scene.SIZE
    tab.wait_for(f"{GAZE} && Math.hypot({GAZE}[0] - {width / 2}, {GAZE}[1] - {height / 2}) < {width / 20}")
    press(tab, "ArrowUp", ("rawKeyDown",))
    tab.wait_for(f"{GAZE}?.[1] < {height / 10}")
    press(tab, "ArrowUp", ("keyUp",))
    tab.wait_for("gazecast.state.health.state === 'running'")
    press(tab, "Escape")
    tab.wait_for("gazecast.state.latest.header.gaze_trail.length === 0")
    tab.wait_for("document.getElementById('state').textContent === 'idle'")
    tab.wait_for("document.getElementById('warning').textContent.startsWith('Move the mouse')")


def test_arrow_keys_say_why_they_do_not_move_the_gaze(browser):
    page = LivePage(ViewSettings(enabled=True, port=0), source="pupil://10.0.0.1:50020")
    try:
        tab = browser.open_tab(page.address)
        tab.wait_for("window.gazecast?.state.hello")
        press(tab, "ArrowLeft")
        tab.wait_for(f"{NOTICE} === 'The gaze of this run does not come from this page.'")
        tab.close()
    finally:
        page.close()


def test_help_opens_by_its_key_and_keeps_other_keys_to_itself(clip_tab):
    tab = clip_tab
    tab.press_key("?")
    tab.wait_for("document.getElementById('help').open")
    assert tab.evaluate(LEGEND) == [*STATES, "confidence"]
    tab.press_key("h")
    assert not tab.evaluate("gazecast.state.toggles.hold")
    tab.click("#close-help")
    tab.wait_for("!document.getElementById('help').open")
    tab.press_key("h")
    assert tab.evaluate("gazecast.state.toggles.hold")


def test_keys_that_do_nothing_say_why(clip_tab):
    tab = clip_tab
    for key, reason in (
        ("p", "No object is shown"),
        ("c", "No object is shown"),
        ("m", "M is for this page's own camera"),
        ("n", "Nothing was recorded yet"),
        ("u", "Nothing was recorded yet"),
    ):
        tab.evaluate("document.getElementById('notice').textContent = ''")
        tab.press_key(key)
        tab.wait_for(f"{NOTICE}.startsWith({reason!r})".replace("M is for this page's", "M is for this page\\'s"))
    tab.evaluate("void gazecast.connection.socket.close()")
    tab.wait_for("!gazecast.state.isOpen")
    tab.press_key("p")
    tab.wait_for(f"{NOTICE}.startsWith('Not connected')")


def test_arrow_keys_choose_in_a_group_of_radios(browser):
    with serve_run("browser:") as address:
        tab = open_with_camera(browser, address)
        tab.evaluate("document.querySelector('[data-mode=compensated]').focus()")
        press(tab, "ArrowRight")
        assert tab.evaluate("[gazecast.state.mode, document.activeElement.dataset.mode]") == ["delayed", "delayed"]
        press(tab, "ArrowRight")
        assert tab.evaluate("gazecast.state.mode") == "exact"
        stops = "[...document.querySelectorAll('[data-mode]')].map((button) => button.tabIndex)"
        assert tab.evaluate(stops) == [0, -1, -1]
        tab.close()


def test_an_ended_recording_is_reviewed_in_the_same_run(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 24, speed=0.0, draw=scene.ringed)
    token = "0123456789abcdef"
    with serve_run(f"file:{clip}?loop=1", tmp_path / "recordings", token=token) as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.stage.view && gazecast.state.hello.verbs.length")
        tab.press_key("r")
        tab.wait_for("!document.getElementById('record-mark').hidden")
        assert tab.evaluate("document.getElementById('recorded-next').hidden")
        press(tab, "ArrowRight")
        pictured = "document.querySelector('#objects img')?.naturalWidth === 192"
        tab.wait_for(pictured)
        tab.press_key("r")
        tab.wait_for("!document.getElementById('recorded-next').hidden")
        other = browser.open_tab(address)
        other.wait_for(pictured)  # a page that was not there when it was drawn
        (path,) = (tmp_path / "recordings").glob("*.mcap")
        command = other.evaluate("document.getElementById('export-text').textContent")
        assert command == f"gazecast export {path} --video --csv --coco"
        review = browser.open_tab(other.evaluate("document.getElementById('review').href"))
        review.wait_for("window.gazecast?.player.shown && gazecast.state.objects.length > 0")
        assert review.evaluate("document.getElementById('state').textContent") == "recording"
        review.wait_for("document.querySelector('#objects img').naturalWidth > 0")
        assert review.console_errors() == other.console_errors() == tab.console_errors() == []
        for each in (tab, other, review):
            each.close()


def test_what_is_prepared_is_shown_with_its_progress_and_the_engine_as_it_is_now(browser):
    page = LivePage(ViewSettings(enabled=True, port=0), source="camera:0")
    try:
        page.on_health(dataclasses.replace(
            HEALTH, state="preparing", doing="building the encoder", progress=0.25, remaining_s=12.4
        ))  # fmt: skip
        tab = browser.open_tab(page.address)
        tab.wait_for("window.gazecast?.state.health && !document.getElementById('preparing').hidden")
        texts = "['state', 'doing', 'remaining', 'engine'].map((id) => document.getElementById(id).textContent)"
        shown = [text.replace("\u00a0", " ") for text in tab.evaluate(texts)]
        assert shown == ["preparing", "building the encoder", "about 12 s left", "fake · f32 · 100 MiB"]
        assert tab.evaluate("document.getElementById('progress').value") == 0.25
        assert violations(tab) == []
        page.on_health(dataclasses.replace(HEALTH, state="preparing", doing="opening the encoder"))
        tab.wait_for("document.getElementById('doing').textContent === 'opening the encoder'")
        assert not tab.evaluate("document.getElementById('progress').hasAttribute('value')")
        assert tab.evaluate("document.getElementById('remaining').textContent") == ""
        page.on_health(dataclasses.replace(HEALTH, engine={"backend": "fake", "precision": "int8"}))
        tab.wait_for("document.getElementById('preparing').hidden")
        eventually(lambda: "int8" in tab.evaluate("document.getElementById('engine').textContent"), "the precision")
        tab.close()
    finally:
        page.close()


COVERED = """((button) => {
  button.scrollIntoView({ block: "center" });
  const { x, y, width, height, bottom } = button.getBoundingClientRect();
  const notice = document.getElementById("notice").getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2) !== button || notice.top < bottom;
})(document.querySelector("%s"))"""


@pytest.mark.parametrize("size", [PHONE, (740, 360)])
def test_nothing_lies_over_the_start_buttons_of_a_phone(browser, size):
    with serve_run("browser:") as address:
        tab = browser.open_tab(address, size, phone=True)
        tab.wait_for("window.gazecast?.state.hello && !document.getElementById('start').hidden")
        tab.evaluate("gazecast.connection.handlers.onText({ t: 'notice', text: 'a long text '.repeat(9) })")
        for selector in ("#start-camera", "#start-clip"):
            assert not tab.evaluate(COVERED % selector), selector
        tab.close()
