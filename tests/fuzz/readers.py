"""Every reader of bytes from outside, the errors that it may raise, and valid inputs from which others are made."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
from mcap.writer import CompressionType, Writer

from calibration import CalibrationError
from calibration.camera import PinholeCamera
from calibration.formats import read_camera
from calibration.gaze.calibrated import GazeCalibration
from calibration.gaze.mapping import GazeMap
from calibration.gaze.screen_calibration import ScreenCalibration, ScreenModel
from calibration.gaze.view import FlatView
from calibration.record import FORMAT, load_record
from calibration.robot_poses import parse_poses
from engines import ModelError
from engines.cache import find_cached, list_cached, note_path, read_verdict, write_note
from engines.models.checkpoint import read_checkpoint
from engines.pictures import PictureError, decode_jpeg, read_picture
from realtime.commands.replay import read_recorded_config
from realtime.comms.envelope import pack
from realtime.comms.keys import KeyFolder
from realtime.comms.mask_encoding import ENCODINGS, encode_mask
from realtime.comms.messages import MESSAGES, read_message
from realtime.comms.requests import pack_reply, pack_request, read_reply, read_request
from realtime.config.loader import merge_settings, read_toml
from realtime.config.recording import RecordSettings
from realtime.config.schema import RunConfig
from realtime.errors import AccessError, PageError, RecordingError, SettingsError, SourceError, WireError
from realtime.recording.encryption import SealingStream, make_identity
from realtime.recording.format import (
    FRAME,
    GAZE,
    RecordingInfo,
    pack_frame,
    pack_sample,
    read_frame,
    read_sample,
    read_tracker_call,
)
from realtime.recording.labels import load_labels
from realtime.recording.mask_events import ALL_TOPICS, read_events
from realtime.recording.reader import RecordingReader
from realtime.recording.visits import read_min_confidence
from realtime.recording.writer import INFO_METADATA
from realtime.robotics.robot_frame import load_robot_frame
from realtime.sources.aria import messages as aria
from realtime.sources.calibrated import load_gaze_calibration
from realtime.sources.gaze_files.frame_times import read_time_array, read_time_table
from realtime.sources.gaze_files.trace import read_track
from realtime.sources.gaze_files.trace_values import ClipFacts
from realtime.sources.headset_recordings import companion, pupil_core
from realtime.sources.neon import gaze_messages as neon
from realtime.sources.pupil import messages as pupil
from realtime.sources.rtsp.access_units import AccessUnitAssembler
from realtime.sources.rtsp.packets import RtpPacket
from realtime.sources.rtsp.session import _keep_report, parse_description
from realtime.sources.tobii import gaze_messages as tobii
from realtime.sources.video.incomplete_files import find_whole_part, is_incomplete
from realtime.sources.webrtc.channel_messages import read_messages
from realtime.sources.webrtc.rtp_timeline import read_capture_time
from realtime.types import FrameRef, GazeRef, KeyframeRef, TimingNs
from realtime.viewer.page_messages import read_page_frame, read_text
from tests.realtime.recording import plain_recordings

SIZE = (1280, 720)
_folder = tempfile.TemporaryDirectory(prefix="fuzz-")
FOLDER = Path(_folder.name)
_IDENTITY = make_identity(FOLDER / "identity.txt")


@dataclass(frozen=True, slots=True)
class FuzzedReader:
    """A reader of bytes. errors: its own; another one is a defect. make_seeds: makes valid inputs."""

    name: str
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    make_seeds: Callable[[], Iterable[bytes]]

    def try_read(self, data: bytes) -> bool:
        """Whether the bytes are read; False for an error of the reader's own, others are raised."""
        try:
            self.read(data)
        except self.errors:
            return False
        return True


