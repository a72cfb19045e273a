"""Tests parsing of recorded robot poses."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import CalibrationError
from calibration.rigid import RigidTransform
from calibration.robot_poses import parse_poses

HAND = RigidTransform.from_rotvec([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
BOARD = RigidTransform.from_rotvec([2.1, 0.2, 0.3], [0, 0.1, 0.7])
HEAD = "name,x,y,z,qx,qy,qz,qw"
BOARD_HEAD = ",".join("board_" + name for name in HEAD.split(",")[1:])


def line(name: str, *poses: RigidTransform) -> str:
    numbers = [n for pose in poses for n in (*pose.translation_m, *pose.quaternion_xyzw)]
    return ",".join([name, *map(repr, map(float, numbers))])


def test_json_with_and_without_the_board() -> None:
    items = [
        {"name": "a.png", "base_from_gripper": HAND.to_dict()},
        {"image": "b.png", "base_from_gripper": {"matrix": HAND.matrix.tolist()}, "camera_from_board": BOARD.to_dict()},
    ]
    for text in (json.dumps(items), json.dumps({"poses": items})):
        a, b = parse_poses("poses.json", text)
        assert (a.name, b.name) == ("a.png", "b.png")
        assert a.camera_from_board is None
        assert b.camera_from_board is not None
        for found, expected in ((a.base_from_gripper, HAND), (b.base_from_gripper, HAND), (b.camera_from_board, BOARD)):
            np.testing.assert_allclose(found.matrix, expected.matrix, atol=1e-12)


def test_csv_with_and_without_the_board() -> None:
    (pose,) = parse_poses("poses.csv", f"{HEAD}\n{line('a.png', HAND)}\n")
    np.testing.assert_allclose(pose.base_from_gripper.matrix, HAND.matrix, atol=1e-12)
    board = ",".join("board_" + name for name in HEAD.split(",")[1:])
    text = f"{HEAD},{board}\n{line('a', HAND, BOARD)}\n{line('b', HAND)},,,,,,,\n"
    a, b = parse_poses("poses.csv", text)
    assert a.camera_from_board is not None
    np.testing.assert_allclose(a.camera_from_board.matrix, BOARD.matrix, atol=1e-12)
    assert b.camera_from_board is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "columns"), ("x,y\n1,2", "name"), ("{", "JSON"), ('{"poses": 3}', "no poses"), ("[3]", "pose 0"),
        ('[{"name": "a"}]', "base_from_gripper"), ('[{"base_from_gripper": {}}]', "translation_m"),
        ('[{"base_from_gripper": {"matrix": [[1, 2], [3]]}}]', "4 x 4"), (f"{HEAD}\na,1,2", "line 2"),
        (f"{HEAD}\na,0,0,0,0,0,0,0", "length 0"), (f"{HEAD}\na,0,0,0,1,2,3,x", "7 numbers"),
        (f"{HEAD}\n{line('a', HAND)}\n{line('a', HAND)}", "more than once"),
        (f"{HEAD}\na,nan,0,0,0,0,0,1", "line 2.*finite"),
        (f"{HEAD}\na,400,20,9,0,0,0,1", "divide millimetres"), ("[" * 100_000, "JSON"), 
        (f"{HEAD},{BOARD_HEAD}\na,0,0,0,0,0,0,1,0,0,700,0,0,0,1", "divide millimetres"),
        ("\r0", "no CSV"), ("name,x\n\r0", "columns"),
    ],
)  # fmt: skip
def test_errors_name_the_invalid_pose(text: str, reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        parse_poses("poses", text)


KEYS = st.sampled_from(["name", "base_from_gripper", "matrix", "poses", "translation_m"])
NESTED = st.recursive(
    st.none() | st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8
)


@given(st.one_of(st.text(max_size=200), NESTED.map(json.dumps)))
def test_anything_else_is_refused_with_our_error_or_holds_no_poses(text: str) -> None:
    with contextlib.suppress(CalibrationError):
        assert parse_poses("poses", text) == []
