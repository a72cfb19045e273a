"""Tests recording from the live page in a real browser: the mark, the list of objects and the file."""

from __future__ import annotations

import errno
import os

import pytest

from realtime.recording.labels import ObjectLabel, load_labels
from realtime.recording.reader import RecordingReader
from realtime.recording.writer import RecordingFile
from tests.browser import find_browser
from tests.realtime.recording import object_recordings
from tests.realtime.recording.object_recordings import find_objects
from tests.realtime.viewer.page_pixels import point_at_red
from tests.realtime.viewer.page_runs import open_with_camera, serve_run, wait_for_mask
from tests.realtime.waiting import eventually

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
)
NOTICE = "document.getElementById('notice').textContent"
IS_MARKED = "!document.getElementById('record-mark').hidden"
IS_NAMING = "document.activeElement.matches('#objects input')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recordings") / "new"


@pytest.fixture(scope="module")
def tab(browser, folder):
    with serve_run("browser:", folder) as address:
        tab = open_with_camera(browser, address)
        wait_for_mask(tab)
        yield tab
        tab.close()


@pytest.fixture(scope="module")
def recorded(tab, folder):
    """Record, name an object and stop, all from the page."""
    assert tab.evaluate("document.getElementById('recorded').hidden")
    tab.press_key("r")
    tab.wait_for(IS_MARKED)
    (path,) = folder.glob("*.mcap")
    tab.wait_for(f"{NOTICE} === 'recording into {path}'")
    assert tab.evaluate("document.getElementById('record-file').textContent") == path.name
    eventually(
        lambda: point_at_red(tab) and tab.press_key("n") is None and tab.evaluate(IS_NAMING),
        "an object to name",
    )
    number = tab.evaluate("Number(document.activeElement.closest('li').dataset.object)")
    tab.call("Input.insertText", text="rocks and trees")  # with letters that are keys elsewhere
    for kind in ("rawKeyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key="Enter")
    eventually(lambda: load_labels(path).get_label(number) == ObjectLabel("rocks and trees"), "a name in the file")
    tab.evaluate(f"gazecast.recording.objects.toggleKeep({number})")
    eventually(lambda: not load_labels(path).get_label(number).keep, "that it is dropped")
    tab.wait_for("document.querySelector('#objects li.dropped') !== null")
    tab.press_key("u")
    eventually(lambda: load_labels(path).get_label(number).keep, "that it is kept again")
    pictured = "document.querySelector('#objects img').naturalWidth === 192"
    eventually(lambda: point_at_red(tab) and tab.evaluate(pictured), "its picture")
    tab.click("[data-verb=record]")
    tab.wait_for(f"!({IS_MARKED})")
    tab.wait_for(f"{NOTICE} === 'saved {path}'")
    assert tab.console_errors() == []
    return path, number


def test_the_recorded_file_opens_and_has_the_names(recorded, tab):
    path, number = recorded
    recording = RecordingReader(path)
    assert recording.complete
    named = {one.object: (one.label, one.keep) for one in find_objects(recording, load_labels(path))}
    assert named[number] == ("rocks and trees", True)
    assert next(recording.read_frames()).index >= 0
    assert tab.evaluate("document.getElementById('recorded-title').textContent") == f"Recorded: {path.name}"


def test_the_page_reports_why_it_cannot_record_and_why_it_stopped(recorded, tab, folder, monkeypatch):
    before = set(folder.iterdir())
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("a file where the folder was")
    tab.press_key("r")
    tab.wait_for(f"{NOTICE}.startsWith('cannot record into ')")
    assert not tab.evaluate(IS_MARKED)
    folder.unlink()
    aside.rename(folder)

    def full(self, topic, log_ns, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RecordingFile, "write_message", full)
    tab.press_key("r")
    tab.wait_for(f"{NOTICE}.includes('No space left on device')")
    tab.wait_for(f"!({IS_MARKED})")
    assert tab.evaluate(f"{NOTICE}.startsWith('the recording has stopped after ')")
    assert tab.evaluate("document.querySelector('[data-verb=record]').getAttribute('aria-pressed')") == "false"
    assert set(folder.iterdir()) >= before


def test_a_replay_is_shown_without_asking_for_a_camera(browser, tmp_path):
    path = object_recordings.record(
        tmp_path / "a.mcap", object_recordings.run(1500, 1), every=50
    )  # a minute, so that it lasts
    with serve_run(f"recording:{path}", tmp_path) as address:
        tab = browser.open_tab("about:blank")
        tab.call("Page.addScriptToEvaluateOnNewDocument", source="navigator.mediaDevices.getUserMedia = () => fail();")
        tab.call("Page.navigate", url=address)
        tab.wait_for("Boolean(window.gazecast?.state.latest?.bitmap)")
        assert tab.evaluate("['start', 'sources', 'modes'].every((id) => document.getElementById(id).hidden)")
        assert tab.console_errors() == []
        tab.close()
