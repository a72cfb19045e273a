"""Masks are corrected in the page of a recording: over sockets, in a browser, and in a process that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import cv2
import numpy as np
import pytest

from engines.fake import open_fake
from realtime.config.viewer import ViewSettings
from realtime.correction.editor import ReviewEditor, load_answers
from realtime.recording.labels import ObjectLabel
from realtime.viewer.review_page import ReviewPage
from tests.browser import find_browser
from tests.realtime.correction.moving_disc import COUNT, FIRST, centre_of, compute_iou, record, share_of, truth_of
from tests.realtime.viewer.page_clients import receive_text, run_client
from tests.realtime.viewer.test_review_page import seek
from tests.realtime.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path):
    return record(tmp_path)


@pytest.fixture
def page(path):
    page = ReviewPage(ViewSettings(port=0), path, open_engine=open_fake)
    eventually(lambda: page.timeline.is_done, "the end of the file")
    yield page
    page.close()


def fill(lines):
    drawn = np.zeros((48, 64), np.uint8)
    cv2.fillPoly(drawn, [line.astype(np.int32) for line in lines], 1)
    return drawn > 0


def correct(number, **fields):
    return json.dumps(
        {"t": "correct", "kind": "click", "n": number, "object": 1, "places": [share_of(number)], **fields}
    )


async def receive_edits(ws, is_enough):
    while not is_enough(message := await receive_text(ws, "edits")):
        pass
    return message


def test_every_page_shows_a_correction_which_is_carried_undone_and_redone(page, path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws, session.ws_connect(base + "ws") as other:
            assert (await receive_text(ws, "edits"))["undo"] == 0
            async with session.get(base + "timeline.json") as answer:
                assert (await answer.json())["tasks"] == [["doubtful", FIRST, 1, 0.5]]
            await other.send_str('{"t":"prepare","n":15}')
            await ws.send_str(correct(15, seconds=1.5))
            assert (await receive_text(other, "corrected"))["object"] == 1
            await receive_edits(ws, lambda message: message["undo"] == 1 and message["version"] == 3)  # carried
            async with session.get(base + "timeline.json") as answer:
                found = await answer.json()
            assert (len(found["corrected"]), len(found["anchors"]), found["tasks"]) == (1, 1, [])
            assert found["objects"][0]["corrected"] == COUNT
            for number in (FIRST, 15, FIRST + COUNT - 1):
                header, lines, _ = await seek(ws, n=number)
                await ws.send_str(json.dumps({"t": "ack", "seq": header["seq"]}))
                assert header["corrected"]["carried"] == (number != 15)
                assert compute_iou(fill(lines), truth_of(number)) > 0.7
            async with session.get(base + f"thumbnail.jpg?object=1&version={found['objects'][0]['version']}") as answer:
                assert answer.status == 200
            await other.send_str('{"t":"label","object":1,"text":"disc","keep":true}')
            assert (await receive_text(ws, "labels"))["labels"] == {"1": ["disc", True]}
            await other.send_str('{"t":"undo"}')
            await other.send_str('{"t":"undo"}')
            edits = await receive_edits(ws, lambda message: message["undo"] == 0)
            assert edits["redo"] == 2
            header, _, _ = await seek(ws, n=15)
            assert header["corrected"] is None
            await ws.send_str(json.dumps({"t": "ack", "seq": header["seq"]}))
            await other.send_str('{"t":"redo"}')
            await receive_edits(ws, lambda message: message["redo"] == 1)
            assert (await seek(ws, n=FIRST))[0]["corrected"]["carried"]

    run_client(page, visit)
    labels, state = load_answers(path)
    assert (labels.get_label(1), state.corrections[0].seconds) == (ObjectLabel(), 1.5)


INVALID = (
    '{"t":"correct","kind":"click","n":1}', '{"t":"correct","kind":"box","n":1,"places":[[0,0]]}',
    '{"t":"correct","kind":"brush","n":1,"places":[]}', '{"t":"correct","kind":"fill","n":1}',
    '{"t":"correct","kind":"click","n":-1,"places":[[0,0]]}', '{"t":"correct","kind":"click","n":1,"places":[[0,2]]}',
    '{"t":"correct","kind":"click","n":1,"places":[[0,0]],"object":77}', '{"t":"prepare"}',
    '{"t":"correct","kind":"step","n":1,"step":"up"}',
    '{"t":"correct","kind":"brush","n":1,"places":[[0,0]],"radius":9}',
)  # fmt: skip


def test_what_cannot_be_done_is_said_and_changes_nothing(page, path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            for text in INVALID:
                await ws.send_str(text)
                assert len((await receive_text(ws, "refused"))["reason"]) < 300, text
            for text, reason in (
                (correct(1, on=False), "no mask here"),
                (correct(999), "frame 999 of"),
                ('{"t":"correct","kind":"step","n":1,"object":1,"step":"next"}', ""),
            ):
                await ws.send_str(text)
                if reason:
                    assert reason in (await receive_text(ws, "notice"))["text"]

    run_client(page, visit)
    page.close()
    assert [event.means for event in load_answers(path)[1].corrections] in ([], ["candidate"])


def test_without_an_engine_the_page_says_why_and_labels_still_work(path):
    page = ReviewPage(ViewSettings(port=0), path)

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            await receive_text(ws, "timeline")
            eventually(lambda: page.timeline.is_done, "the end of the file")
            await ws.send_str(correct(15))
            assert "gazecast review" in (await receive_text(ws, "notice"))["text"]
            await ws.send_str('{"t":"label","object":1,"text":"disc","keep":true}')
            assert (await receive_text(ws, "labels"))["labels"] == {"1": ["disc", True]}

    try:
        run_client(page, visit)
    finally:
        page.close()


def test_a_correction_survives_the_death_of_the_process(path):
    program = [sys.executable, str(ROOT / "gazecast.py"), "review", str(path)]
    command, env = [*program, "--engine", "fake", "--set", "view.port=0"], {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
        try:
            lines = iter(process.stdout.readline, "")
            address = next(found[0] for line in lines if (found := re.search(r"http://\S+", line)))

            async def click():
                async with aiohttp.ClientSession() as session, session.ws_connect(address + "ws") as ws:
                    while (await receive_text(ws, "timeline"))["share"] < 1:
                        pass
                    await ws.send_str(correct(15, seconds=3))
                    await receive_text(ws, "corrected")
                    process.send_signal(signal.SIGKILL)

            asyncio.run(asyncio.wait_for(click(), 120))
        finally:
            process.kill()
    editor = ReviewEditor(path)
    (event,) = editor.state.corrections
    assert (event.object, event.seconds, len(event.candidates)) == (1, 3.0, 4)
    assert compute_iou(editor.state.find_masks(event.frame)[1].unpack(), truth_of(15)) > 0.7
    page = ReviewPage(ViewSettings(port=0), path)  # carries what the dead process had no time for, without an engine
    try:
        eventually(lambda: len(page.editor.state.masks) == COUNT, "the masks of the visit")
    finally:
        page.close()


@pytest.mark.skipif(find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it")
def test_clicks_and_keys_correct_a_mask_in_the_browser(page, path, browser):
    tab = browser.open_tab(page.address, (1240, 800))
    try:
        tab.wait_for("window.gazecast?.player.shown && gazecast.correction.tasks.length === 1")
        tab.click("#correct")
        tab.click("#next-task")
        tab.wait_for(f"gazecast.player.shown.header.n === {FIRST} && !gazecast.player.inFlight")
        assert tab.evaluate("document.getElementById('correction-target').textContent") == "object 1"
        left, top, width, height = tab.evaluate(
            "(() => { const { view, element, picture } = gazecast.stage, box = element.getBoundingClientRect();"
            " const ratio = box.width / picture.width, wide = view.width * view.scale, high = view.height * view.scale;"
            " return [box.left + view.x * ratio, box.top + view.y * ratio, wide * ratio, high * ratio]; })()"
        )
        x, y = left + share_of(FIRST)[0] * width, top + share_of(FIRST)[1] * height
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            tab.send_mouse(kind, x, y)
        tab.wait_for("gazecast.player.shown.header.corrected?.points?.length === 1")
        (event,) = load_answers(path)[1].corrections
        assert event.points[0][:2] == pytest.approx(centre_of(FIRST), abs=0.6)
        assert 0 < event.seconds < 300
        tab.wait_for(f"gazecast.state.objects[0].corrected === {COUNT} && gazecast.correction.tasks.length === 0")
        for key in ("ArrowLeft", "ArrowUp"):
            for kind in ("rawKeyDown", "keyUp"):
                tab.call("Input.dispatchKeyEvent", type=kind, key=key)
        assert tab.evaluate("gazecast.correction.tool.cursor[0]") < 0.5
        for key, undo in (("-", 2), ("u", 1), ("Z", 2)):  # a click on the background, undo, redo
            for kind in ("rawKeyDown", "keyUp"):
                tab.call("Input.dispatchKeyEvent", type=kind, key=key)
            tab.wait_for(f"gazecast.correction.edits.undo === {undo}")
        assert load_answers(path)[1].corrections[1].points[-1][2] == 0
        assert tab.console_errors() == []
    finally:
        tab.close()
