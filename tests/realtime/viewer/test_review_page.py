"""The page of a recording over real sockets: it shows what was recorded, what is said is saved, nonsense is refused."""

from __future__ import annotations

import contextlib
import json

import aiohttp
import cv2
import numpy as np
import pytest

from realtime.config.viewer import ViewSettings
from realtime.recording.labels import ObjectLabel, labels_path, load_labels
from realtime.viewer.review_page import ReviewPage
from tests.realtime.recording import looked
from tests.realtime.recording.looked import frame_of, mask_of, run
from tests.realtime.viewer.test_server import TOKEN, texts, visiting
from tests.realtime.waiting import eventually


@contextlib.contextmanager
def serving(path, **settings):
    page = ReviewPage(ViewSettings(port=0, **settings), path)
    try:
        eventually(lambda: page.timeline.done, "the end of the file", 30)
        yield page
    finally:
        page.close()


@pytest.fixture
def path(tmp_path):
    """Twenty frames of nothing, thirty of object 1, ten of object 2."""
    return looked.record(tmp_path / "a.mcap", [*run(20, None), *run(30, 1), *run(10, 2, "held")])


async def shown(ws, **what):
    """Ask for a moment: (head, outlines, JPEG)."""
    await ws.send_str(json.dumps({"t": "seek", **what}))
    while True:
        message = await ws.receive(timeout=10)
        if message.type == aiohttp.WSMsgType.BINARY:
            return unpacked(message.data)


def unpacked(data):
    length = int.from_bytes(data[:4], "little")
    head, at, lines = json.loads(data[4 : 4 + length]), 4 + length, []
    for count in head["outline"]:
        lines.append(np.frombuffer(data, "<u2", 2 * count, at).reshape(-1, 2))
        at += 4 * count
    return head, lines, data[at:]


