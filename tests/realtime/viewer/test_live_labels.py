"""Names and drops from the live page, over a real socket: only of what was on show while it recorded."""

import json

from realtime.recording.labels import ObjectLabel, load_labels
from tests.realtime.viewer.test_server import serving, texts, visiting
from tests.realtime.viewer.test_shown_objects import shown


def test_objects_of_this_recording_are_named_and_others_refused(tmp_path):
    path = tmp_path / "now.mcap"

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            told = await texts(ws, "recording")
            assert (told["on"], told["file"]) == (False, "")
            await ws.send_str('{"t":"label","object":1,"text":"cup"}')
            assert "object 1 was not shown" in (await texts(ws, "refused"))["reason"]
            await ws.send_str('{"t":"undo"}')
            assert "no recording" in (await texts(ws, "notice"))["text"]
            await ws.send_str('{"t":"seek","n":1}')
            assert "this page is live" in (await texts(ws, "refused"))["reason"]
            page.on_mask(shown(0, 1))
            page.set_recording(path)
            assert (await texts(ws, "recording"))["file"] == "now.mcap"
            while (await texts(ws, "labels"))["recording"] != "now.mcap":
                pass
            page.on_mask(shown(1, 2))
            assert (await texts(ws, "objects"))["objects"] == [[2, 0]]
            await ws.send_str('{"t":"label","object":1,"text":"cup"}')  # which was before
            await texts(ws, "refused")
            page.set_recording(None)
            assert not (await texts(ws, "recording"))["on"]
            await ws.send_str(json.dumps({"t": "label", "object": 2, "text": "cup", "keep": False}))  # still
            assert (await texts(ws, "labels"))["labels"] == {"2": ["cup", False]}
        async with session.ws_connect(base + "ws") as late:
            told = [await texts(late, kind) for kind in ("recording", "labels", "objects")]
            assert (told[0]["on"], told[1]["labels"], told[2]["objects"]) == (False, {"2": ["cup", False]}, [[2, 0]])

    with serving() as page:
        visiting(page, visit)
    assert load_labels(path).of(2) == ObjectLabel("cup", keep=False)