def _from_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Make a reader of bytes from one of a file."""

    def write_and_read(data: bytes) -> object:
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return read(path)

    return write_and_read


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass") if _is_utf8(data) else data.decode("latin-1")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _dump(*values: object) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


# -- the wire ---------------------------------------------------------------------------------------------------------

_TOPICS = list(MESSAGES)
_ENVELOPE = {"v": 1, "stream": "gazecast", "seq": 4, "published_ns": 20}
_TRUTH = np.zeros((9, 16), bool)
_TRUTH[2:7, 3:11] = True


def _read_wire(data: bytes) -> object:
    """The first byte chooses the topic."""
    return read_message(_TOPICS[data[0] % len(_TOPICS)] if data else "", data[1:])


def _make_wire() -> Iterable[bytes]:
    def fill(kind: type) -> dict[str, Any]:
        return dict.fromkeys(kind.__dataclass_fields__, 1)  # type: ignore[attr-defined]

    mask = {
        **_ENVELOPE, "frame": fill(FrameRef), "keyframe": fill(KeyframeRef),
        "gaze": fill(GazeRef), "carried_ms": 0.5, "object": 2, "state": "locked", "score": 0.9,
        "confidence": 0.8, "timing_ns": fill(TimingNs),
        "alternatives": [{"mask": encode_mask(_TRUTH, "coco_rle"), "probability": 0.4, "kind": "part"}],
    }  # fmt: skip
    for encoding in ENCODINGS:
        yield b"\0" + pack({**mask, "mask": encode_mask(_TRUTH, encoding)})
    yield b"\2" + pack({**_ENVELOPE, "frame": fill(FrameRef), "encode_ms": 80.5})
    health = {"state": "running", "reason": "", "rates": {"track": 30.0}, "latency_ms": {"mask": {"p50": 3.0}},
              "dropped": {"frames": 1}, "memory_mib": 90.0, "engine": {"backend": "fake"}}  # fmt: skip
    yield b"\3" + pack({**_ENVELOPE, **health})
    yield b"\1" + pack({**_ENVELOPE, "frame": fill(FrameRef), "jpeg": b"\xff\xd8\xff\xd9"})
    place = {"frame_id": "camera", "ray": {"origin": [0.0] * 3, "direction": [0.0, 0.0, 1.0]}, "centroid": [0.1] * 3,
             "centroid_covariance": [0.0] * 9, "pose": {"position": [0.1] * 3, "orientation": [0.0, 0.0, 0.0, 1.0]},
             "velocity": None}  # fmt: skip
    points = {"dtype": "<f4", "shape": [2, 3], "data": bytes(24)}
    yield b"\4" + pack({
        **_ENVELOPE, **place, "frame": fill(FrameRef), "captured_ns": 1, "object": 2, "state": "locked",
        "method": "depth", "count": 2, "valid": 1.0, "points": points, "voxel": 0.01,
        "camera": _CAMERA.to_dict(),
        "depth": {"timestamp": 1.0, "apart_ms": 2.0}, "extents": [0.1, 0.1, 0.1],
        "robot": {**place, "from_camera": {"translation": [0.0] * 3, "rotation": [0.0, 0.0, 0.0, 1.0]}},
    })  # fmt: skip


def _make_requests() -> Iterable[bytes]:
    for ask, fields in (
        ("status", {}), ("hold", {"object": 2}), ("release", {}), ("alternative", {"step": -1}),
        ("snapshot", {"format": "jpeg"}), ("history", {"object": 1, "seconds": 2.5}),
        ("segment", {"box": [1, 2, 30, 40]}), ("segment", {"points": [[1, 2], [3.5, 4]], "labels": [1, 0]}),
        ("everything", {"points_per_side": 8, "least_stability": 0.5}),
    ):  # fmt: skip
        yield pack_request(ask, **fields)


# -- pages and wearers ------------------------------------------------------------------------------------------------


def _make_page_texts() -> list[bytes]:
    return _dump(
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
    yield b"\1" + b"\n".join(_dump(gaze, {"type": "clock", "id": 3, "time": 2.5}))


def _read_channel(data: bytes) -> object:
    """An even first byte means bytes, another one text."""
    return list(read_messages(_text(data[1:]) if data[:1] and data[0] & 1 else data[1:]))


# -- devices ----------------------------------------------------------------------------------------------------------

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


# -- files ------------------------------------------------------------------------------------------------------------

_MATRIX = [[900, 0, 640], [0, 900, 360], [0, 0, 1]]
_CAMERA = PinholeCamera.from_matrix(SIZE, np.array(_MATRIX, np.float64), [0.0] * 5)
_ROS = b"""image_width: 1280
image_height: 720
camera_name: narrow
camera_matrix: {rows: 3, cols: 3, data: [900, 0, 640, 0, 900, 360, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}
roi: {x_offset: 0, y_offset: 0, width: 0, height: 0}
"""
_OPENCV_XML = b"""<?xml version="1.0"?><opencv_storage><image_width>1280</image_width><image_height>720</image_height>
<camera_matrix type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt>
<data>900. 0. 640. 0. 900. 360. 0. 0. 1.</data></camera_matrix></opencv_storage>"""

_OPENCV_YAML = b"""%YAML:1.0
---
image_width: 64
image_height: 48
camera_matrix: !!opencv-matrix
  rows: 3
  data: [ 900., 0., 32., 0., 900., 24., 0., 0., 1. ]
"""


def _record(kind: str, body: dict[str, Any]) -> bytes:
    head = {"format": FORMAT, "version": 1, "kind": kind, "device": "", "camera": "world", "size": list(SIZE),
            "made_at": "2026-11-22T14:03:11+00:00"}  # fmt: skip
    return json.dumps({**head, "body": body}).encode()


def _make_cameras() -> Iterable[bytes]:
    yield _record("camera", {"camera": _CAMERA.to_dict()})
    yield _ROS
    yield _OPENCV_XML
    yield _OPENCV_YAML
    pinhole = {"camera_matrix": _MATRIX, "dist_coefs": [[0.0] * 5], "cam_type": "radial"}
    yield msgpack.packb({"version": 1, "(1280, 720)": {**pinhole, "resolution": list(SIZE)}})
    matrix = np.array([[900, 0, 800], [0, 900, 600], [0, 0, 1]], "<f8").tobytes()
    yield b"\x01123456" + (matrix + bytes(8 * 24)) * 3 + bytes(4)
    neon_fields = {"camera_matrix": [[900, 0, 800], [0, 900, 600], [0, 0, 1]], "distortion_coefficients": [[0.0] * 8]}
    yield from _dump({"serial_number": "123", **neon_fields})
    lens = {"focal-length": [900, 900], "principal-point": [640, 360], "radial-distortion": [0, 0, 0],
            "tangential-distortion": [0, 0], "resolution": list(SIZE)}  # fmt: skip
    yield from _dump({"scenecamera": {"camera-calibration": lens}})


_POSE = {"translation_m": [0.1, 0.2, 0.3], "quaternion_xyzw": [0, 0, 0, 1]}


def _read_calibration(path: Path) -> None:
    """Read a file as the kind of calibration that it names."""
    data = path.read_bytes()
    if b'"gaze"' in data and b'"screen"' not in data:
        load_gaze_calibration(path, refused=True)
    elif b'"screen"' in data:
        ScreenCalibration.from_dict(load_record(path, "screen").body)
    else:
        load_robot_frame(path, None, by_board=b"base_from_board" in data)


def _make_calibrations() -> Iterable[bytes]:
    transform = {**_POSE, "covariance": [[0.0] * 6] * 6}
    for name in ("base_from_camera", "base_from_board", "gripper_from_camera"):
        yield _record("handeye", {name: transform})
    hull = np.array([(-40.0, -25.0), (40.0, -25.0), (40.0, 25.0)])
    found = GazeMap("offset", np.zeros(2), np.ones(2), np.zeros((1, 2)), np.eye(1), hull)
    gaze = GazeCalibration(FlatView(SIZE), found, 1.0, None, (0.0, 0.0))
    yield _record("gaze", gaze.to_dict())
    model = ScreenModel(600.0, 0.3, 1.0, (1.0, 1.0), (0.0, 0.0))
    yield _record("screen", ScreenCalibration(model, gaze, 600.0).to_dict())


def _make_poses() -> Iterable[bytes]:
    yield from _dump([{"name": "01.png", "base_from_gripper": _POSE, "camera_from_board": _POSE}])
    yield from _dump({"poses": [{"image": "1", "base_from_gripper": {"matrix": np.eye(4).tolist()}}]})
    yield b"name,x,y,z,qx,qy,qz,qw\n01.png,0.1,0.2,0.3,0,0,0,1\n"


def _read_config(path: Path) -> object:
    return merge_settings(RunConfig(), read_toml(path), "gazecast.toml")


def _make_configs() -> Iterable[bytes]:
    yield b'source = "camera:0"\n[engine]\nbackend = "fake"\n[tracker.gaze]\nmin_confidence = 0.5\n'
    yield b'[view]\nenabled = true\nport = 8765\n[objects]\ncamera = "a.json"\nsize_m = 0.1\n'


def _read_recording(path: Path) -> None:
    """Read all of a recording that can be read."""
    recording = RecordingReader(path)
    for use in (
        lambda: list(read_events(recording, ALL_TOPICS)),
        lambda: [frame.decode() for frame in recording.read_frames()],
        lambda: [recording.read_mask(entry) for entry in recording.read_entries()],
        lambda: read_recorded_config(recording),
    ):
        with contextlib.suppress(RecordingError):
            use()
    read_min_confidence(recording.about)


def _read_encrypted(path: Path) -> None:
    """Read a recording that claims to be encrypted."""
    recording = RecordingReader(path, _IDENTITY[0])
    with contextlib.suppress(RecordingError):
        list(read_events(recording, ALL_TOPICS))


def _make_encrypted() -> Iterable[bytes]:
    """Recordings in one block, in two, and one whose content is damaged although it can be decrypted."""
    for plain in _make_recordings():
        for parts in ((plain,), (plain[:200], plain[200:]), (plain[:-40],)):
            stream = io.BytesIO()
            sealing = SealingStream(stream, RecordSettings(recipients=(_IDENTITY[1],)))
            for part in parts:
                sealing.write(part)
                sealing.seal()
            yield stream.getvalue()


def _read_keys(data: bytes) -> None:
    """Read a file as that of the allowed clients, and as that of the servers."""
    keys = KeyFolder(FOLDER / "keys")
    keys.path.mkdir(exist_ok=True)
    for name in ("clients.toml", "servers.toml"):
        (keys.path / name).write_bytes(data)
    keys.read_clients()
    keys.read_servers()


def _make_keys() -> Iterable[bytes]:
    yield b'[[client]]\nkey = "%s"\nname = "robot"\nmay = ["control"]\n' % (b"ab" * 32)
    yield b'[servers]\n"10.0.0.5:5571" = "%s"\n' % (b"ab" * 32)


def _make_recordings() -> Iterable[bytes]:
    """Messages in chunks, with and without compression and sums, and outside of chunks as other tools write them."""
    wire = {payload[0]: payload[1:] for payload in _make_wire()}
    messages = {
        FRAME: pack_frame(plain_recordings.frame(1, (16, 8)), False, 90),
        GAZE: pack_sample(plain_recordings.sample(1)),
        "mask": wire[_TOPICS.index("mask")],
        "health": wire[_TOPICS.index("health")],
    }
    for options in ({}, {"compression": CompressionType.NONE, "enable_crcs": False}, {"use_chunking": False}):
        stream = io.BytesIO()
        writer = Writer(stream, **options)
        writer.start()
        writer.add_metadata(INFO_METADATA, plain_recordings.ABOUT.to_fields())
        for topic, data in messages.items():
            channel = writer.register_channel(topic, "msgpack", 0)
            writer.add_message(channel, plain_recordings.WALL_NS, data, plain_recordings.WALL_NS)
        writer.finish()
        yield stream.getvalue()


def _make_recording_info() -> Iterable[bytes]:
    texts = RecordingInfo(config="[tracker.gaze]\nmin_confidence = 0.5\n", engine={"backend": "fake"}).to_fields()
    yield from _dump(texts)


def _read_recording_info(data: bytes) -> object:
    try:
        texts = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(texts, dict) and all(isinstance(text, str) for text in texts.values())):
        return None
    about = RecordingInfo.from_fields(texts)
    return read_min_confidence(about)


def _make_frames() -> Iterable[bytes]:
    yield pack_frame(plain_recordings.frame(1, (16, 8)), False, 90)


def _make_calls() -> Iterable[bytes]:
    sample = [0.5, 0.25, "norm", 0.9, 1.5, 10, 12, None, 12.5]
    known = {"frame": [3, 12], "traces": [None, [bytes(32), 9.0, 1.0]]}
    yield msgpack.packb({
        "call": "frame", "frame": [3, 12], "samples": [sample, [*sample, {"kind": "blink", "start_ns": 1}]],
        "keyframe": [3, 12, 5, 6, 512, 1], "clock_ns": [1, 2, 3], "published": [1, 4],
        "commands": [{"verb": "hold", "on": True, "object": 2, "known": known}],
    })  # fmt: skip


def _make_labels() -> list[bytes]:
    return _dump({"version": 1, "objects": {"2": {"label": "cup", "keep": True}, "3": {"label": "", "keep": False}}})


_TABLES = (
    b"timestamp,x,y,confidence\n0.0,10,20,1\n0.1,,,0\n0.2,11.5,21,0.9\n",
    b"gaze_timestamp;norm_pos_x;norm_pos_y;confidence\n1,0;0,5;0,5;1\n1,1;0,5;0,4;1\n",
    b"section id,recording id,timestamp [ns],gaze x [px],gaze y [px],worn,blink id\na,b,1000000000,5,6,1,\n",
    b'{"type":"gaze","timestamp":0.1,"data":{"gaze2d":[0.5,0.5]}}\n{"type":"gaze","timestamp":0.2,"data":{}}\n',
    b'{"ts":100,"s":0,"gp":[0.5,0.5]}\n{"ts":200,"vts":0}\n{"ts":300,"s":0,"gp":[0.4,0.5]}\n',
    b"** CONVERTED\nMSG\t1 DISPLAY_COORDS 0 0 1279 719\nSAMPLES\tGAZE\tLEFT\n100\t5.0\t6.0\t100.0\t...\n",
    b"Recording timestamp [ms]\tSensor\tGaze point X\tGaze point Y\n0\tEye Tracker\t5\t6\n4\tEye Tracker\t5\t6\n",
)


def _read_table(path: Path) -> object:
    return read_track(path, ClipFacts(SIZE, duration_s=10.0))


def _make_arrays() -> Iterable[bytes]:
    for times in (np.arange(3.0), np.arange(3)):
        stream = io.BytesIO()
        np.save(stream, times)
        yield stream.getvalue()


def _read_dtype(data: bytes) -> object:
    folder = FOLDER / "companion"
    folder.mkdir(exist_ok=True)
    description, _, records = data.partition(b"\0\0")
    for name, content in (("gaze.dtype", description), ("gaze ps1.raw", records), ("gaze ps1.time", bytes(64))):
        (folder / name).write_bytes(content)
    return companion.read_gaze(folder, SIZE)


def _make_pldata() -> Iterable[bytes]:
    datum = msgpack.packb({"timestamp": 1.5, "confidence": 0.9, "norm_pos": [0.5, 0.5]})
    yield msgpack.packb(["gaze.2d.01.", datum]) * 2


_MP4 = b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x0cmoov\0\0\0\0" + b"\0\0\0\x10mdat12345678"
_VIDEOS = (
    _MP4, b"RIFF\x20\0\0\0AVI LIST\x10\0\0\0movi" + bytes(20), b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x84" + bytes(4),
    (b"\x47" + bytes(187)) * 4,
)  # fmt: skip


def _read_video(path: Path) -> object:
    return is_incomplete(path), find_whole_part(path)


_KEY = {"graph": "encoder", "cpu": "x"}


def _read_note(path: Path) -> None:
    """Read a note of the engines' cache in each way in which it is read."""
    path.with_suffix(".onnx").write_bytes(b"graph")
    for use in (
        lambda: find_cached(path.with_suffix(".onnx"), _KEY),
        lambda: read_verdict(path.parent, "encoder", _KEY),
        lambda: list(list_cached(path.parent)),
    ):
        with contextlib.suppress(ModelError):
            use()


def _make_notes() -> Iterable[bytes]:
    file = FOLDER / "engines" / "encoder.onnx"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"graph")
    write_note(file, "encoder", _KEY, gate={"iou": 0.99})
    yield note_path(file).read_bytes()


