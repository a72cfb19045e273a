"""What a page sends over real sockets: camera, pointer, buttons, snapshots."""

import json
import time

import cv2
import numpy as np
import pytest

from realtime.pipeline.control import UserCommand
from realtime.sources.browser import BrowserFrames, BrowserGaze
from tests.realtime.sources.test_browser import jpeg
from tests.realtime.viewer.page_clients import VISIT_S, receive_text, run_client, serve_page
from tests.realtime.viewer.test_frame_broadcaster import frame_result
from tests.realtime.waiting import eventually


def camera_frame(index, data=None):
    header = json.dumps({"index": index, "ms": 1000.0 + index}).encode()
    return len(header).to_bytes(4, "little") + header + (data or jpeg())


def test_the_pages_camera_and_pointer_become_frames_and_gaze():
    frames, gaze = BrowserFrames(), BrowserGaze()
    received, samples = [], []
    frames.start(received.append)
    gaze.start(samples.append)

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            begun_ms = time.monotonic() * 1e3
            for _ in range(4):
                sync = await receive_text(ws, "sync")
                await ws.send_str(json.dumps({"t": "sync", "n": sync["n"], "ms": time.monotonic() * 1e3 - 5e6}))
            clock = await receive_text(ws, "clock")
            assert abs(clock["host_ms"] - 5e6) < time.monotonic() * 1e3 - begun_ms  # the longest possible round trip
            await ws.send_bytes(camera_frame(0))  # no page is the source yet
            await receive_text(ws, "received")
            await ws.send_str('{"t":"source","on":true,"label":"camera"}')
            while not (await receive_text(ws, "source"))["yours"]:
                pass
            await ws.send_bytes(camera_frame(1))
            assert (await receive_text(ws, "received"))["index"] == 1
            at_ms = time.monotonic() * 1e3 - 5e6
            await ws.send_str(json.dumps({"t": "gaze", "samples": [[0.25, 0.5, at_ms, 1]], "moved": True}))
            await ws.send_str(json.dumps({"t": "gaze", "samples": [[0.25, 0.5, at_ms + 1, 0]], "moved": False}))
            async with session.ws_connect(base + "ws") as other:  # a pointer over another page than the source
                await other.send_str('{"t":"gaze","samples":[[0.9,0.9,5,1]],"moved":true}')
                await other.send_str("?")
                await receive_text(other, "refused")
            await ws.send_str("?")
            await receive_text(ws, "refused")

    with serve_page(frames=frames, gaze=gaze) as page:
        run_client(page, visit)
        eventually(lambda: received, "a frame")
        assert page.drop_counts()["view.not the source"] == 1
        assert page.drop_counts()["view.not the pointer"] == 1
    frames.stop()
    assert [frame.index for frame in received] == [1]
    assert received[0].timestamp == pytest.approx(1.001)
    assert [(each.x, each.y, each.unit, each.confidence) for each in samples] == [
        (0.25, 0.5, "norm", 1.0),
        (0.25, 0.5, "norm", 0.0),
    ]
    assert abs(samples[0].captured_ns - samples[0].received_ns) < VISIT_S * 1e9  # the clocks differ by 5000 s


def test_the_newest_page_is_the_source_until_it_closes():
    frames = BrowserFrames()

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as first:
            await first.send_str('{"t":"source","on":true,"label":"one"}')
            while not (await receive_text(first, "source"))["yours"]:
                pass
            async with session.ws_connect(base + "ws") as second:
                await second.send_str('{"t":"source","on":true,"label":"two"}')
                source = await receive_text(first, "source")
                while source["yours"]:
                    source = await receive_text(first, "source")
                assert (source["active"], source["label"]) == (True, "two")
            assert not (await receive_text(first, "source"))["active"]

    with serve_page(frames=frames) as page:
        run_client(page, visit)
    frames.stop()


def test_buttons_become_commands():
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            await ws.send_str('{"t":"command","verb":"hold","on":true}')
            await ws.send_str('{"t":"command","verb":"part"}')
            await ws.send_str("?")
            await receive_text(ws, "refused")

    with serve_page() as page:
        run_client(page, visit)
        assert page.commands.drain() == [UserCommand("hold", True), UserCommand("part", True)]


def test_a_snapshot_is_written_and_reported(tmp_path):
    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            await receive_text(ws, "hello")
            page.on_command(UserCommand("snapshot"), frame_result(4))
            return (await receive_text(ws, "notice"))["text"]

    folder = tmp_path / "new" / "shots"
    with serve_page(snapshots=folder) as page:
        first, second = run_client(page, visit), run_client(page, visit)
    assert first.startswith("saved ")
    assert second != first
    written = sorted(path.name.partition("-")[2].partition("-")[2] for path in folder.iterdir())
    assert len(written) == 8
    mask = cv2.imread(str(next(folder.glob("*-mask.png"))), cv2.IMREAD_GRAYSCALE)
    assert set(np.unique(mask)) == {0, 255}
    metadata = json.loads(next(folder.glob("*.json")).read_text())
    assert metadata["state"] == "locked"
    assert "mask" not in metadata


def test_a_snapshot_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("in the way")

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            await receive_text(ws, "hello")
            page.on_command(UserCommand("snapshot"), frame_result(4))
            return (await receive_text(ws, "notice"))["text"]

    with serve_page(snapshots=tmp_path / "file") as page:
        for _ in range(2):
            assert run_client(page, visit).startswith("cannot write a snapshot into")
