from __future__ import annotations

import json
import math

import cv2
import pytest

from engines import EngineSettings, load
from realtime.commands.export.coco_json import CocoAnnotation, CocoImage, build_dataset
from realtime.errors import LearningError
from realtime.learning.coco_pictures import name_recording, read_coco
from realtime.learning.looks import RIGHT_IOU
from realtime.learning.picture_looks import PictureFixations, choose_on_pictures, label_pictures
from tests.realtime import scene

WIDTH, HEIGHT = scene.SIZE


def write_data_set(folder, *, info=None, count=2):
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for k in range(1, count + 1):
        name = f"{k}.png"
        cv2.imwrite(str(folder / "images" / name), scene.picture(k * 7))
        images.append(CocoImage(k, name, WIDTH, HEIGHT))
        annotations.append(CocoAnnotation(k, k, scene.truth(k * 7), extra={"object": 5} if info else {}))
    (folder / "annotations.json").write_text(json.dumps(build_dataset(images, annotations, info=info)))
    return folder / "annotations.json"


def read_looks(file):
    pictures, fixations = read_coco(file), PictureFixations(error_px=5, repeats=2)
    engine = load(EngineSettings(backend="fake"), None)
    choices = choose_on_pictures(pictures, engine, fixations, lambda done, total: True)
    return list(label_pictures(pictures, choices, fixations))


def test_objects_of_a_data_set_become_looks(tmp_path):
    looks = read_looks(write_data_set(tmp_path / "a"))
    assert len(looks) == 4
    assert all(look.overlap.max() >= RIGHT_IOU for look in looks)
    assert len({look.group for look in looks}) == 2
    renamed = read_looks(write_data_set(tmp_path / "b"))  # the same pixels are the same group, and the same gaze
    assert [look.group for look in renamed] == [look.group for look in looks]
    assert [look.overlap.tolist() for look in renamed] == [look.overlap.tolist() for look in looks]


def test_an_export_is_of_its_recording(tmp_path):
    """Neighbouring frames look alike: they are never divided between training and test."""
    info = {"contributor": "gazecast 1.0", "date_created": "2026-01-02T03:04:05+00:00"}
    looks = read_looks(write_data_set(tmp_path, info=info))
    assert {look.group for look in looks} == {name_recording(info["date_created"])}
    assert len({look.visit for look in looks}) == 1


def test_reading_can_be_stopped(tmp_path):
    pictures = read_coco(write_data_set(tmp_path))
    engine = load(EngineSettings(backend="fake"), None)
    assert choose_on_pictures(pictures, engine, PictureFixations(), lambda done, total: done < 1) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["annotations"][0].pop("segmentation"), "annotation 1 .* no mask"),
        (lambda data: data["annotations"][0].update(segmentation=[]), "annotation 1 .* no mask"),
        (lambda data: data["annotations"][0].update(segmentation=[[1, 2]]), "annotation 1 .* polygon of 2 numbers"),
        (lambda data: data["annotations"][0].update(segmentation=[[math.nan] * 6]), "annotation 1 .* polygon"),
        (lambda data: data["annotations"][0]["segmentation"].update(size=[1, 1]), r"run lengths of size \[1, 1\]"),
        (lambda data: data["annotations"][0]["segmentation"].update(counts="zz!!"), "annotation 1 cannot be read"),
        (lambda data: data["annotations"][0].update(segmentation={"size": [HEIGHT, WIDTH], "counts": [5]}), "add up"),
        (lambda data: data["annotations"][0].update(image_id=9), "1 pictures and 1 annotations"),
        (lambda data: data["annotations"][0].update(id="a"), "whole number, got 'a'"),
        (lambda data: data["images"][0].update(width=1), "px, and its labels are for 1 x"),
        (lambda data: data["images"][0].update(width=-1), "labels are for -1 x"),
        (lambda data: data["images"][0].update(file_name="none.png"), r"1 of 1 pictures .*none\.png"),
    ],
)
def test_a_damaged_data_set_is_refused(change, message, tmp_path):
    file = write_data_set(tmp_path, count=1)
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(LearningError, match=message):
        read_looks(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("[]", "a list"), ("{}", "nothing"), ('{"images"', "cut off"), ('{"a": 1}', "holds 'a'"),
     ('{"images": 3, "annotations": []}', "images must be a list"),
     ('{"images": [], "annotations": []}', "0 pictures and 0 annotations")],
)  # fmt: skip
def test_another_file_is_refused(text, message, tmp_path):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(LearningError, match=message):
        read_coco(file)


def test_figures_that_are_no_numbers_do_not_count(tmp_path):
    """Scores are not read, and a gaze point that is none is one that is not known."""
    file = write_data_set(tmp_path, count=1)
    data = json.loads(file.read_text())
    data["annotations"][0] |= {"score": math.nan, "point_coords": [[math.nan, 1]], "gaze_radius_px": math.nan}
    file.write_text(json.dumps(data))
    (found,) = read_coco(file)[0].read_objects()
    assert (found.point_px, found.radius_px) == (None, 0.0)
