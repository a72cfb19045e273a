"""Tests reading other programs' cameras, writing ROS's, and refusing hostile files."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import CalibrationError, CalibrationRecord, CameraModel, FisheyeCamera, PinholeCamera, record
from calibration.formats import neon, pupil, read_camera, ros, tobii
from calibration.formats.ros import to_camera_info
from tests.calibration.cameras import CAMERAS, CORE_WIDE, NEON, WEBCAM
from tests.calibration.shared import PHOTOS, needs_photos


def pupil_entry(camera: CameraModel) -> dict[str, Any]:
    numbers = list(camera.coefficients)
    is_fisheye = isinstance(camera, FisheyeCamera)
    return {
        "camera_matrix": camera.matrix.tolist(),
        "dist_coefs": [[number] for number in numbers] if is_fisheye else [numbers],
        "resolution": list(camera.size),
        "cam_type": "fisheye" if is_fisheye else "radial",
    }


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


# -- Pupil -----------------------------------------------------------------------------------------------------------


def test_pupils_file_holds_one_camera_for_each_resolution(tmp_path: Path) -> None:
    fields = {"version": 1, "(640, 480)": pupil_entry(WEBCAM), "(1920, 1080)": pupil_entry(CORE_WIDE)}
    path = write(tmp_path / "world.intrinsics", msgpack.packb(fields))
    assert read_camera(path, (640, 480)) == ("world", WEBCAM)
    assert read_camera(path, (1920, 1080)) == ("world", CORE_WIDE)
    with pytest.raises(CalibrationError, match="640 x 480, 1920 x 1080"):
        read_camera(path)
    with pytest.raises(CalibrationError, match="not 1280 x 720"):
        read_camera(path, (1280, 720))


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"version": 2, "(640, 480)": pupil_entry(WEBCAM)}, {"version": 1}, {"version": 1, "(640, 480)": 7},
        {"version": 1, "(640, 480)": {**pupil_entry(WEBCAM), "cam_type": "dummy"}},
        {"version": 1, "(640, 480)": {**pupil_entry(WEBCAM), "camera_matrix": [[1, 2], [3]]}},
        {"version": 1, "(640, 480)": {**pupil_entry(WEBCAM), "dist_coefs": "none"}},
        {"version": 1, "(0, 480)": pupil_entry(WEBCAM)},
    ],
)  # fmt: skip
def test_a_broken_file_of_pupil_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(CalibrationError):
        read_camera(write(tmp_path / "world.intrinsics", msgpack.packb(fields)))


# -- Neon ------------------------------------------------------------------------------------------------------------


def neon_binary(camera: CameraModel, version: int = 1) -> bytes:
    eye = struct.pack("<33d", *range(33))
    scene = struct.pack("<33d", *camera.matrix.ravel(), *camera.coefficients, *np.eye(4).ravel())
    return struct.pack("<B6s", version, b"123456") + scene + eye + eye + struct.pack("<I", 0)


def test_neons_binary(tmp_path: Path) -> None:
    path = write(tmp_path / "calibration.bin", neon_binary(NEON))
    name, camera = read_camera(path)
    assert name == "Neon 123456 scene"
    assert camera == NEON


def test_neons_json(tmp_path: Path) -> None:
    for numbers in (list(NEON.coefficients), [list(NEON.coefficients)]):
        fields = {"camera_matrix": NEON.matrix.tolist(), "distortion_coefficients": numbers, "serial_number": "77"}
        assert read_camera(write(tmp_path / "scene_camera.json", json.dumps(fields))) == ("Neon 77 scene", NEON)


@pytest.mark.parametrize(
    "data",
    [
        neon_binary(NEON, version=2), neon_binary(PinholeCamera((1088, 1080), 766, 766, 543, 566, (0.0,) * 8)),
        b"\1" * len(neon_binary(NEON)), neon_binary(NEON)[:-1], b"{}", b'{"camera_matrix": 1}', b"{[", b"[" * 100_000,
        b'{"camera_matrix": [[1,0,0],[0,1,0],[0,0,1]], "distortion_coefficients": []}',
    ],
)  # fmt: skip
def test_a_broken_file_of_neon_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CalibrationError):
        read_camera(write(tmp_path / "calibration.bin", data))


INVISIBLE = PinholeCamera((1088, 1080), 766, 765, 543, 566, (-0.12, 0.1, 0.0, 0.001, 0.02, 0.2, 0.01, 0.06))


def test_files_of_an_invisible(tmp_path: Path) -> None:
    record = struct.pack("<26d", *INVISIBLE.matrix.ravel(), *INVISIBLE.coefficients, *np.eye(3).ravel())
    expected = "Pupil Invisible rx7vp scene", INVISIBLE
    assert read_camera(write(tmp_path / "calibration.bin", b"rx7vp" + record)) == expected
    fields = {"camera_matrix": INVISIBLE.matrix.tolist(), "dist_coefs": [list(INVISIBLE.coefficients)]}
    path = write(tmp_path / "scene_camera.json", json.dumps({**fields, "serial_number": "rx7vp"}))
    assert read_camera(path, (1088, 1080)) == expected
    with pytest.raises(CalibrationError, match="fits no Neon"):  # the file has no resolution
        read_camera(path)


GLASSES = {
    "focal-length": [920, 921], "principal-point": [955, 530], "radial-distortion": [-0.05, 0.06, -0.02],
    "tangential-distortion": [0.001, -0.002], "resolution": [1920, 1080], "skew": 0,
}  # fmt: skip


def test_recording_of_tobii_glasses(tmp_path: Path) -> None:
    path = write(tmp_path / "recording.g3", json.dumps({"scenecamera": {"camera-calibration": GLASSES}}))
    camera = PinholeCamera((1920, 1080), 920, 921, 955, 530, (-0.05, 0.06, 0.001, -0.002, -0.02))
    assert read_camera(path, (1920, 1080)) == ("Tobii Pro Glasses 3 scene", camera)


@pytest.mark.parametrize("field", GLASSES)
@pytest.mark.parametrize("value", [None, [], "x", [1e400], [[1]], 7])
def test_a_broken_recording_of_tobii_glasses_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    broken = {"scenecamera": {"camera-calibration": {**GLASSES, field: value}}}
    with pytest.raises(CalibrationError):
        read_camera(write(tmp_path / "recording.g3", json.dumps(broken)))


# -- ROS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
def test_camera_info_goes_out_and_comes_back(tmp_path: Path, camera: CameraModel) -> None:
    name, back = read_camera(write(tmp_path / "info.yaml", to_camera_info("scene camera/left", camera)))
    assert name == "scene_camera_left"
    assert type(back) is type(camera)
    np.testing.assert_array_equal(back.matrix, camera.matrix)
    pixels = np.random.default_rng(0).uniform(0, camera.size, (50, 2))
    np.testing.assert_array_equal(back.unproject(pixels), camera.unproject(pixels))


def test_opencv_reads_what_is_written(tmp_path: Path) -> None:
    """As a YAML reader that is not ours."""
    path = write(tmp_path / "info.yaml", "%YAML:1.0\n---\n" + to_camera_info("cam", WEBCAM))
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    assert storage.getNode("image_width").real() == 640
    data = storage.getNode("camera_matrix").getNode("data")
    assert [data.at(i).real() for i in range(9)] == WEBCAM.matrix.ravel().tolist()
    assert storage.getNode("distortion_model").string() == "plumb_bob"
    storage.release()


ECHO = """\
header:
  stamp:
    sec: 12
    nanosec: 5
  frame_id: camera_optical  # as the driver names it