def test_a_page_sees_the_recorded_frames_with_their_recorded_masks(path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            hello, timeline = await texts(ws, "hello"), await texts(ws, "timeline")
            assert (hello["file"], hello["source"], hello["complete"]) == ("a.mcap", "camera:0", True)
            assert (timeline["frames"], timeline["share"], timeline["damaged"]) == (60, 1, 0)
            for number in (0, 30, 55, 21):
                head, lines, jpeg = await shown(ws, n=number)
                assert (head["n"], jpeg) == (number, frame_of(number).jpeg)
                drawn = np.zeros((48, 64), np.uint8)
                cv2.fillPoly(drawn, [line.astype(np.int32) for line in lines], 1)
                thing = 0 if number < 20 else 1 if number < 50 else 2
                assert (drawn > 0).tolist() == (mask_of(thing) & (thing > 0)).tolist()
                assert (head["target"] or {"object": 0})["object"] == thing
                await ws.send_str(json.dumps({"t": "ack", "seq": head["seq"]}))
            by_time, _, _ = await shown(ws, ms=head["until_ms"] + 0.5)
            assert (by_time["n"], by_time["frame"]["timestamp"]) == (22, pytest.approx(100.88))
            async with session.get(base + "timeline.json") as answer:
                found = await answer.json()
            assert [(one["object"], one["masks"], one["visits"]) for one in found["objects"]] == [
                (1, 30, 1),
                (2, 10, 1),
            ]
            assert [span[2] for span in found["spans"]] == [1, 2]
            async with session.get(base + "thumbnail.jpg?object=2") as answer:
                picture = cv2.imdecode(np.frombuffer(await answer.read(), np.uint8), cv2.IMREAD_COLOR)
                assert answer.headers["Content-Type"] == "image/jpeg"
            assert picture.shape == (144, 192, 3)
            assert np.ptp(picture.astype(int).max(axis=2)) > 60  # grey, and an edge in lilac

    with serving(path) as page:
        visiting(page, visit)


def test_one_picture_is_in_flight_and_the_newest_wish_wins(path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws, session.ws_connect(base + "ws") as other:
            first, _, _ = await shown(ws, n=0)
            for number in range(1, 40):
                await ws.send_str(json.dumps({"t": "seek", "n": number}))
            await ws.send_str('{"t":"ack","seq":77}')  # of nobody's
            assert (await shown(other, n=7))[0]["n"] == 7  # who stalls delays nobody
            await ws.send_str(json.dumps({"t": "ack", "seq": first["seq"]}))
            while (message := await ws.receive(timeout=10)).type != aiohttp.WSMsgType.BINARY:
                pass
            assert unpacked(message.data)[0]["n"] == 39

    with serving(path) as page:
        visiting(page, visit)
        assert page.drop_counts()["skipped"] == 38


def test_what_is_said_is_saved_told_to_all_and_undone(path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws, session.ws_connect(base + "ws") as other:
            for one in (ws, other):
                assert (await texts(one, "labels"))["labels"] == {"2": ["dog", False]}
            await ws.send_str('{"t":"label","object":1,"text":"  red\\tcup ","keep":true}')
            for one in (ws, other):
                told = await texts(one, "labels")
                assert (told["labels"], told["undo"]) == ({"1": ["red cup", True], "2": ["dog", False]}, 1)
            assert load_labels(path).of(1) == ObjectLabel("red cup")
            await other.send_str('{"t":"undo"}')
            assert (await texts(ws, "labels"))["labels"]["1"] == ["", True]
            labels_path(path).with_suffix(".part").mkdir()  # so that they cannot be written
            await ws.send_str('{"t":"label","object":1,"text":"cat"}')
            assert "cannot write the labels" in (await texts(ws, "notice"))["text"]
            assert (await texts(ws, "labels"))["labels"]["1"] == ["", True]

    labels_path(path).write_text('{"version":1,"objects":{"2":{"label":"dog","keep":false}}}')
    with serving(path) as page:
        visiting(page, visit)


NONSENSE = (
    '{"t":"label","object":3,"text":"x"}', '{"t":"label","object":1,"text":1}', '{"t":"label","text":"x"}',
    '{"t":"label","object":1,"text":"' + "x" * 81 + '"}', '{"t":"label","object":1,"text":"\\u202e"}',
    '{"t":"label","object":1,"keep":"no"}', '{"t":"seek"}', '{"t":"seek","n":-1}', '{"t":"seek","n":1.5}',
    '{"t":"seek","ms":1e999}', '{"t":"seek","ms":-1}', '{"t":"view","kind":"frames"}',
    '{"t":"command","verb":"record"}', '{"t":"gaze","samples":[],"moved":true}', '{"t":"source","on":true}', "{",
)  # fmt: skip


def test_nonsense_is_refused_and_counted_and_far_off_moments_are_the_last(path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            for nonsense in NONSENSE:
                await ws.send_str(nonsense)
                assert len((await texts(ws, "refused"))["reason"]) < 300, nonsense
            await ws.send_bytes(b"\x02\0\0\0{}jpeg")
            await texts(ws, "refused")
            head, _, _ = await shown(ws, n=2**53)
            assert head["n"] == 59
            await ws.send_str(json.dumps({"t": "ack", "seq": head["seq"]}))
            assert (await shown(ws, ms=1e12))[0]["n"] == 59
        for address in ("thumbnail.jpg", "thumbnail.jpg?object=9", "thumbnail.jpg?object=-1", "thumbnail.jpg?object=x"):
            async with session.get(base + address) as answer:
                assert (answer.status, len(await answer.text()) < 200) == (400, True)
        for address in ("overlay.mjpeg", "edges.mjpeg", "a.mcap", "../a.mcap"):
            async with session.get(base + address) as answer:
                assert answer.status == 404

    with serving(path) as page:
        visiting(page, visit)
        assert page.drop_counts()["refused"] == len(NONSENSE) + 1 + 4
        assert not labels_path(path).exists()


@pytest.mark.parametrize("address", ["ws", "timeline.json", "thumbnail.jpg?object=1"])
def test_strangers_see_nothing(path, address):
    async def visit(session, base):
        mine = f"{address}{'&' if '?' in address else '?'}token={TOKEN}"
        for query, headers in (
            (address, {}), (mine[:-1], {}), (mine, {"Origin": "http://evil.example"}), (mine, {"Host": "evil.example"}),
        ):  # fmt: skip
            async with session.get(base + query, headers=headers) as answer:
                assert answer.status == 403, (query, headers)
        async with session.get(base + mine) as answer:
            assert answer.status == (400 if address == "ws" else 200)  # no handshake

    with serving(path, token=TOKEN) as page:
        visiting(page, visit)


def test_png_goes_out_as_jpeg_and_a_file_that_has_gone_is_said(tmp_path):
    path = looked.record(tmp_path / "b.mcap", run(60, 1), jpeg=False)

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            head, _, jpeg = await shown(ws, n=9)
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert (jpeg[:2], abs(int(picture[5, 5, 0]) - 29) <= 2) == (b"\xff\xd8", True)
            path.unlink()
            await ws.send_str(json.dumps({"t": "ack", "seq": head["seq"]}))
            head, _, jpeg = await shown(ws, n=55)
            assert ("No such file" in head["error"], head["n"], jpeg) == (True, 55, b"")
            await ws.send_str(json.dumps({"t": "ack", "seq": head["seq"]}))
            assert (await shown(ws, n=10))[0]["n"] == 10  # which was fetched with the ninth

    with serving(path) as page:
        visiting(page, visit)
        assert page.drop_counts()["failed"] == 1
