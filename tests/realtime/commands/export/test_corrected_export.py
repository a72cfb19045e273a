"""Exports have the corrected masks: in place of recorded ones, and of objects that were added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import Mask
from realtime.commands.main import main
from realtime.correction.editor import load_answers
from realtime.correction.events import unpack_mask
from realtime.correction.frame_corrector import CorrectionTarget
from realtime.recording.labels import ObjectLabel
from tests.realtime.correction.moving_disc import COUNT, FIRST, compute_iou, open_corrector, record, share_of, truth_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = record(tmp_path)
    _, editor, corrector = open_corrector(path)
    corrector.click(CorrectionTarget(15, 1), share_of(15), on=True)
    while corrector.carry_next(lambda done, total: True):
        pass
    corrector.paint(CorrectionTarget(2, 0), [(0.9, 0.9)], 0.1, on=True)
    editor.set_label(1, ObjectLabel("disc"))
    return path


def export(path: Path, *flags: str) -> dict[str, Any]:
    assert main(["export", str(path), "--coco", str(path.parent / "set"), "--force", *flags]) == 0
    found: dict[str, Any] = json.loads((path.parent / "set/annotations/instances_default.json").read_text())
    return found


def decode(annotation: dict[str, Any]) -> Mask:
    height, width = annotation["segmentation"]["size"]
    return unpack_mask(annotation["segmentation"]["counts"], (width, height))


def test_corrected_masks_are_exported_in_their_place_and_added_objects_too(path: Path) -> None:
    found = export(path, "--every", "0")
    names = {kind["id"]: kind["name"] for kind in found["categories"]}
    by_object = {number: [each for each in found["annotations"] if each["object"] == number] for number in (1, 2)}
    assert len(by_object[1]) == COUNT
    for each in by_object[1]:
        number = each["image_id"] - 1
        assert compute_iou(decode(each), truth_of(number)) > 0.7
        assert each["corrected"] == ("here" if number == 15 else "carried")
        assert (each["id"], each["attributes"]) == (1000 * each["image_id"] + 1, {"object": 1})
        assert "predicted_iou" not in each
        assert names[each["category_id"]] == "disc"
    (added,) = by_object[2]
    assert (added["image_id"], added["id"], names[added["category_id"]]) == (3, 3002, "object")
    assert {image["file_name"] for image in found["images"]} == {
        f"{number + 1:06d}.jpg" for number in (2, *range(FIRST, FIRST + COUNT))
    }


def test_of_every_second_the_corrected_mask_is_chosen(path: Path) -> None:
    chosen = [each for each in export(path)["annotations"] if each["object"] == 1]
    assert [each["corrected"] for each in chosen if each["image_id"] == 16] == ["here"]
    assert len(chosen) <= 2


def test_everything_else_is_added_and_what_was_looked_at_marked(path: Path) -> None:
    found = export(path, "--everything", "4", "--engine", "fake")["annotations"]
    looked_at = [each for each in found if each["looked_at"]]
    others = [each for each in found if not each["looked_at"]]
    assert {each["object"] for each in looked_at} == {1, 2}
    assert others
    assert len({each["id"] for each in found}) == len(found)
    for other in others:
        masks = [decode(each) for each in looked_at if each["image_id"] == other["image_id"]]
        assert all(compute_iou(decode(other), mask) <= 0.7 for mask in masks)
    assert main(["export", str(path), "--csv", "--everything"]) == 2
    assert main(["export", str(path), "--coco", "--everything", "0"]) == 2


def test_the_table_and_the_video_have_them(path: Path, tmp_path: Path) -> None:
    assert main(["export", str(path), "--csv", str(tmp_path / "a.csv"), "--video", str(tmp_path / "a.mp4")]) == 0
    header, row = (line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines())
    area = float(dict(zip(header, row, strict=True))["area_share"])
    assert area == pytest.approx(truth_of(15).mean(), rel=0.35)


def test_the_bag_has_them(path: Path, tmp_path: Path) -> None:
    highlevel = pytest.importorskip("rosbags.highlevel", reason="ROS 2 messages need rosbags")
    assert main(["export", str(path), "--ros2", str(tmp_path / "a.mcap")]) == 0
    areas = []
    with highlevel.AnyReader([tmp_path / "a.mcap"]) as reader:
        for connection, _, data in reader.messages(c for c in reader.connections if c.topic.endswith("/mask")):
            message = reader.deserialize(data, connection.msgtype)
            areas.append(np.count_nonzero(message.data))
    masks = sorted(load_answers(path)[1].masks.items(), key=lambda item: item[0].index)
    corrected = [np.count_nonzero(found[1].unpack()) for _, found in masks if 1 in found]
    assert len(corrected) == COUNT
    assert [area for area in areas if area] == corrected
