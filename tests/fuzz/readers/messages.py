"""Readers of messages, requests and replies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from realtime.comms.envelope import pack
from realtime.comms.mask_encoding import ENCODINGS, encode_mask
from realtime.comms.messages import MESSAGES, read_message
from realtime.comms.requests import pack_reply, pack_request, read_reply, read_request
from realtime.errors import WireError
from realtime.types import FrameRef, GazeRef, KeyframeRef, TimingNs
from tests.fuzz.readers.base import CAMERA, FuzzedReader

TOPICS = list(MESSAGES)
_ENVELOPE = {"v": 1, "stream": "gazecast", "seq": 4, "published_ns": 20}
_TRUTH = np.zeros((9, 16), bool)
_TRUTH[2:7, 3:11] = True


def _read_wire(data: bytes) -> object:
    """The first byte chooses the topic."""
    return read_message(TOPICS[data[0] % len(TOPICS)] if data else "", data[1:])


def make_wire() -> Iterable[bytes]:
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
        "camera": CAMERA.to_dict(),
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


READERS = (
    FuzzedReader("wire", _read_wire, (WireError,), make_wire),
    FuzzedReader("request", read_request, (WireError,), _make_requests),
    FuzzedReader("reply", read_reply, (WireError,), lambda: [pack_reply(object=1, masks=[1, 2])]),
)  # fmt: skip