_TABLE = (
    b"\x80\x02}X\6\0\0\0weightctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000"
    b"X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89ccollections\nOrderedDict\n)RtRs."
)
"""The pickled table of a checkpoint with one tensor of four numbers."""


def _read_checkpoint(table: bytes) -> object:
    path = FOLDER / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", table)
        archive.writestr("a/data/0", bytes(16))
    return read_checkpoint(path)


def _make_pictures() -> Iterable[bytes]:
    image = np.full((8, 16, 3), 90, np.uint8)
    for ending in (".jpg", ".png"):
        yield cv2.imencode(ending, image)[1].tobytes()
    yield cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()


def _read_picture(path: Path) -> object:
    image = read_picture(path)
    return image, pupil.read_jpeg_size(path.read_bytes()), decode_jpeg(path.read_bytes())


READERS = {
    reader.name: reader
    for reader in (
        FuzzedReader("wire", _read_wire, (WireError,), _make_wire),
        FuzzedReader("request", read_request, (WireError,), _make_requests),
        FuzzedReader("reply", read_reply, (WireError,), lambda: [pack_reply(object=1, masks=[1, 2])]),
        FuzzedReader("page text", lambda data: read_text(_text(data)), (PageError,), _make_page_texts),
        FuzzedReader("page frame", read_page_frame, (PageError,), _make_page_frames),
        FuzzedReader("wearer channel", _read_channel, (), _make_channel_messages),
        FuzzedReader("capture time", read_capture_time, (), lambda: [bytes(8), bytes(16)]),
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
            (tobii.UnusableGaze,), lambda: _dump({"gaze2d": [0.5, 0.5], "gaze3d": [1, 2, 3]}, {}),
        ),
        FuzzedReader("aria bridge", _read_aria, (aria.BridgeError, EOFError), _make_aria),
        FuzzedReader("rtsp description", lambda data: parse_description(_text(data)), (), lambda: [_SDP]),
        FuzzedReader(
            "rtp packets", _read_rtp, (), lambda: [b"\1\0\5\0\7\x65123456\2\0\5\0\6\x7c\x85abcd\3\0\6\0\5\x78\0\2ab"]
        ),
        FuzzedReader("rtcp reports", _read_report, (), lambda: [b"\x80\xc8\0\6" + bytes(24) + b"\x81\xca\0\1abcd"]),
        FuzzedReader("config", _from_file("gazecast.toml", _read_config), (SettingsError,), _make_configs),
        FuzzedReader("key files", _read_keys, (AccessError,), _make_keys),
        FuzzedReader("camera file", _from_file("camera", read_camera), (CalibrationError,), _make_cameras),
        FuzzedReader(
            "calibration file", _from_file("calibration.json", _read_calibration), (CalibrationError,),
            _make_calibrations,
        ),
        FuzzedReader("robot poses", lambda data: parse_poses("poses", _text(data)), (CalibrationError,), _make_poses),
        FuzzedReader("recording", _from_file("a.mcap", _read_recording), (RecordingError,), _make_recordings),
        FuzzedReader(
            "encrypted recording", _from_file("e.mcap", _read_encrypted), (RecordingError,), _make_encrypted
        ),
        FuzzedReader("recording info", _read_recording_info, (RecordingError,), _make_recording_info),
        FuzzedReader("recorded frame", lambda data: read_frame(data).decode(), (RecordingError,), _make_frames),
        FuzzedReader(
            "recorded gaze", read_sample, (RecordingError,), lambda: [pack_sample(plain_recordings.sample(1))]
        ),
        FuzzedReader("tracker call", read_tracker_call, (RecordingError,), _make_calls),
        FuzzedReader(
            "labels", _from_file("a.labels.json", lambda path: load_labels(path.with_name("a.mcap"))),
            (RecordingError,), _make_labels,
        ),
        FuzzedReader("gaze table", _from_file("gaze.csv", _read_table), (SourceError,), lambda: _TABLES),
        FuzzedReader("time array", _from_file("times.npy", read_time_array), (SourceError,), _make_arrays),
        FuzzedReader(
            "time table", _from_file("times.csv", read_time_table), (SourceError,),
            lambda: [b"# frame,timestamp [ns]\n0,1000000000\n1,1040000000\n"],
        ),
        FuzzedReader(
            "record description", _read_dtype, (SourceError,),
            lambda: [b"[('x', '<f4'), ('y', '<f4')]\0\0" + bytes(64)],
        ),
        FuzzedReader(
            "pldata", _from_file("gaze.pldata", lambda path: pupil_core._read_pldata(path, SIZE)), (SourceError,),
            _make_pldata,
        ),
        FuzzedReader("video boxes", _from_file("clip.mp4", _read_video), (), lambda: _VIDEOS),
        FuzzedReader("picture", _from_file("picture.jpg", _read_picture), (PictureError,), _make_pictures),
        FuzzedReader("checkpoint", _read_checkpoint, (ModelError,), lambda: [_TABLE]),
        FuzzedReader("engine note", _from_file("engines/encoder.json", _read_note), (ModelError,), _make_notes),
    )
}  # fmt: skip
