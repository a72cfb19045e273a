"""`object3d` as bytes and back; what does not follow the contract is refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import PinholeCamera
from realtime.comms.envelope import pack
from realtime.comms.messages import read_message
from realtime.comms.object3d import DepthRef, Object3dMessage, ObjectPose
from realtime.errors import WireError
from realtime.types import Confirmation, FrameRef

HEAD = {"v": 1, "stream": "s", "seq": 3, "published_ns": 9}
PLACE = ObjectPose(
    "head_optical_frame", (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.1, 0.2, 0.9), (1e-6, 0, 0, 0, 1e-6, 0, 0, 0, 1e-6),
    (0.1, 0.2, 0.91), (0.0, 0.0, 0.6, 0.8), (0.0, 0.1, 0.0),
)  # fmt: skip
WHOLE = Object3dMessage(
    FrameRef(4, 1.5, 640, 480), 123, 7, "locked", "depth", PLACE, "", (0.3, 0.2, 0.1), "minimal", True, 900, 0.8,
    np.arange(12, dtype=np.float32).reshape(4, 3), 0.005, PinholeCamera((640, 480), 500, 501, 320, 240, (0.1, 0, 0, 0)),
    DepthRef(1.51, 10.0, True), ObjectPose("base", centroid=(1.0, 2.0, 3.0)), (0.5, 0, 0), (0.0, 0.0, 0.0, 1.0),
    Confirmation("pinch", 2, 99),
)  # fmt: skip
RAY = Object3dMessage(
    FrameRef(4, 1.5, 640, 480),
    123,
    7,
    "held",
    "ray",
    ObjectPose("c_optical_frame", (0.0, 0, 0), (0.0, 0, 1)),
    "no depth",
)
LOST = Object3dMessage(FrameRef(4, 1.5, 640, 480), 123, 7, "lost", "none", ObjectPose("c_optical_frame"), "lost")


@pytest.mark.parametrize("message", [WHOLE, RAY, LOST], ids=["depth", "ray", "lost"])
def test_a_message_survives_the_wire(message):
    back = read_message("object3d", pack({**HEAD, **message.to_fields()}))
    assert isinstance(back, Object3dMessage)
    assert (back.stream, back.seq, back.published_ns) == ("s", 3, 9)
    for name in ("frame", "captured_ns", "object", "state", "method", "place", "reason", "extents", "box", "moving",
                 "count", "valid", "voxel_m", "camera", "depth", "robot", "robot_from_camera_m",
                 "confirmed"):  # fmt: skip
        assert getattr(back, name) == getattr(message, name), name
    assert np.array_equal(back.points, np.zeros((0, 3)) if message.points is None else message.points)


def test_the_fields_of_the_place_are_beside_the_others():
    fields = WHOLE.to_fields()
    assert fields["frame_id"] == "head_optical_frame"
    assert fields["pose"] == {"position": [0.1, 0.2, 0.91], "orientation": [0, 0, 0.6, 0.8]}
    assert fields["points"]["shape"] == [4, 3]
    assert fields["robot"]["from_camera"] == {"translation": [0.5, 0, 0], "rotation": [0, 0, 0, 1]}
    assert RAY.to_fields()["pose"] is None
    assert "confirmed" not in RAY.to_fields()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": "magic"}, "method must be one of depth, plane, size, ray, none, got 'magic'"),
        ({"method": "ray"}, "method ray with a centroid"),
        ({"centroid": None}, "method depth without a centroid"),
        ({"centroid": [1, 2]}, "centroid must be a list of 3 numbers"),
        ({"centroid": [1, 2, float("nan")]}, "finite number"),
        ({"state": "found"}, "state must be one of preview, locked, held, lost, got 'found'"),
        ({"box": "round"}, "box must be one of minimal, pca, got 'round'"),
        ({"pose": {"position": [0, 0, 0], "orientation": [1, 1, 1, 1]}}, "unit quaternion"),
        ({"points": {"dtype": "<f4", "shape": [2, 3], "data": b"1234"}}, "points of shape"),
        ({"points": {"dtype": "<f4", "shape": [1 << 40, 3], "data": b""}}, "points of shape"),
        ({"points": {"dtype": "<f4", "shape": [1, 3], "data": b"\xff" * 12}}, "points must be finite"),
        ({"camera": {"model": "pinhole"}}, "camera: the camera has no"),
        ({"frame_id": 7}, "frame_id must be a string"),
        ({"robot": {"frame_id": "base"}}, "from_camera must be a map"),
    ],
)
def test_fields_outside_the_contract_are_refused(changes, expected):
    with pytest.raises(WireError, match=expected):
        read_message("object3d", pack({**HEAD, **WHOLE.to_fields(), **changes}))


ANY = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=5) | st.binary(max_size=9)
)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(sorted(WHOLE.to_fields())),
    ANY | st.lists(ANY, max_size=4) | st.dictionaries(st.text(), ANY, max_size=3),
)
def test_any_value_of_a_field_is_read_or_refused(key, value):
    with contextlib.suppress(WireError):
        read_message("object3d", pack({**HEAD, **WHOLE.to_fields(), key: value}))
