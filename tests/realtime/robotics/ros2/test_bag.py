"""Tests the bag of a recording with two independent readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realtime.commands.main import main
from realtime.comms.messages import OverlayMessage
from realtime.pipeline.publisher import MessagePublisher
from realtime.recording.format import FRAME, RecordingInfo, pack_frame
from realtime.recording.labels import LabelFile, ObjectLabel
from realtime.recording.reader import RecordingReader
from realtime.recording.writer import RecordingFile
from realtime.robotics.ros2.bag import write_bag
from realtime.robotics.ros2.topics import TOPICS, name_ros_topic
from realtime.types import Frame
from tests.realtime.robotics.ros2.cdr_reader import FRAME_ID, SIZE, WALL_NS, captured_ns, mask, solid
from tests.realtime.robotics.ros2.test_convert import PUBLISHED

pytest.importorskip("rosbags", reason="ROS 2 messages need rosbags: pip install -e '.[robotics]'")

FRAMES = 4


def picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> RecordingReader:
    """A recording of frames, masks of objects 3 and 4, overlays and boxes, as a run writes it."""
    path = tmp_path_factory.mktemp("recording") / "run.mcap"
    file = RecordingFile(path, RecordingInfo(wall_ns=WALL_NS, stream="eyes", program="test"))

    class Sink:
        def send(self, topic: str, payload: bytes) -> bool:
            file.write_message(topic, at_ns + WALL_NS, payload)
            return True

    publisher = MessagePublisher(Sink(), "eyes", lambda: at_ns)
    for index in range(FRAMES):
        at_ns = captured_ns(index) + 4_000_000
        shot = Frame(picture(index), index, index / 30, captured_ns(index), at_ns)
        file.write_message(FRAME, at_ns + WALL_NS, pack_frame(shot, False, 90))
        at_ns += 9_000_000
        object_id = 3 if index < 3 else 4
        publisher.publish("mask", mask(index, object_id, lost=index == 2).to_fields())
        publisher.publish("overlay", OverlayMessage(mask(index).frame, b"overlay").to_fields())
        publisher.publish("object3d", solid(index, object_id).to_fields())
    publisher.publish("overlay", OverlayMessage(mask(900).frame, b"of a frame that is not here").to_fields())
    file.close()
    return RecordingReader(path)


@pytest.fixture(scope="module")
def bag(recording: RecordingReader, tmp_path_factory: pytest.TempPathFactory) -> Path:
    done = write_bag(recording, tmp_path_factory.mktemp("bag") / "deep" / "out.mcap")
    assert done.counts == dict.fromkeys(TOPICS, FRAMES)
    assert done.undated == 1
    return done.path


def stamp_ns(header: Any) -> int:
    return int(header.stamp.sec * 10**9 + header.stamp.nanosec)


def check(topic: str, message: Any, index: int) -> None:
    """Check a message that either reader returned."""
    header = message.transforms[0].header if topic == "/tf" else message.header
    assert stamp_ns(header) == captured_ns(index) + WALL_NS
    assert header.frame_id == ("base_link" if topic == "/tf" else FRAME_ID)
    if topic == "mask":
        truth = np.zeros(SIZE[::-1], bool) if index == 2 else mask(index).mask
        pixels = np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width)
        np.testing.assert_array_equal(pixels, truth * np.uint8(255))
    elif topic == "image/compressed":
        assert message.format == "bgr8; png compressed bgr8"
        image = cv2.imdecode(np.frombuffer(bytes(message.data), np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(image, picture(index))
    elif topic == "object/points":
        points = np.frombuffer(bytes(message.data), "<f4").reshape(message.width, 3)
        np.testing.assert_array_equal(points, solid(index).points)
    elif topic == "detections_2d":
        assert [found.id for found in message.detections] == [["3"], ["3"], [], ["4"]][index]
    elif topic == "camera_info":
        assert (list(message.d), message.distortion_model) == (list(solid().camera.coefficients), "plumb_bob")


def test_rosbags_reads_the_bag(bag: Path) -> None:
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    seen: dict[str, int] = {}
    names = {name_ros_topic("eyes", topic): topic for topic in TOPICS}
    # Types come from the file's own definitions; vision_msgs is in no store.
    with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == {name: TOPICS[t] for name, t in names.items()}
        for connection, log_ns, data in reader.messages():
            topic = names[connection.topic]
            index = seen[topic] = seen.get(topic, -1) + 1
            check(topic, reader.deserialize(data, connection.msgtype), index)
            assert 4_000_000 <= log_ns - WALL_NS - captured_ns(index) <= 13_000_000
    assert seen == dict.fromkeys(TOPICS, FRAMES - 1)


def test_mcap_reads_the_bag_and_its_types_are_those_of_ros(bag: Path) -> None:
    mcap_ros2 = pytest.importorskip("mcap_ros2.decoder", reason="another reader: pip install mcap-ros2-support")
    from mcap.reader import make_reader

    seen: dict[str, int] = {}
    names = {name_ros_topic("eyes", topic): topic for topic in TOPICS}
    with bag.open("rb") as file:
        reader = make_reader(file, decoder_factories=[mcap_ros2.DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        for schema, channel, record, message in reader.iter_decoded_messages():
            topic = names[channel.topic]
            index = seen[topic] = seen.get(topic, -1) + 1
            assert channel.metadata["offered_qos_profiles"] == "[]"
            assert (schema.encoding, channel.message_encoding, record.sequence) == ("ros2msg", "cdr", index)
            if schema.name in PUBLISHED:
                assert channel.metadata["topic_type_hash"] == f"RIHS01_{PUBLISHED[schema.name]}"
            check(topic, message, index)
    assert seen == dict.fromkeys(TOPICS, FRAMES - 1)


def test_labels_name_objects_and_leave_them_out(recording: RecordingReader, tmp_path: Path) -> None:
    from rosbags.highlevel import AnyReader

    labels = LabelFile({3: ObjectLabel("cup"), 4: ObjectLabel("", False)})
    done = write_bag(recording, tmp_path / "out.mcap", labels)
    assert (done.counts["mask"], done.counts["detections_3d"], done.counts["image/compressed"]) == (3, 3, 4)
    with AnyReader([done.path]) as reader:
        connections = [c for c in reader.connections if c.topic == "/eyes/detections_3d"]
        for connection, _, data in reader.messages(connections=connections):
            (found,) = reader.deserialize(data, connection.msgtype).detections
            assert (found.id, found.results[0].hypothesis.class_id) == ("3", "cup")


def test_an_interrupted_export_leaves_no_file(recording: RecordingReader, tmp_path: Path) -> None:
    def report(host_ns: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bag(recording, tmp_path / "out.mcap", report=report)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_the_bag(
    recording: RecordingReader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mcap"
    assert main(["export", str(recording.path), "--ros2", str(out)]) == 0
    assert f"{out}: {FRAMES * len(TOPICS)} messages on {len(TOPICS)} topics" in capsys.readouterr().out
    assert main(["export", str(recording.path), "--ros2", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
