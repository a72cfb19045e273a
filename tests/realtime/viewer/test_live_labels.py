"""Tests labels from the live page over a real socket: only objects shown in a recording can be labelled."""

import json

from realtime.recording.labels import ObjectLabel, load_labels
from tests.realtime.viewer.page_clients import receive_text, run_client, serve_page
from tests.realtime.viewer.test_shown_objects import shown_result


def test_only_objects_of_a_recording_of_this_run_can_be_labelled(tmp_path):
    path = tmp_path / "now.mcap"

    async def visit(session, base):
        async with session.ws_connect(base + "ws") as ws:
            state = await receive_text(ws, "recording")
            assert (state["on"], state["file"]) == (False, "")
            await ws.send_str('{"t":"label","object":1,"text":"cup"}')
            assert "object 1 was not shown" in (await receive_text(ws, "refused"))["reason"]
            await ws.send_str('{"t":"undo"}')
            assert "no recording" in (await receive_text(ws, "notice"))["text"]
            await ws.send_str('{"t":"seek","n":1}')
            assert "this page is live" in (await receive_text(ws, "refused"))["reason"]
            page.on_mask(shown_result(0, 1))
            page.recording.set_file(path)
            assert (await receive_text(ws, "recording"))["file"] == "now.mcap"
            while (await receive_text(ws, "labels"))["recording"] != "now.mcap":
                pass
            page.on_mask(shown_result(1, 2))
            assert (await receive_text(ws, "objects"))["objects"] == [[2, 0, 1]]
            await ws.send_str('{"t":"label","object":1,"text":"cup"}')  # shown before the recording
            await receive_text(ws, "refused")
            page.recording.set_file(None)
            assert not (await receive_text(ws, "recording"))["on"]
            await ws.send_str(
                json.dumps({"t": "label", "object": 2, "text": "cup", "keep": False})
            )  # after the recording
            assert (await receive_text(ws, "labels"))["labels"] == {"2": ["cup", False]}
        async with session.ws_connect(base + "ws") as late:
            messages = [await receive_text(late, kind) for kind in ("recording", "labels", "objects")]
            assert (messages[0]["on"], messages[1]["labels"], messages[2]["objects"]) == (
                False,
                {"2": ["cup", False]},
                [[2, 0, 1]],
            )

    with serve_page() as page:
        run_client(page, visit)
    assert load_labels(path).get_label(2) == ObjectLabel("cup", keep=False)
