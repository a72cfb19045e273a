"""Readers of what devices send."""

from __future__ import annotations

import contextlib
import io
import json
import struct
from collections.abc import Iterable

import cv2
import msgpack
import numpy as np

from realtime.sources.aria import messages as aria
from realtime.sources.neon import gaze_messages as neon
from realtime.sources.pupil import messages as pupil
from realtime.sources.rtsp.access_units import AccessUnitAssembler
from realtime.sources.rtsp.packets import RtpPacket
from realtime.sources.rtsp.session import _keep_report, parse_description
from realtime.sources.tobii import gaze_messages as tobii
from tests.fuzz.readers.base import FuzzedReader, dump_json, to_text

_JPEG = cv2.imencode(".jpg", np.full((8, 16, 3), 90, np.uint8))[1].tobytes()
_HEAD = {"width": 16, "height": 8, "index": 3, "timestamp": 1.5}


def _read_pupil_frame(data: bytes) -> object:
    """Two bytes are the length of the header."""
    length = int.from_bytes(data[:2], "little")
    parts = (b"frame.world", data[2 : 2 + length], data[2 + length :])
    return pupil.read_pixels(pupil.read_frame_header(parts), parts[2])


def _make_pupil_frames() -> Iterable[bytes]:
    for kind, raw in (("jpeg", _JPEG), ("gray", bytes(128)), ("bgr", bytes(384)), ("yuv", bytes(192))):
        head = msgpack.packb({**_HEAD, "format": kind})
        yield len(head).to_bytes(2, "little") + head + raw


def _make_aria() -> Iterable[bytes]:
    for fields, payload in (
        ({"type": "hello"}, b""), ({"type": "gaze", "time_ns": 5, "x": 0.5, "y": 0.5}, b""),
        ({"type": "frame", "time_ns": 5, "width": 2, "height": 2, "channels": 3}, bytes(12)),
    ):  # fmt: skip
        header = json.dumps(fields).encode()
        yield struct.pack("<4sII", aria.MAGIC, len(header), len(payload)) + header + payload


def _read_aria(data: bytes) -> None:
    message = aria.read_message(io.BytesIO(data).read)
    for read in (aria.read_pixels, aria.read_point, lambda found: (found.time_ns, found.text)):
        with contextlib.suppress(aria.BridgeError):
            read(message)


def _read_rtp(data: bytes) -> None:
    """Each packet has a head of 5 bytes: sequence and time in 16 bits, and a length."""
    assembler = AccessUnitAssembler()
    while len(data) >= 5:
        sequence, ticks, length = struct.unpack_from("<HHB", data)
        assembler.add(RtpPacket(data[5 : 5 + length], sequence, ticks, bool(length & 1), None, 0))
        data = data[5 + length :]


def _read_report(data: bytes) -> None:
    stream = parse_description("m=video 0 RTP/AVP 96\r\n")[0]
    for _ in range(2):
        _keep_report(stream, data)


_SDP = (
    b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IAKeKQ,aM48gA==\r\na=control:trackID=0\r\n"
)


READERS = (
    FuzzedReader("pupil frame", _read_pupil_frame, (pupil.MalformedMessage,), _make_pupil_frames),
    FuzzedReader(
        "pupil gaze", lambda data: pupil.read_gaze((b"gaze.3d.0.", data)), (pupil.MalformedMessage,),
        lambda: [msgpack.packb({"timestamp": 1.5, "confidence": 0.9, "norm_pos": [0.5, 0.5], "base_data": []})],
    ),
    FuzzedReader(
        "neon gaze", neon.read_gaze, (neon.UnusableData,), lambda: [bytes(9), bytes(17), bytes(65), bytes(77)]
    ),
    FuzzedReader(
        "neon event", neon.read_event, (neon.UnusableData,),
        lambda: [struct.pack("!iqq", 4, 10**18, 10**18 + 5), struct.pack("!iq", 2, 10**18)],
    ),
    FuzzedReader(
        "tobii gaze", lambda data: (tobii.is_gaze(data, is_expected=True), tobii.read_gaze_packet(data)),
        (tobii.UnusableGaze,), lambda: dump_json({"gaze2d": [0.5, 0.5], "gaze3d": [1, 2, 3]}, {}),
    ),
    FuzzedReader("aria bridge", _read_aria, (aria.BridgeError, EOFError), _make_aria),
    FuzzedReader("rtsp description", lambda data: parse_description(to_text(data)), (), lambda: [_SDP]),
    FuzzedReader(
        "rtp packets", _read_rtp, (), lambda: [b"\1\0\5\0\7\x65123456\2\0\5\0\6\x7c\x85abcd\3\0\6\0\5\x78\0\2ab"]
    ),
    FuzzedReader("rtcp reports", _read_report, (), lambda: [b"\x80\xc8\0\6" + bytes(24) + b"\x81\xca\0\1abcd"]),
)  # fmt: skip
