"""Tests the page of a recording over real sockets: frames, labels, refused messages and access."""

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
from tests.realtime.recording import object_recordings
from tests.realtime.recording.object_recordings import frame_of, mask_of, run
from tests.realtime.viewer.page_clients import TOKEN, receive_text, run_client
from tests.realtime.waiting import eventually


@contextlib.contextmanager
def serve_recording(path, **settings):
    page = ReviewPage(ViewSettings(port=0, **settings), path)
    try:
        eventually(lambda: page.timeline.is_done, "the end of the file")
        yield page
    finally:
        page.close()


@pytest.fixture
def path(tmp_path):
    """Record twenty frames without an object, thirty of object 1, ten of object 2."""
    return object_recordings.record(tmp_path / "a.mcap", [*run(20, None), *run(30, 1), *run(10, 2, "held")])


async def seek(ws, **position):
    """Request a moment: (header, contours, JPEG)."""
    await ws.send_str(json.dumps({"t": "seek", **position}))
    while True:
        message = await ws.receive(timeout=60)
        if message.type == aiohttp.WSMsgType.BINARY:
            return unpack_frame(message.data)


def unpack_frame(data):
    length = int.from_bytes(data[:4], "little")
    header, at, lines = json.loads(data[4 : 4 + length]), 4 + length, []
    for count in header["outline"]:
        lines.append(np.frombuffer(data, "<u2", 2 * count, at).reshape(-1, 2))
        at += 4 * count
    return header, lines, data[at:]


