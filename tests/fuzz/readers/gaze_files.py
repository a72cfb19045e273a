"""Readers of gaze tables, recordings of headsets and videos."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import msgpack
import numpy as np

from realtime.errors import SourceError
from realtime.sources.gaze_files.frame_times import read_time_array, read_time_table
from realtime.sources.gaze_files.trace import read_track
from realtime.sources.gaze_files.trace_values import ClipFacts
from realtime.sources.headset_recordings import companion, pupil_core
from realtime.sources.video.incomplete_files import find_whole_part, is_incomplete
from tests.fuzz.readers.base import FOLDER, SIZE, FuzzedReader, from_file

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


READERS = (
    FuzzedReader("gaze table", from_file("gaze.csv", _read_table), (SourceError,), lambda: _TABLES),
    FuzzedReader("time array", from_file("times.npy", read_time_array), (SourceError,), _make_arrays),
    FuzzedReader(
        "time table", from_file("times.csv", read_time_table), (SourceError,),
        lambda: [b"# frame,timestamp [ns]\n0,1000000000\n1,1040000000\n"],
    ),
    FuzzedReader(
        "record description", _read_dtype, (SourceError,),
        lambda: [b"[('x', '<f4'), ('y', '<f4')]\0\0" + bytes(64)],
    ),
    FuzzedReader(
        "pldata", from_file("gaze.pldata", lambda path: pupil_core._read_pldata(path, SIZE)), (SourceError,),
        _make_pldata,
    ),
    FuzzedReader("video boxes", from_file("clip.mp4", _read_video), (), lambda: _VIDEOS),
)  # fmt: skip
