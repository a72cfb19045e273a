"""Readers of settings, keys, cameras and calibrations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from calibration import CalibrationError
from calibration.formats import read_camera
from calibration.gaze.calibrated import GazeCalibration
from calibration.gaze.mapping import GazeMap
from calibration.gaze.screen_calibration import ScreenCalibration, ScreenModel
from calibration.gaze.view import FlatView
from calibration.record import FORMAT, load_record
from calibration.robot_poses import parse_poses
from realtime.comms.keys import KeyFolder
from realtime.config.loader import merge_settings, read_toml
from realtime.config.schema import RunConfig
from realtime.errors import AccessError, SettingsError
from realtime.robotics.robot_frame import load_robot_frame
from realtime.sources.calibrated import load_gaze_calibration
from tests.fuzz.readers.base import CAMERA, FOLDER, MATRIX, SIZE, FuzzedReader, dump_json, from_file, to_text

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
    yield _record("camera", {"camera": CAMERA.to_dict()})
    yield _ROS
    yield _OPENCV_XML
    yield _OPENCV_YAML
    pinhole = {"camera_matrix": MATRIX, "dist_coefs": [[0.0] * 5], "cam_type": "radial"}
    yield msgpack.packb({"version": 1, "(1280, 720)": {**pinhole, "resolution": list(SIZE)}})
    matrix = np.array([[900, 0, 800], [0, 900, 600], [0, 0, 1]], "<f8").tobytes()
    yield b"\x01123456" + (matrix + bytes(8 * 24)) * 3 + bytes(4)
    neon_fields = {"camera_matrix": [[900, 0, 800], [0, 900, 600], [0, 0, 1]], "distortion_coefficients": [[0.0] * 8]}
    yield from dump_json({"serial_number": "123", **neon_fields})
    lens = {"focal-length": [900, 900], "principal-point": [640, 360], "radial-distortion": [0, 0, 0],
            "tangential-distortion": [0, 0], "resolution": list(SIZE)}  # fmt: skip
    yield from dump_json({"scenecamera": {"camera-calibration": lens}})


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
    yield from dump_json([{"name": "01.png", "base_from_gripper": _POSE, "camera_from_board": _POSE}])
    yield from dump_json({"poses": [{"image": "1", "base_from_gripper": {"matrix": np.eye(4).tolist()}}]})
    yield b"name,x,y,z,qx,qy,qz,qw\n01.png,0.1,0.2,0.3,0,0,0,1\n"


def _read_config(path: Path) -> object:
    return merge_settings(RunConfig(), read_toml(path), "gazecast.toml")


def _make_configs() -> Iterable[bytes]:
    yield b'source = "camera:0"\n[engine]\nbackend = "fake"\n[tracker.gaze]\nmin_confidence = 0.5\n'
    yield b'[view]\nenabled = true\nport = 8765\n[objects]\ncamera = "a.json"\nsize_m = 0.1\n'


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


READERS = (
    FuzzedReader("config", from_file("gazecast.toml", _read_config), (SettingsError,), _make_configs),
    FuzzedReader("key files", _read_keys, (AccessError,), _make_keys),
    FuzzedReader("camera file", from_file("camera", read_camera), (CalibrationError,), _make_cameras),
    FuzzedReader(
        "calibration file", from_file("calibration.json", _read_calibration), (CalibrationError,),
        _make_calibrations,
    ),
    FuzzedReader("robot poses", lambda data: parse_poses("poses", to_text(data)), (CalibrationError,), _make_poses),
)  # fmt: skip
