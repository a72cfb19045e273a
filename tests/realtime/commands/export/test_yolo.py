"""Outlines of YOLO's segmentation task give the masks back, with their holes, and go back to the recording."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from engines import Mask
from realtime.commands.export.yolo import trace_outline
from realtime.commands.import_masks.yolo_files import read_yolo
from realtime.commands.main import main
from realtime.correction.coco_file import read_segmentation
from realtime.correction.editor import load_answers
from realtime.errors import AnnotationError
from tests.realtime.correction.moving_disc import record


def draw_shapes(*shapes: tuple[int, int, int, int]) -> Mask:
    """Draw discs: x, y, radius, and 1 to add or 0 to take away."""
    canvas = np.zeros((48, 64), np.uint8)
    for x, y, radius, value in shapes:
        cv2.circle(canvas, (x, y), radius, value, -1)
    return np.asarray(canvas > 0)


@pytest.mark.parametrize(
    "mask",
    [
        draw_shapes((20, 20, 9, 1)),
        draw_shapes((20, 20, 15, 1), (20, 20, 7, 0)),
        draw_shapes((15, 15, 9, 1), (50, 30, 8, 1), (40, 6, 4, 1)),
        draw_shapes((30, 24, 20, 1), (22, 24, 5, 0), (38, 24, 5, 0), (22, 24, 2, 1)),
        draw_shapes((0, 0, 12, 1), (63, 47, 5, 1)),
        np.eye(48, 64, dtype=bool),
        draw_shapes((5, 5, 0, 1)),
    ],
    ids=["disc", "ring", "three parts", "holes and an island", "corners", "diagonal", "one pixel"],
)
def test_an_outline_gives_the_mask_back(mask: Mask) -> None:
    line = trace_outline(mask)
    shares = [float(f"{share:.6f}") for share in (line / (64, 48)).ravel()]
    assert all(0 <= share <= 1 for share in shares)
    polygon = (np.array(shares).reshape(-1, 2) * (64, 48)).ravel().tolist()
    assert np.array_equal(read_segmentation([polygon], (64, 48)), mask)


def test_a_data_set_has_yolos_layout_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = record(tmp_path), tmp_path / "set"
    assert main(["export", str(path), "--yolo", str(out), "--every", "0.2"]) == 0
    assert main(["export", str(path), "--yolo", str(out), "--every", "0.2", "--force"]) == 0, "its own is replaced"
    about = yaml.safe_load((out / "data.yaml").read_text())
    assert about == {"train": "images/train", "val": "images/train", "names": {0: "object"}}
    pictures, labels = (sorted((out / part / "train").iterdir()) for part in ("images", "labels"))
    assert [each.stem for each in pictures] == [each.stem for each in labels]
    assert len(labels) > 2
    capsys.readouterr()
    assert main(["import", str(out / "data.yaml"), str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"0 masks corrected, 0 added, {len(labels)} unchanged")
    labels[0].write_text("0 0.2 0.2 0.6 0.2 0.6 0.8 0.2 0.8\n")
    (out / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cup]\n")
    assert main(["import", str(out / "data.yaml"), str(path)]) == 0
    assert capsys.readouterr().out.startswith("1 masks corrected, 0 added")
    labels_of, state = load_answers(path)
    assert [each.source for each in state.corrections] == ["data.yaml"]
    assert labels_of.get_label(1).text == "cup"


@pytest.mark.parametrize(
    ("about", "line", "reason"),
    [
        ("", "", "is empty; expected data.yaml"),
        ("a: 3", "", "has no `names`; expected data.yaml"),
        ("names: 3", "", r"data\.yaml\.names must be"),
        ("names: [", "", "is no YAML"),
        ("train: images/train\nnames: [a]", "0 0.1 0.1 0.2", "line 1 of .*000001.txt: 3 numbers"),
        ("train: images/val\nnames: [a]", "0 0.1 0.1 0.2 0.2 0.3 0.1", "there are no labels beside"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, about: str, line: str, reason: str) -> None:
    folder = tmp_path / "labels" / "train"
    folder.mkdir(parents=True)
    (folder / "000001.txt").write_text(line)
    (tmp_path / "data.yaml").write_text(about)
    with pytest.raises(AnnotationError, match=reason):
        read_yolo(tmp_path / "data.yaml", lambda stems: {"000001": (64, 48)})
