"""Masks that were corrected in another program come back; what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realtime.commands.main import main
from realtime.correction.coco_file import read_segmentation
from realtime.correction.editor import load_answers
from realtime.correction.events import pack_mask, unpack_mask
from realtime.errors import AnnotationError
from realtime.recording.labels import load_labels
from tests.realtime.correction.moving_disc import compute_iou, open_corrector, record, truth_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path)


def export(path: Path) -> dict[str, Any]:
    target = path.parent / "set"
    assert main(["export", str(path), "--coco", str(target), "--every", "0.2", "--force"]) == 0
    found: dict[str, Any] = json.loads((target / "annotations" / "instances_default.json").read_text())
    return found


def bring_back(path: Path, dataset: Any, *flags: str) -> int:
    (path.parent / "changed.json").write_text(json.dumps(dataset))
    return main(["import", str(path.parent / "changed.json"), str(path), *flags])


def change(annotation: dict[str, Any]) -> int:
    """Draw the true mask; returns the number of its frame."""
    number = annotation["image_id"] - 1
    annotation["segmentation"] = {"size": [48, 64], "counts": pack_mask(truth_of(number))}
    return int(number)


@pytest.mark.parametrize("program", ["as exported", "drops what it does not know", "numbers anew"])
def test_only_what_was_changed_comes_back(
    path: Path, program: str, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    dataset = export(path)
    count = len(dataset["annotations"])
    assert count > 2
    numbers = {change(dataset["annotations"][index]) for index in (0, 2)}
    dataset["categories"][0]["name"] = "disc"
    for index, each in enumerate(dataset["annotations"]):
        if program != "as exported":
            del each["object"], each["attributes"]
        if program == "numbers anew":
            each["id"] = index
    capsys.readouterr()
    assert bring_back(path, dataset) == 0
    assert capsys.readouterr().out == f"2 masks corrected, 0 added, {count - 2} unchanged; 1 objects named\n"
    state = load_answers(path)[1]
    timeline, editor, _ = open_corrector(path)
    assert {timeline.find_number(key) for key in state.masks} == numbers
    for number in numbers:
        key = timeline.read_moment(number).frame.key
        assert (state.find_masks(key)[1].unpack() == truth_of(number)).all()
    assert load_labels(path).get_label(1).text == "disc"
    again = export(path)
    assert {each["id"] for each in again["annotations"] if "corrected" in each} <= {
        1000 * (number + 1) + 1 for number in numbers
    }
    capsys.readouterr()
    assert bring_back(path, again) == 0
    assert capsys.readouterr().out.startswith("0 masks corrected, 0 added")
    editor.undo()  # the name
    assert editor.undo() == 1
    assert editor.state.masks == {}  # both masks at once


def test_a_name_that_nobody_gave_comes_back_as_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the run recognized names the category; brought back unchanged it is no answer of the user."""
    path = record(tmp_path, recognized="cup")
    dataset = export(path)
    assert [each["name"] for each in dataset["categories"]] == ["cup"]
    capsys.readouterr()
    assert bring_back(path, dataset) == 0
    assert "0 objects named" in capsys.readouterr().out
    assert not load_labels(path).objects
    dataset["categories"][0]["name"] = "mug"
    assert bring_back(path, dataset) == 0
    dataset["categories"][0]["name"] = "cup"  # from "mug", which a user gave, that is a change
    assert bring_back(path, dataset) == 0
    assert load_labels(path).get_label(1).text == "cup"


