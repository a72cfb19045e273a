"""Tests that messages of pages are read, or refused with one line."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import PageError
from realtime.pipeline.control import UserCommand
from realtime.recording.labels import ObjectLabel
from realtime.viewer.page_messages import (
    MAX_GAZE_SAMPLES,
    MAX_TEXT_CHARS,
    CalibrationChange,
    ClockSync,
    EyeCameraChange,
    FrameAck,
    LabelChange,
    PageGaze,
    PageSourceChange,
    PointerSample,
    ScreenChange,
    ScreenClick,
    SeekRequest,
    UndoRequest,
    ViewRequest,
    pack_view_frame,
    read_page_frame,
    read_text,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"t":"view","kind":"masks"}', ViewRequest("masks")),
        ('{"t":"ack","seq":5}', FrameAck(5)),
        ('{"t":"sync","n":1,"ms":12.5}', ClockSync(1, 12.5)),
        ('{"t":"source","on":false}', PageSourceChange(False, "")),
        ('{"t":"source","on":true,"label":"cam\\u0007era"}', PageSourceChange(True, "camera")),
        ('{"t":"gaze","samples":[[0.5,1,3,1]],"moved":true}', PageGaze((PointerSample(0.5, 1.0, 3.0, 1.0),), True)),
        ('{"t":"command","verb":"hold","on":false}', UserCommand("hold", False)),
        ('{"t":"command","verb":"clear"}', UserCommand("clear", True)),
        ('{"t":"command","verb":"confirm","object":4}', UserCommand("confirm", object=4)),
        ('{"t":"command","verb":"confirm","object":null}', UserCommand("confirm")),
        ('{"t":"seek","n":7}', SeekRequest(7, None)),
        ('{"t":"seek","ms":7.5}', SeekRequest(None, 7.5)),
        ('{"t":"label","object":3,"text":" a\\n cup "}', LabelChange(3, ObjectLabel("a cup"))),
        ('{"t":"label","object":3,"keep":false}', LabelChange(3, ObjectLabel("", keep=False))),
        ('{"t":"undo"}', UndoRequest()),
        ('{"t":"eyes"}', EyeCameraChange(True)),
        ('{"t":"click","x":-3.5,"y":700}', ScreenClick(-3.5, 700.0)),
        ('{"t":"calibration","on":false}', CalibrationChange(False)),
        (
            '{"t":"screen","size":[1920,1080],"page":[-8,71.5,1280,800],"picture":[0,90,640,360],"frame_width":854}',
            ScreenChange((1920, 1080), (-8.0, 71.5, 1280.0, 800.0), (0.0, 90.0, 640.0, 360.0), 854),
        ),
        ('{"t":"screen","size":[9,9],"page":[0,0,1,1],"picture":null}', ScreenChange((9, 9), (0.0, 0.0, 1.0, 1.0))),
    ],
)
def test_messages_of_a_page_are_read(text, expected):
    assert read_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{", '"x"', "{}", '{"t":1}', '{"t":["view"]}', '{"t":"view","kind":"everything"}',
        '{"t":"view","kind":{}}', '{"t":"ack","seq":-1}', '{"t":"ack","seq":1.5}', '{"t":"ack","seq":true}',
        '{"t":"ack","seq":1' + "0" * 400 + "}", '{"t":"ack","seq":1' + "0" * 5000 + "}", '{"t":"sync","n":1,"ms":NaN}',
        '{"t":"sync","n":1,"ms":1e999}', '{"t":"sync","n":1,"ms":-1}', '{"t":"source","on":1}',
        '{"t":"source","on":true,"label":[]}', '{"t":"gaze"}', '{"t":"gaze","samples":[1]}',
        '{"t":"gaze","samples":[[0,0,0]]}', '{"t":"gaze","samples":[[99,0,0,1]]}', '{"t":"gaze","samples":[[0,0,0,2]]}',
        '{"t":"gaze","samples":[["0",0,0,1]]}', '{"t":"command","verb":"rm -rf"}', '{"t":"command","verb":null}',
        '{"t":"command","verb":"hold","on":"yes"}', "[" * 9000, '{"t":"view","kind":"' + "x" * MAX_TEXT_CHARS + '"}',
        '{"t":"command","verb":"confirm","object":-1}', '{"t":"click","x":1}', '{"t":"click","x":1,"y":1e7}',
        '{"t":"screen"}',
        '{"t":"screen","size":[0,9],"page":[0,0,1,1]}', '{"t":"screen","size":[9,9],"page":[0,0,1]}',
        '{"t":"screen","size":[9,9],"page":[0,0,0,1]}',
        '{"t":"screen","size":[9,9],"page":[0,0,1,1],"picture":[1e9,0,1,1]}',
        '{"t":"eyes","on":2}', '{"t":"calibration","on":null}',
        json.dumps({"t": "gaze", "samples": [[0, 0, 0, 1]] * (MAX_GAZE_SAMPLES + 1)}),
    ],
)  # fmt: skip
def test_an_invalid_message_is_refused_with_a_short_reason(text):
    with pytest.raises(PageError) as error:
        read_text(text)
    assert len(str(error.value)) < 200


@given(st.text(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(repr))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(PageError):
        read_text(text)


@given(st.dictionaries(st.sampled_from(["t", "kind", "seq", "n", "ms", "on", "label", "samples", "moved", "verb"]),
                       st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
                       | st.lists(st.integers() | st.lists(st.floats(), max_size=5), max_size=3)))  # fmt: skip
def test_any_map_is_read_or_refused(fields):
    for kind in ("view", "ack", "sync", "source", "gaze", "command"):
        with contextlib.suppress(PageError):
            read_text(json.dumps({**fields, "t": kind}))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_a_frame_or_refused(data):
    with contextlib.suppress(PageError):
        assert len(read_page_frame(data).jpeg) < len(data)


def test_a_frame_is_read_back():
    header = b'{"index":3,"ms":40.5}'
    frame = read_page_frame(len(header).to_bytes(4, "little") + header + b"\xff\xd8rest")
    assert (frame.index, frame.ms, frame.jpeg) == (3, 40.5, b"\xff\xd8rest")


@pytest.mark.parametrize("padding", range(4))
def test_contours_begin_at_an_even_byte(padding):
    lines = [np.array([[1, 2], [3, 4], [500, 600]], np.uint16), np.array([[7, 8]], np.uint16)]
    data = pack_view_frame({"seq": 1, "pad": "x" * padding}, lines, b"JPEG")
    length = int.from_bytes(data[:4], "little")
    assert length % 4 == 0
    assert json.loads(data[4 : 4 + length])["outline"] == [3, 1]
    points = np.frombuffer(data, "<u2", count=8, offset=4 + length)
    assert points.tolist() == [1, 2, 3, 4, 500, 600, 7, 8]
    assert data[4 + length + 16 :] == b"JPEG"