height: 480
width: 640
distortion_model: plumb_bob
d:
- -0.26512
- -0.04662
- 0.00183
- -0.00031
- 0.25218
k:
- 536.07
- 0.0
- 342.37
- 0.0
- 536.01
- 235.54
- 0.0
- 0.0
- 1.0
binning_x: 0
roi:
  x_offset: 0
  do_rectify: false
---
"""
BY_HAND = """\
# from the camera_calibration package
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [536.07, 0, 342.37,
         0, 536.01, 235.54,
         0, 0, 1]
distortion_model: "plumb_bob"
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.26512, -0.04662, 0.00183, -0.00031, 0.25218]
"""


@pytest.mark.parametrize("text", [ECHO, BY_HAND, BY_HAND.replace("\n", "\r\n")])
def test_camera_info_of_other_programs(tmp_path: Path, text: str) -> None:
    assert read_camera(write(tmp_path / "info.yaml", text))[1] == WEBCAM


@needs_photos
def test_opencvs_own_files_are_read() -> None:
    _, camera = read_camera(PHOTOS / "chessboard_9x6" / "left_intrinsics.yml")
    assert camera.fx == pytest.approx(535.9157)
    assert camera.coefficients == pytest.approx((-0.26637, -0.038589, 0.00178319, -0.00028122, 0.238392), abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        ("plumb_bob", "thin_prism"), ("image_width: 640", "image_width: wide"), ("image_height: 480", ""),
        ("0, 536.01", "5, 536.01, 7"), ("[536.07, 0,", "[536.07, 9,"), ("camera_name", "binning_x: 2\ncamera_name"),
        ("0.25218]", "0.25218"), ("camera_matrix:", "camera_matrix 7"), ("536.07", "-536.07"),
    ],
)  # fmt: skip
def test_a_broken_camera_info_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    assert change[0] in BY_HAND
    with pytest.raises(CalibrationError):
        read_camera(write(tmp_path / "info.yaml", BY_HAND.replace(*change)))


# -- any of them -----------------------------------------------------------------------------------------------------


def test_our_own_file_is_read_too(tmp_path: Path) -> None:
    body = {"camera": CORE_WIDE.to_dict()}
    path = tmp_path / "camera.json"
    record.save_record(
        path, CalibrationRecord("camera", "", "world", CORE_WIDE.size, "2026-11-22T10:00:00+00:00", body)
    )
    assert read_camera(path) == ("world", CORE_WIDE)
    with pytest.raises(CalibrationError, match="1920 x 1080"):
        read_camera(path, (640, 480))
    path.write_text(path.read_text().replace('"fx": ', '"fx": -'))
    with pytest.raises(CalibrationError, match=f"^{re.escape(str(path))}: focal lengths must be above 0"):
        read_camera(path)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode), st.just(b"")))
def test_any_bytes_are_refused_with_our_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.mktemp("any") / "any", data)
    with pytest.raises(CalibrationError):
        read_camera(path)


@given(st.binary(max_size=300))
def test_every_reader_refuses_any_bytes(data: bytes) -> None:
    for read in (
        lambda: pupil.parse_intrinsics("x", data, None), lambda: neon.parse_scene_camera("x", data),
        lambda: neon.parse_calibration_bin("x", data), lambda: tobii.parse_recording("x", data),
        lambda: ros.parse_camera_info("x", data),
    ):  # fmt: skip
        with pytest.raises(CalibrationError):
            read()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="cannot read"):
        read_camera(tmp_path / "none")


MATRIX, COEFFICIENTS = "536.07, 0, 342.37, 0, 536.01, 235.54, 0, 0, 1", "-0.26512, -0.04662, 0.00183, -0.00031, 0.25218"
FLOW = f"""\
image_width: 640
image_height: 480
camera_matrix: {{rows: 3, cols: 3, data: [{MATRIX}]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: [{COEFFICIENTS}]}}
"""
INTERACTIVE = f"""\
%YAML:1.0
---
imageSize: [ 640, 480 ]
cameraMatrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ {MATRIX} ]
distCoeffs: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ {COEFFICIENTS} ]
"""
XML = f"""<?xml version="1.0"?>
<opencv_storage>
<image_width>640</image_width><image_height>480</image_height>
<camera_matrix type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt>
  <data>{MATRIX.replace(",", "")}</data></camera_matrix>
