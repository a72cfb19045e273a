"""A data set goes through Datumaro, pycocotools, CVAT's XML, supervision and Label Studio's SDK and comes back.

GAZECAST_TOOLS_PYTHON: a Python with these programs, which need not be that of the tests; what it lacks is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from realtime.commands.main import main
from realtime.correction.coco_file import read_segmentation
from realtime.correction.editor import load_answers
from tests.realtime.correction.moving_disc import record

PYTHON = os.environ.get("GAZECAST_TOOLS_PYTHON", sys.executable)
DATUMARO = """
from datumaro.components.dataset import Dataset
data = Dataset.import_from({source!r}, "coco_instances")
data.export({target!r}, "coco_instances", save_media=True, segmentation_mode="mask")
"""
SUPERVISION = """
import os, numpy, supervision
data = supervision.DetectionDataset.from_coco({source!r} + "/images",
    {source!r} + "/annotations/instances_default.json", force_masks=True)
for found in data.annotations.values():
    found.data["iscrowd"] = numpy.ones(len(found), int)  # run lengths; without it polygons, which lose pixels
os.makedirs({target!r} + "/annotations")
data.as_coco({target!r} + "/images", {target!r} + "/annotations/instances_default.json")
"""
SUPERVISION_POLYGONS = """
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


def read_masks(file: Path) -> dict[str, list[bytes]]:
    """Read the masks of each picture."""
    content = json.loads(file.read_text())
    images = {each["id"]: (Path(each["file_name"]).name, (each["width"], each["height"])) for each in content["images"]}
    found: dict[str, list[bytes]] = {}
    for each in content["annotations"]:
        name, size = images[each["image_id"]]
        found.setdefault(name, []).append(read_segmentation(each["segmentation"], size).tobytes())
    return {name: sorted(masks) for name, masks in found.items()}


@pytest.mark.parametrize(
    ("library", "program", "is_exact"),
    [
        ("datumaro", DATUMARO, True), ("pycocotools", PYCOCOTOOLS, True), ("datumaro", CVAT, True),
        ("supervision", SUPERVISION, True),
        ("supervision", SUPERVISION_POLYGONS, False), ("supervision", YOLO, False),
    ],
    ids=["datumaro", "pycocotools", "cvat", "supervision", "supervision-polygons", "yolo"],
)  # fmt: skip
def test_a_round_trip_changes_nothing(
    tmp_path: Path, library: str, program: str, is_exact: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if subprocess.run([PYTHON, "-c", f"import {library}"], capture_output=True, timeout=120).returncode:
        pytest.skip(f"{PYTHON} has no {library}; set GAZECAST_TOOLS_PYTHON to a Python that has")
    path, source, target = record(tmp_path), tmp_path / "set", tmp_path / "other"
    yolo = tmp_path / "yolo"
    assert main(["export", str(path), "--coco", str(source), "--yolo", str(yolo), "--every", "0.2"]) == 0
    code = program.format(source=str(source), target=str(target), yolo=str(yolo))
    subprocess.run([PYTHON, "-c", code], check=True, timeout=300)
    file = Path("annotations") / "instances_default.json"
    if is_exact:
        assert read_masks(target / file) == read_masks(source / file)
    capsys.readouterr()
    assert main(["import", str(target / file), str(path)]) == 0
    out = capsys.readouterr().out
    assert "left out" not in out
    corrections = load_answers(path)[1].corrections
    assert {each.object for each in corrections} <= {1}, "the object of the recording"
    assert out.startswith("0 masks corrected, 0 added") or not is_exact
    assert not corrections or not is_exact


STUDIO = """
import json
import numpy as np
from label_studio_sdk.converter.brush import decode_rle, encode_rle
tasks = json.load(open({source!r}))
for task in tasks:
    for region in task["annotations"][0]["result"]:
        values = decode_rle(region["value"]["rle"])
        alpha = values.reshape(region["original_height"], region["original_width"], 4)[:, :, 3]
        region["value"]["rle"] = encode_rle(np.repeat((alpha > 0).ravel() * 255, 4).tolist())
json.dump(tasks, open({target!r}, "w"))
"""


def test_label_studios_sdk_reads_and_writes_the_same_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if subprocess.run([PYTHON, "-c", "import label_studio_sdk"], capture_output=True, timeout=120).returncode:
        pytest.skip(f"{PYTHON} has no label_studio_sdk; set GAZECAST_TOOLS_PYTHON to a Python that has")
    path, out, target = record(tmp_path), tmp_path / "set", tmp_path / "back.json"
    assert main(["export", str(path), "--label-studio", str(out), "--every", "0.2"]) == 0
    code = STUDIO.format(source=str(out / "tasks.json"), target=str(target))
    subprocess.run([PYTHON, "-c", code], check=True, timeout=300)
    count = len(json.loads(target.read_text()))
    capsys.readouterr()
    assert main(["import", str(target), str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"0 masks corrected, 0 added, {count} unchanged")
