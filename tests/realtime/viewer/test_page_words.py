"""Tests the live page's word in a real browser: typed, and spoken to a stub of the browser's speech recognition."""

import pytest

import realtime.session.own_engine as engine_module
from tests.browser import find_browser
from tests.realtime import scene
from tests.realtime.disc_recognizer import DiscRecognizer
from tests.realtime.viewer.page_runs import serve_run

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
)
TARGET = "gazecast.state.latest?.header.target"
STATE = "document.querySelector('#word-state').textContent"
SPEECH = """
window.SpeechRecognition = class {
  start() { window.speech = this; if (window.refusesSpeech) setTimeout(() => this.fail('not-allowed')); }
  stop() { this.onend(); }
  abort() { this.onend(); }
  fail(error) { this.onerror({ error }); this.onend(); }
  say(text) { this.onresult({ results: [[{ transcript: text }]] }); this.onend(); }
};
delete window.webkitSpeechRecognition;
"""
"""What a browser offers, and `window.speech` to speak to it."""


@pytest.fixture
def page(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "open_word_recognizer", lambda *_: DiscRecognizer())
    clip, _ = scene.write_clip(tmp_path, 24, speed=0.0)
    with serve_run(f"file:{clip}?loop=1") as address:
        tab = browser.open_tab("about:blank")
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=SPEECH)
        tab.call("Page.navigate", url=address)
        tab.wait_for("window.gazecast?.word.isEnabled && gazecast.stage.view")
        yield tab
        assert tab.console_errors() == []
        tab.close()


def type_word(tab, text):
    tab.press_key("/")
    assert tab.evaluate("document.activeElement.id") == "word-text"
    tab.call("Input.insertText", text=text)
    tab.evaluate("document.querySelector('#word-form').requestSubmit()")


def test_a_typed_word_finds_its_thing_alone_and_unknown_ones_have_neighbours(page):
    type_word(page, "ball pen")
    page.wait_for(f"{STATE}.includes('“ball pen” is not known and changes nothing. Known are:')")
    page.click("#word-near button")
    page.wait_for(f"{STATE} === '“ball” is found.'")
    page.wait_for(f"{TARGET}?.prompt === 'word' && ['preview', 'locked'].includes({TARGET}.state)")
    page.wait_for("document.querySelector('#card-word').textContent === '“ball”'")
    assert page.evaluate("document.querySelector('#card-state').textContent").endswith(", by the word")
    type_word(page, "book")
    page.wait_for(f"{STATE} === '“book” is not in the picture now.'")
    page.click("#word-clear")
    page.wait_for("!gazecast.word.word.text && document.querySelector('#word-clear').hidden")


@pytest.mark.parametrize(("size", "is_phone"), [((1280, 800), False), ((360, 700), True)])
def test_a_long_word_without_spaces_stays_in_its_panel(page, size, is_phone):
    page.call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=is_phone)
    type_word(page, "x" * 80)
    page.wait_for(f"{STATE}.includes('Try an English name')")
    right = "document.querySelector('{}').getBoundingClientRect().right"
    panel = page.evaluate(right.format("#word"))
    for part in ("#word-form", "#word-clear", "#word-text", "#word-state", "#word-speech-note"):
        assert page.evaluate(right.format(part)) <= panel, part
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(
        "(() => { const p = document.querySelector('#word'); return p.scrollWidth <= p.clientWidth; })()"
    )


def test_a_spoken_word_is_set_and_a_refused_microphone_is_explained(page):
    page.press_key("v")
    page.wait_for(f"{STATE} === 'Listening; say what you look at.'")
    assert page.evaluate("document.querySelector('#word-speak').ariaPressed") == "true"
    assert page.evaluate("speech.lang") == "en-US"
    page.evaluate("speech.say('The Ball.')")
    page.wait_for(f"{STATE} === '“the ball” is found.'")
    page.evaluate("window.refusesSpeech = true")
    page.click("#word-speak")
    page.wait_for("document.querySelector('#notice').textContent.includes('blocks the microphone')")
    assert page.evaluate("document.querySelector('#word-speak').ariaPressed") == "false"


def test_a_run_that_refuses_words_says_why(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 24, speed=0.0)
    with serve_run(f"file:{clip}?loop=1", engine={"recognizer": "off"}) as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.word.isEnabled")
        type_word(tab, "cup")
        tab.wait_for(f"{STATE}.includes('engine.recognizer is \"off\"')")
        tab.close()
