"""Readers of recordings and of what they hold."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

import msgpack
from mcap.writer import CompressionType, Writer

from realtime.commands.replay import read_recorded_config
from realtime.config.recording import RecordSettings
from realtime.errors import RecordingError
from realtime.recording.encryption import SealingStream
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
from tests.fuzz.readers.base import IDENTITY, FuzzedReader, dump_json, from_file
from tests.fuzz.readers.messages import TOPICS, make_wire
from tests.realtime.recording import plain_recordings


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
    recording = RecordingReader(path, IDENTITY[0])
    with contextlib.suppress(RecordingError):
        list(read_events(recording, ALL_TOPICS))


def _make_encrypted() -> Iterable[bytes]:
    """Recordings in one block, in two, and one whose content is damaged although it can be decrypted."""
    for plain in _make_recordings():
        for parts in ((plain,), (plain[:200], plain[200:]), (plain[:-40],)):
            stream = io.BytesIO()
            sealing = SealingStream(stream, RecordSettings(recipients=(IDENTITY[1],)))
            for part in parts:
                sealing.write(part)
                sealing.seal()
            yield stream.getvalue()


def _make_recordings() -> Iterable[bytes]:
    """Messages in chunks, with and without compression and sums, and outside of chunks as other tools write them."""
    wire = {payload[0]: payload[1:] for payload in make_wire()}
    messages = {
        FRAME: pack_frame(plain_recordings.frame(1, (16, 8)), False, 90),
        GAZE: pack_sample(plain_recordings.sample(1)),
        "mask": wire[TOPICS.index("mask")],
        "health": wire[TOPICS.index("health")],
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
    yield from dump_json(texts)


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
    return dump_json(
        {"version": 1, "objects": {"2": {"label": "cup", "keep": True}, "3": {"label": "", "keep": False}}}
    )


READERS = (
    FuzzedReader("recording", from_file("a.mcap", _read_recording), (RecordingError,), _make_recordings),
    FuzzedReader(
        "encrypted recording", from_file("e.mcap", _read_encrypted), (RecordingError,), _make_encrypted
    ),
    FuzzedReader("recording info", _read_recording_info, (RecordingError,), _make_recording_info),
    FuzzedReader("recorded frame", lambda data: read_frame(data).decode(), (RecordingError,), _make_frames),
    FuzzedReader(
        "recorded gaze", read_sample, (RecordingError,), lambda: [pack_sample(plain_recordings.sample(1))]
    ),
    FuzzedReader("tracker call", read_tracker_call, (RecordingError,), _make_calls),
    FuzzedReader(
        "labels", from_file("a.labels.json", lambda path: load_labels(path.with_name("a.mcap"))),
        (RecordingError,), _make_labels,
    ),
)  # fmt: skip
