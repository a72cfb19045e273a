"""Recording from the live page in a real browser: R, a red mark, names while it goes on, and a file that opens."""

from __future__ import annotations

import errno
import os

import pytest

from realtime.recording.labels import ObjectLabel, load_labels
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import things
from realtime.recording.writer import RecordingFile
from tests.browser import installed
from tests.realtime.recording import looked
from tests.realtime.viewer.running import LONG_S, serving, started, until_masked
from tests.realtime.viewer.showing import look_at_red
from tests.realtime.waiting import eventually

pytestmark = [
    pytest.mark.skipif(installed() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"),
    pytest.mark.timeout(180),
]
NOTICE = "document.getElementById('notice').textContent"
MARKED = "!document.getElementById('record-mark').hidden"
NAMING = "document.activeElement.matches('#things input')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recordings") / "new"


@pytest.fixture(scope="module")
def tab(browser, folder):
    with serving("browser:", folder) as address:
        tab = started(browser, address)
        until_masked(tab)
        yield tab
        tab.close()


@pytest.fixture(scope="module")
def recorded(tab, folder):
    """A recording that was made, named and ended from the page."""
    assert tab.do("document.getElementById('said').hidden")
    tab.key("r")
    tab.until(MARKED)
    (path,) = folder.glob("*.mcap")
    tab.until(f"{NOTICE} === 'recording into {path}'")
    assert tab.do("document.getElementById('record-file').textContent") == path.name
    eventually(lambda: look_at_red(tab) and tab.key("n") is None and tab.do(NAMING), "an object to name", LONG_S)
    thing = tab.do("Number(document.activeElement.closest('li').dataset.object)")
    tab.call("Input.insertText", text="rocks and trees")  # with letters that are keys elsewhere
    for kind in ("rawKeyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key="Enter")
    eventually(lambda: load_labels(path).of(thing) == ObjectLabel("rocks and trees"), "a name in the file", LONG_S)
    tab.do(f"gazecast.recording.things.toggle({thing})")
    eventually(lambda: not load_labels(path).of(thing).keep, "that it is dropped", LONG_S)
    tab.until("document.querySelector('#things li.dropped') !== null")
    tab.key("u")
    eventually(lambda: load_labels(path).of(thing).keep, "that it is kept again", LONG_S)
    pictured = "document.querySelector('#things img').naturalWidth === 128"
    eventually(lambda: look_at_red(tab) and tab.do(pictured), "its picture", LONG_S)
    tab.click("[data-verb=record]")
    tab.until(f"!({MARKED})")
    tab.until(f"{NOTICE} === 'saved {path}'")
    assert tab.complaints() == []
    return path, thing


def test_what_the_page_recorded_opens_and_knows_its_names(recorded, tab):
    path, thing = recorded
    recording = RecordingReader(path)
    assert recording.complete
    named = {one.object: (one.label, one.keep) for one in things(recording, load_labels(path))}
    assert named[thing] == ("rocks and trees", True)
    assert next(recording.frames()).index >= 0
    assert tab.do("document.getElementById('said-of').textContent") == f"Recorded: {path.name}"


def test_it_says_why_it_cannot_record_and_why_it_has_stopped(recorded, tab, folder, monkeypatch):
    before = set(folder.iterdir())
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("a file where the folder was")
    tab.key("r")
    tab.until(f"{NOTICE}.startsWith('cannot record into ')")
    assert not tab.do(MARKED)
    folder.unlink()
    aside.rename(folder)

    def full(self, topic, log_ns, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RecordingFile, "put", full)
    tab.key("r")
    tab.until(f"{NOTICE}.includes('No space left on device')")
    tab.until(f"!({MARKED})")
    assert tab.do(f"{NOTICE}.startsWith('the recording has stopped after ')")
    assert tab.do("document.querySelector('[data-verb=record]').getAttribute('aria-pressed')") == "false"
    assert set(folder.iterdir()) >= before


def test_a_replay_is_watched_and_asks_for_no_camera(browser, tmp_path):
    path = looked.record(tmp_path / "a.mcap", looked.run(1500, 1), every=50)  # a minute, so that it lasts
    with serving(f"recording:{path}", tmp_path) as address:
        tab = browser.open("about:blank")
        tab.call("Page.addScriptToEvaluateOnNewDocument", source="navigator.mediaDevices.getUserMedia = () => fail();")
        tab.call("Page.navigate", url=address)
        tab.until("Boolean(window.gazecast?.state.latest?.bitmap)", 60)
        assert tab.do("['start', 'sources', 'modes'].every((id) => document.getElementById(id).hidden)")
        assert tab.complaints() == []
        tab.close()