def test_what_does_not_fit_is_named_and_the_rest_comes_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = export(path)
    images, annotations = dataset["images"], dataset["annotations"]
    template, image = annotations[0], images[0]
    change(template)
    far = {"size": [48, 64], "counts": pack_mask(np.eye(48, 64, dtype=np.bool_))}
    bare = {key: template[key] for key in ("image_id", "category_id", "segmentation")}
    images += [
        {**image, "id": 900, "file_name": "holiday.jpg"}, {**image, "id": 901, "file_name": "000999.jpg"},
        {**image, "id": 902, "width": 65},
    ]  # fmt: skip
    annotations += [
        {**bare, "id": 1, "image_id": 900}, {**bare, "id": 2, "image_id": 901}, {**bare, "id": 3, "image_id": 902},
        {**bare, "id": 4, "image_id": 903}, {**bare, "id": 5, "segmentation": far},
        {**bare, "id": 6, "segmentation": {"size": [48, 64], "counts": "oops"}}, {**bare, "id": 7, "segmentation": []},
        {**template, "id": 8}, {**bare, "id": 9}, {**bare, "id": 9},
    ]  # fmt: skip
    capsys.readouterr()
    assert bring_back(path, dataset) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 masks corrected")
    for text in (
        "1 ids that several annotations have, such as 9, 2 times",
        "2 annotations of a picture that is no frame of the recording, such as holiday.jpg",
        "1 annotations of another size than the frame, such as 000", "65 x 48, recorded 64 x 48",
        "1 annotations of a picture that is not in the file, such as annotation 4 of picture 903",
        "1 annotations that belong to no object (--add makes new ones), such as annotation 5",
        "2 annotations whose mask cannot be read, such as annotation 6",
        "1 annotations of an object that has another mask in the same frame, such as annotation 8, object 1",
    ):  # fmt: skip
        assert text in out, out
    assert bring_back(path, dataset, "--add") == 0
    assert {event.object for event in load_answers(path)[1].corrections} == {1, 2}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "changed.json holds a list; expected a data set of COCO"),
        ("{", "is no JSON"),
        ('{"images": [], "annotations": [{}]}', "annotations"),
    ],
)
def test_a_file_that_is_no_data_set_is_refused(
    path: Path, content: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (path.parent / "changed.json").write_text(content)
    assert main(["import", str(path.parent / "changed.json"), str(path)]) == 2
    assert reason in capsys.readouterr().err
    assert not list(path.parent.glob("*.jsonl"))


def test_a_data_set_of_something_else_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = export(path)
    for image in dataset["images"]:
        image["width"] += 1
    assert bring_back(path, dataset) == 2
    assert "annotations of another size than the frame, such as 000" in (error := capsys.readouterr().err)
    assert "Expected a data set that gazecast export made of this recording" in error
    assert not load_answers(path)[1].corrections
    assert bring_back(path, dataset | {"annotations": []}) == 2
    assert "it is empty" in capsys.readouterr().err


def test_an_export_of_another_recording_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = export(path)
    change(dataset["annotations"][0])
    dataset["info"]["date_created"] = "2001-02-03T04:05:06+00:00"
    assert bring_back(path, dataset) == 2
    assert "from a recording that began at 2001-02-03" in capsys.readouterr().err
    assert not load_answers(path)[1].corrections
    del dataset["info"]  # as programs do that write their own
    assert bring_back(path, dataset) == 0


def test_a_polygon_of_an_unchanged_mask_changes_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = export(path)
    for each in dataset["annotations"]:
        height, width = each["segmentation"]["size"]
        mask = unpack_mask(each["segmentation"]["counts"], (width, height))
        (contour,), _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        each["segmentation"] = [contour.ravel().tolist()]
    dataset["annotations"][1]["segmentation"] = [[20, 10, 40, 10, 40, 30, 20, 30]]
    capsys.readouterr()
    assert bring_back(path, dataset) == 0
    assert capsys.readouterr().out.startswith("1 masks corrected, 0 added")


def test_polygons_and_run_lengths_are_read() -> None:
    square = np.zeros((48, 64), np.bool_)
    square[10:20, 5:25] = True
    polygon = [5, 10, 25, 10, 25, 20, 5, 20]
    assert compute_iou(read_segmentation([polygon], (64, 48)), square) > 0.9
    flat = square.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    assert (read_segmentation({"size": [48, 64], "counts": runs}, (64, 48)) == square).all()
    for wrong in (None, [[1, 2]], [[1, 2, 3, 4, 5, float("nan")]], {"size": [1, 2], "counts": runs}, [["x"]]):
        with pytest.raises(AnnotationError):
            read_segmentation(wrong, (64, 48))
