"""Tests which messages are sent on which topic, with which stamp."""

from __future__ import annotations

import dataclasses

import pytest

from realtime.robotics.ros2.topics import TOPICS, MessageTranslator, name_ros_topic
from realtime.types import Confirmation
from tests.realtime.robotics.ros2.cdr_reader import (
    CAMERA,
    CAPTURED_NS,
    FRAME_ID,
    WALL_NS,
    captured_ns,
    mask,
    ray,
    solid,
)

pytest.importorskip("rosbags", reason="ROS 2 messages need rosbags: pip install -e '.[robotics]'")


def header(outgoing):
    message = outgoing.message
    return message.transforms[0].header if outgoing.topic == "/tf" else message.header


@pytest.mark.parametrize(
    ("stream", "topic", "name"),
    [
        ("gazecast", "mask", "/gazecast/mask"),
        ("left eye-2", "object/pose", "/left_eye_2/object/pose"),
        ("2nd", "mask", "/_2nd/mask"),
        ("", "mask", "/gazecast/mask"),
        ("gazecast", "/tf", "/tf"),
    ],
)
def test_topic_names_are_valid_in_ros(stream: str, topic: str, name: str) -> None:
    assert name_ros_topic(stream, topic) == name


def test_all_messages_of_a_frame_have_its_stamp_and_the_cameras_frame() -> None:
    translator = MessageTranslator(WALL_NS, camera=CAMERA, camera_frame=FRAME_ID)
    sent = [
        *translator.translate_image(b"jpeg", "jpeg", captured_ns(4)), *translator.translate_mask(mask(4)),
        *translator.translate_object3d(solid(4)),
        *translator.translate_image(b"jpeg", "jpeg", captured_ns(4), "overlay/compressed"),
    ]  # fmt: skip
    assert {outgoing.topic for outgoing in sent} == TOPICS.keys()
    assert len(sent) == len(TOPICS)  # camera_info once, not once a message
    stamp_ns = captured_ns(4) + WALL_NS
    for outgoing in sent:
        stamp = header(outgoing).stamp
        assert outgoing.stamp_ns == stamp.sec * 10**9 + stamp.nanosec == stamp_ns
        assert header(outgoing).frame_id == ("base_link" if outgoing.topic == "/tf" else FRAME_ID)
        assert outgoing.message.__msgtype__ == TOPICS[outgoing.topic]


def test_the_next_frame_has_its_own_camera_info() -> None:
    translator = MessageTranslator(WALL_NS, camera=CAMERA)
    infos = [o for index in (0, 1) for o in translator.translate_mask(mask(index)) if o.topic == "camera_info"]
    assert [info.stamp_ns - WALL_NS for info in infos] == [captured_ns(0), captured_ns(1)]


def test_without_a_camera_there_is_no_camera_info() -> None:
    assert {outgoing.topic for outgoing in MessageTranslator(0).translate_mask(mask())} == {
        "mask",
        "label",
        "detections_2d",
        "confirmed",
    }


@pytest.mark.parametrize(("confirmed", "ids"), [(None, []), (Confirmation("pinch", 1, 2), ["3"])])
def test_only_a_confirmed_object_is_on_the_topic_of_confirmed_ones(confirmed, ids) -> None:
    shown = dataclasses.replace(mask(), confirmed=confirmed)
    sent = {outgoing.topic: outgoing.message for outgoing in MessageTranslator(0).translate_mask(shown)}
    assert [found.id for found in sent["confirmed"].detections] == ids
    assert [found.id for found in sent["detections_2d"].detections] == ["3"]


def test_a_ray_has_no_detection_in_space() -> None:
    sent = {outgoing.topic: outgoing.message for outgoing in MessageTranslator(0).translate_object3d(ray())}
    assert sent.keys() == {"camera_info", "detections_3d"}
    assert sent["detections_3d"].detections == []


def test_the_confidence_is_that_of_the_same_objects_mask() -> None:
    translator = MessageTranslator(0)
    scores = []
    for object_id in (3, 4):
        list(translator.translate_mask(mask()))
        sent = {
            outgoing.topic: outgoing.message for outgoing in translator.translate_object3d(solid(object_id=object_id))
        }
        scores.append(sent["detections_3d"].detections[0].results[0].hypothesis.score)
    assert scores == [0.8, 0.0]


def test_unwanted_messages_are_not_made() -> None:
    translator = MessageTranslator(0, camera=CAMERA, is_wanted=lambda topic: topic == "detections_2d")
    assert [outgoing.topic for outgoing in translator.translate_mask(mask())] == ["detections_2d"]
    assert not list(translator.translate_object3d(solid()))
    assert not list(translator.translate_image(b"", "jpeg", 1))


def test_a_mask_without_a_time_of_capture_has_that_of_its_arrival() -> None:
    old = dataclasses.replace(mask(), captured_ns=0)
    assert {outgoing.stamp_ns for outgoing in MessageTranslator(0).translate_mask(old)} == {CAPTURED_NS + 4_000_000}
