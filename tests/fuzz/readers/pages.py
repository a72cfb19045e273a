"""Readers of what pages and wearers send."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgpack

from realtime.errors import PageError
from realtime.sources.webrtc.channel_messages import read_messages
from realtime.sources.webrtc.rtp_timeline import read_capture_time
from realtime.viewer.page_messages import read_page_frame, read_text
from tests.fuzz.readers.base import FuzzedReader, dump_json, to_text


def _make_page_texts() -> list[bytes]:
    return dump_json(
        {"t": "view", "kind": "frames"}, {"t": "ack", "seq": 5}, {"t": "sync", "n": 1, "ms": 3.5},
        {"t": "source", "on": True, "label": "camera"}, {"t": "gaze", "samples": [[0.5, 0.5, 12.5, 1.0]]},
        {"t": "command", "verb": "hold", "on": True}, {"t": "seek", "n": 4}, {"t": "seek", "ms": 4.5},
        {"t": "label", "object": 2, "text": "cup", "keep": False}, {"t": "undo"}, {"t": "click", "x": 1, "y": 2},
        {"t": "screen", "size": [1920, 1080], "page": [0, 0, 9, 9], "picture": [0, 0, 9, 9], "frame_width": 4},
        {"t": "eyes", "on": True}, {"t": "calibration", "on": False},
    )  # fmt: skip


def _make_page_frames() -> Iterable[bytes]:
    header = json.dumps({"index": 3, "ms": 40.5, "eyes": True}).encode()
    yield len(header).to_bytes(4, "little") + header + b"\xff\xd8\xff\xd9"


def _make_channel_messages() -> Iterable[bytes]:
    gaze = {"type": "gaze", "time": 2.5, "x": 0.5, "y": 0.25, "unit": "norm", "confidence": 0.9}
    yield b"\0" + msgpack.packb([gaze, {"type": "clock", "id": 3, "time": 2.5}])
    yield b"\1" + b"\n".join(dump_json(gaze, {"type": "clock", "id": 3, "time": 2.5}))


def _read_channel(data: bytes) -> object:
    """An even first byte means bytes, another one text."""
    return list(read_messages(to_text(data[1:]) if data[:1] and data[0] & 1 else data[1:]))


READERS = (
    FuzzedReader("page text", lambda data: read_text(to_text(data)), (PageError,), _make_page_texts),
    FuzzedReader("page frame", read_page_frame, (PageError,), _make_page_frames),
    FuzzedReader("wearer channel", _read_channel, (), _make_channel_messages),
    FuzzedReader("capture time", read_capture_time, (), lambda: [bytes(8), bytes(16)]),
)  # fmt: skip