def test_a_page_receives_the_recorded_frames_with_their_masks(path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            hello, timeline = await receive_text(ws, "hello"), await receive_text(ws, "timeline")
            assert (hello["file"], hello["source"], hello["complete"]) == ("a.mcap", "camera:0", True)
            assert (timeline["frames"], timeline["share"], timeline["damaged"]) == (60, 1, 0)
            for number in (0, 30, 55, 21):
                header, lines, jpeg = await seek(ws, n=number)
                assert (header["n"], jpeg) == (number, frame_of(number).jpeg)
                drawn = np.zeros((48, 64), np.uint8)
                cv2.fillPoly(drawn, [line.astype(np.int32) for line in lines], 1)
                number_shown = 0 if number < 20 else 1 if number < 50 else 2
                assert (drawn > 0).tolist() == (mask_of(number_shown) & (number_shown > 0)).tolist()
                assert (header["target"] or {"object": 0})["object"] == number_shown
                await ws.send_str(json.dumps({"t": "ack", "seq": header["seq"]}))
            by_time, _, _ = await seek(ws, ms=header["until_ms"] + 0.5)
            assert (by_time["n"], by_time["frame"]["timestamp"]) == (22, pytest.approx(100.88))
            async with session.get(base + "timeline.json") as answer:
                found = await answer.json()
            assert [(each["object"], each["masks"], each["visits"]) for each in found["objects"]] == [
                (1, 30, 1),
                (2, 10, 1),
            ]
            assert [span[2] for span in found["spans"]] == [1, 2]
            assert (found["confirmed"], [each["name"] for each in found["objects"]]) == ([], ["", ""])
            async with session.get(base + "thumbnail.jpg?object=2") as answer:
                picture = cv2.imdecode(np.frombuffer(await answer.read(), np.uint8), cv2.IMREAD_COLOR)
                assert answer.headers["Content-Type"] == "image/jpeg"
            assert picture.shape == (144, 192, 3)
            assert np.ptp(picture.astype(int).max(axis=2)) > 60  # a grey object with a lilac edge

    with serve_recording(path) as page:
        run_client(page, visit)


def test_one_frame_is_in_flight_and_the_newest_request_wins(path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws, session.ws_connect(base + "ws") as other:
            first, _, _ = await seek(ws, n=0)
            for number in range(1, 40):
                await ws.send_str(json.dumps({"t": "seek", "n": number}))
            await ws.send_str('{"t":"ack","seq":77}')  # not in flight
            assert (await seek(other, n=7))[0]["n"] == 7  # a stalled page delays no other
            await ws.send_str(json.dumps({"t": "ack", "seq": first["seq"]}))
            while (message := await ws.receive(timeout=60)).type != aiohttp.WSMsgType.BINARY:
                pass
            assert unpack_frame(message.data)[0]["n"] == 39

    with serve_recording(path) as page:
        run_client(page, visit)
        assert page.drop_counts()["skipped"] == 38


def test_labels_are_saved_sent_to_all_pages_and_undone(path, monkeypatch):
    def fill_disk(descriptor):
        raise OSError(28, "No space left on device")

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws, session.ws_connect(base + "ws") as other:
            for one in (ws, other):
                assert (await receive_text(one, "labels"))["labels"] == {"2": ["dog", False]}
            await ws.send_str('{"t":"label","object":1,"text":"  red\\tcup ","keep":true}')
            for one in (ws, other):
                message = await receive_text(one, "labels")
                assert (message["labels"], message["undo"]) == ({"1": ["red cup", True], "2": ["dog", False]}, 1)
            assert load_labels(path).get_label(1) == ObjectLabel("red cup")
            await other.send_str('{"t":"undo"}')
            assert (await receive_text(ws, "labels"))["labels"]["1"] == ["", True]
            monkeypatch.setattr("realtime.files.os.fsync", fill_disk)
            await ws.send_str('{"t":"label","object":1,"text":"cat"}')
            assert "cannot write the labels" in (await receive_text(ws, "notice"))["text"]
            assert (await receive_text(ws, "labels"))["labels"]["1"] == ["", True]

    labels_path(path).write_text('{"version":1,"objects":{"2":{"label":"dog","keep":false}}}')
    with serve_recording(path) as page:
        run_client(page, visit)


INVALID = (
    '{"t":"label","object":3,"text":"x"}', '{"t":"label","object":1,"text":1}', '{"t":"label","text":"x"}',
    '{"t":"label","object":1,"text":"' + "x" * 81 + '"}', '{"t":"label","object":1,"text":"\\u202e"}',
    '{"t":"label","object":1,"keep":"no"}', '{"t":"seek"}', '{"t":"seek","n":-1}', '{"t":"seek","n":1.5}',
    '{"t":"seek","ms":1e999}', '{"t":"seek","ms":-1}', '{"t":"view","kind":"frames"}',
    '{"t":"command","verb":"record"}', '{"t":"gaze","samples":[],"moved":true}', '{"t":"source","on":true}', "{",
)  # fmt: skip


def test_invalid_messages_are_counted_and_positions_after_the_end_show_the_last_frame(path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            for text in INVALID:
                await ws.send_str(text)
                assert len((await receive_text(ws, "refused"))["reason"]) < 300, text
            await ws.send_bytes(b"\x02\0\0\0{}jpeg")
            await receive_text(ws, "refused")
            header, _, _ = await seek(ws, n=2**53)
            assert header["n"] == 59
            await ws.send_str(json.dumps({"t": "ack", "seq": header["seq"]}))
            assert (await seek(ws, ms=1e12))[0]["n"] == 59
        for address in ("thumbnail.jpg", "thumbnail.jpg?object=9", "thumbnail.jpg?object=-1", "thumbnail.jpg?object=x"):
            async with session.get(base + address) as answer:
                assert (answer.status, len(await answer.text()) < 200) == (400, True)
        for address in ("overlay.mjpeg", "edges.mjpeg", "a.mcap", "../a.mcap"):
            async with session.get(base + address) as answer:
                assert answer.status == 404

    with serve_recording(path) as page:
        run_client(page, visit)
        assert page.drop_counts()["refused"] == len(INVALID) + 1 + 4
        assert not labels_path(path).exists()


@pytest.mark.parametrize("address", ["ws", "timeline.json", "thumbnail.jpg?object=1"])
def test_requests_without_the_token_or_of_other_sites_are_refused(path, address):
    async def visit(session, base):
        allowed = f"{address}{'&' if '?' in address else '?'}token={TOKEN}"
        for query, headers in (
            (address, {}), (allowed[:-1], {}),
            (allowed, {"Origin": "http://evil.example"}), (allowed, {"Host": "evil.example"}),
        ):  # fmt: skip
            async with session.get(base + query, headers=headers) as answer:
                assert answer.status == 403, (query, headers)
        async with session.get(base + allowed) as answer:
            assert answer.status == (400 if address == "ws" else 200)  # 400: not a WebSocket handshake

    with serve_recording(path, token=TOKEN) as page:
        run_client(page, visit)


def test_png_is_sent_as_jpeg_and_a_missing_file_is_reported(tmp_path):
    path = object_recordings.record(tmp_path / "b.mcap", run(60, 1), jpeg=False)

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            header, _, jpeg = await seek(ws, n=9)
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert (jpeg[:2], abs(int(picture[5, 5, 0]) - 29) <= 2) == (b"\xff\xd8", True)
            path.unlink()
            await ws.send_str(json.dumps({"t": "ack", "seq": header["seq"]}))
            header, _, jpeg = await seek(ws, n=55)
            assert ("No such file" in header["error"], header["n"], jpeg) == (True, 55, b"")
            await ws.send_str(json.dumps({"t": "ack", "seq": header["seq"]}))
            assert (await seek(ws, n=10))[0]["n"] == 10  # it was read together with the ninth

    with serve_recording(path) as page:
        run_client(page, visit)
        assert page.drop_counts()["failed"] == 1
