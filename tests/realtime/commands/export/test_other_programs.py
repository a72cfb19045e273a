"""A data set goes through Datumaro, pycocotools, CVAT's XML and supervision and comes back.

They live in an environment of their own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from realtime.commands.main import main
from realtime.correction.editor import load_answers
from tests.realtime.correction.moving_disc import record

PYTHON = os.environ.get("GAZECAST_TOOLS_PYTHON")
pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="set GAZECAST_TOOLS_PYTHON to a Python that has datumaro and supervision"
)
DATUMARO = """
from datumaro.components.dataset import Dataset
data = Dataset.import_from({source!r}, "coco_instances")
data.export({target!r}, "coco_instances", save_media=True, segmentation_mode="mask")
"""
SUPERVISION = """
import os, supervision
data = supervision.DetectionDataset.from_coco({source!r} + "/images",
    {source!r} + "/annotations/instances_default.json", force_masks=True)
os.makedirs({target!r} + "/annotations")
data.as_coco({target!r} + "/images", {target!r} + "/annotations/instances_default.json")
"""


CVAT = """
from datumaro.components.dataset import Dataset
Dataset.import_from({source!r}, "coco_instances").export({target!r} + "/cvat", "cvat", save_media=True)
Dataset.import_from({target!r} + "/cvat", "cvat").export({target!r}, "coco_instances", segmentation_mode="mask")
"""
YOLO = """
import os, supervision
data = supervision.DetectionDataset.from_yolo({yolo!r} + "/images/train", {yolo!r} + "/labels/train",
    {yolo!r} + "/data.yaml", force_masks=True)
assert len(data) and all(len(found) for _, _, found in data)
os.makedirs({target!r} + "/annotations")
data.as_coco({target!r} + "/images", {target!r} + "/annotations/instances_default.json")
"""
PYCOCOTOOLS = """
import json, os
from pycocotools.coco import COCO
from pycocotools import mask
data = COCO({source!r} + "/annotations/instances_default.json")
for each in data.dataset["annotations"]:
    each["segmentation"] = mask.encode(__import__("numpy").asfortranarray(data.annToMask(each)))
    each["segmentation"]["counts"] = each["segmentation"]["counts"].decode()
os.makedirs({target!r} + "/annotations")
json.dump(data.dataset, open({target!r} + "/annotations/instances_default.json", "w"))
"""


@pytest.mark.parametrize(
    ("program", "is_exact"),
    [(DATUMARO, True), (PYCOCOTOOLS, True), (CVAT, True), (SUPERVISION, False), (YOLO, False)],
    ids=["datumaro", "pycocotools", "cvat", "supervision", "yolo-supervision"],
)
def test_a_round_trip_changes_nothing(
    tmp_path: Path, program: str, is_exact: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path, source, target = record(tmp_path), tmp_path / "set", tmp_path / "other"
    yolo = tmp_path / "yolo"
    assert main(["export", str(path), "--coco", str(source), "--yolo", str(yolo), "--every", "0.2"]) == 0
    code = program.format(source=str(source), target=str(target), yolo=str(yolo))
    subprocess.run([str(PYTHON), "-c", code], check=True, timeout=300)
    capsys.readouterr()
    assert main(["import", str(target / "annotations" / "instances_default.json"), str(path)]) == 0
    out = capsys.readouterr().out
    assert "left out" not in out
    assert out.startswith("0 masks corrected, 0 added") or not is_exact
    assert not load_answers(path)[1].corrections or not is_exact
