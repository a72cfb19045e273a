"""Label Studio's tasks give the masks back, and go back to the recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from realtime.commands.import_masks.label_studio_files import read_label_studio
from realtime.commands.main import main
from realtime.correction.brush_runs import pack_runs, unpack_runs
from realtime.correction.coco_file import find_frame_number, read_segmentation
from realtime.correction.editor import load_answers
from realtime.errors import AnnotationError
from tests.realtime.correction.moving_disc import record


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_packed_strokes_give_the_mask_back(mask):
    assert np.array_equal(unpack_runs(pack_runs(mask), mask.shape[::-1]), mask)


def test_long_runs_are_divided():
    mask = np.zeros((300, 400), np.bool_)
    mask[100:, :] = True
    assert np.array_equal(unpack_runs(pack_runs(mask), (400, 300)), mask)


def test_strokes_of_label_studios_own_program_are_read():
    # of label_studio_sdk.converter.brush.encode_rle, label-studio-sdk 2.1
    packed = [0, 0, 0, 60, 57, 27, 252, 127, 246, 192, 48, 223, 252, 96, 17, 255, 198, 1, 31, 248]
    expected = [[1, 0, 0, 0, 1], [1, 1, 1, 1, 1], [1, 0, 1, 0, 1]]
    assert unpack_runs(packed, (5, 3)).astype(int).tolist() == expected


def test_a_list_of_different_values_is_read_by_its_alpha():
    values = [10, 20, 30, 127, 9, 9, 9, 128]
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}0{0:02b}{7:03b}" + "".join(f"{value:08b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    packed = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    assert unpack_runs(packed, (2, 1)).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        ([], "the list ends after 0 bytes"),
        (pack_runs(np.ones((3, 5), np.bool_))[:-1], "the list ends after"),
        (pack_runs(np.ones((3, 4), np.bool_)), "48 values, expected 4 for each of 5 x 3"),
        ([0, 0, 0, 60, 57, 27, 255, 255, 255, 255], "that end after"),
        ([300], "bytes must be in range"),
    ],
)
def test_strokes_that_do_not_fit_are_refused(packed, reason):
    with pytest.raises(AnnotationError, match=reason):
        unpack_runs(packed, (5, 3))


def test_a_data_set_has_tasks_and_a_configuration_and_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = record(tmp_path), tmp_path / "set"
    command = ["export", str(path), "--label-studio", str(out), "--every", "0.2"]
    assert main(command) == 0
    assert main([*command, "--force"]) == 0, "its own is replaced"
    tasks = json.loads((out / "tasks.json").read_text())
    assert len(tasks) > 2
    names = [task["data"]["image"].rpartition("/")[2] for task in tasks]
    assert names == sorted(each.name for each in (out / "images").iterdir())
    config = ElementTree.fromstring((out / "label_config.xml").read_text())
    brush = config.find("BrushLabels")
    assert brush is not None
    (result,) = tasks[0]["annotations"][0]["result"]
    assert (result["from_name"], result["to_name"]) == (brush.get("name"), brush.get("toName"))
    assert [each.get("value") for each in brush] == ["object"] == result["value"]["brushlabels"]
    capsys.readouterr()
    assert main(["import", str(out / "tasks.json"), str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"0 masks corrected, 0 added, {len(tasks)} unchanged")

    size = result["original_width"], result["original_height"]
    mask = unpack_runs(result["value"]["rle"], size)
    mask[5:20, 5:20] = True
    result["value"] = {"format": "rle", "rle": pack_runs(mask), "brushlabels": ["cup"]}
    tasks[0]["data"]["image"] = f"/data/upload/3/0a1b2c3d-{names[0]}"  # as after an upload of the picture
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(tasks))
    assert main(["import", str(changed), str(path)]) == 0
    assert capsys.readouterr().out.startswith("1 masks corrected, 0 added")
    assert [each.source for each in load_answers(path)[1].corrections] == ["changed.json"]


def make_task(*answers: list[dict[str, Any]], image: str = "000007.jpg", **data: Any) -> dict[str, Any]:
    return {"data": {"image": image, **data}, "annotations": [{"result": answer} for answer in answers]}


POLYGON = {
    "type": "polygonlabels", "id": "x1", "original_width": 40, "original_height": 20,
    "value": {"points": [[25, 25], [75, 25], [75, 75], [25, 75]], "polygonlabels": ["cup"]},
}  # fmt: skip


def test_polygons_boxes_and_texts_are_told_apart():
    box = {"type": "rectanglelabels", "id": "b", "value": {"x": 1, "y": 2, "width": 3, "height": 4}}
    text = {"type": "textarea", "id": "t", "value": {"text": ["a note"]}}
    found = read_label_studio([make_task([box, POLYGON, text])], "tasks.json")
    (annotation,) = found.annotations
    mask = read_segmentation(annotation.segmentation, (40, 20))
    expected = np.zeros((20, 40), np.bool_)
    expected[5:15, 10:30] = True
    assert np.array_equal(mask, expected)
    assert found.categories[annotation.category_id - 1].name == "cup"
    assert find_frame_number(found.images[0]) == 7


def test_the_last_answer_that_was_not_skipped_counts():
    task = make_task([POLYGON], [POLYGON, {**POLYGON, "id": "12001"}], [])
    task["annotations"][2]["was_cancelled"] = True
    found = read_label_studio([task], "tasks.json")
    assert [each.id == 12001 for each in found.annotations] == [False, True]


def test_an_export_of_another_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = record(tmp_path), tmp_path / "set"
    assert main(["export", str(path), "--label-studio", str(out)]) == 0
    tasks = json.loads((out / "tasks.json").read_text())
    for task in tasks:
        task["data"]["recording"] = "2020-01-01T00:00:00+00:00"
    (tmp_path / "other.json").write_text(json.dumps(tasks))
    assert main(["import", str(tmp_path / "other.json"), str(path)]) != 0
    assert "began at 2020" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([3], r"tasks\.json\[0\]"),
        ([{"image": "a.jpg", "mask": []}], r"tasks\.json"),
        ([make_task([{**POLYGON, "original_width": 0}])], "does not state the picture's original_width"),
        ([make_task([{**POLYGON, "value": {"rle": [1, 2]}}])], "region 'x1' has brush strokes that cannot be read"),
        ([make_task([{**POLYGON, "value": {"points": [[1, 2], [3]]}}])], "a polygon"),
    ],
)
def test_files_that_do_not_fit_are_refused(found, reason):
    with pytest.raises(AnnotationError, match=reason):
        read_label_studio(found, "tasks.json")