<distortion_coefficients type_id="opencv-matrix"><data>{COEFFICIENTS.replace(",", "")}</data></distortion_coefficients>
</opencv_storage>
"""
KALIBR = f"""\
cam0:
  camera_model: pinhole
  distortion_coeffs: [{COEFFICIENTS}]
  distortion_model: radtan
  intrinsics: [536.07, 536.01, 342.37, 235.54]
  resolution: [640, 480]
"""
JSON = f'{{"width": 640, "height": 480, "distortion_model": "plumb_bob", "d": [{COEFFICIENTS}], "K": [{MATRIX}]}}'


@pytest.mark.parametrize("text", [FLOW, INTERACTIVE, XML, KALIBR, JSON])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_camera_files_of_any_layout_and_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    assert read_camera(write(tmp_path / "camera.any", text.encode(encoding)))[1] == WEBCAM


def test_a_camera_without_coefficients_has_no_distortion(tmp_path: Path) -> None:
    text = re.sub("<distortion.*>", "", XML)
    assert not any(read_camera(write(tmp_path / "camera.xml", text))[1].coefficients)


def test_a_region_of_interest_crops_the_camera(tmp_path: Path) -> None:
    text = ECHO.replace("  x_offset: 0\n", "  x_offset: 100\n  y_offset: 40\n  width: 320\n  height: 240\n")
    camera = read_camera(write(tmp_path / "info.yaml", text))[1]
    assert (camera.size, camera.matrix[0, 2], camera.matrix[1, 2]) == ((320, 240), 242.37, 195.54)
    with pytest.raises(CalibrationError, match="not within the picture of 640 x 480"):
        read_camera(write(tmp_path / "info.yaml", text.replace("width: 320", "width: 600")))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_our_own_files_and_neons_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "camera.json"
    body = {"camera": CORE_WIDE.to_dict()}
    record.save_record(
        path, CalibrationRecord("camera", "", "world", CORE_WIDE.size, "2026-11-22T10:00:00+00:00", body)
    )
    path.write_bytes(path.read_text().encode(encoding))
    assert read_camera(path) == ("world", CORE_WIDE)
