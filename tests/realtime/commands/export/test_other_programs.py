"""A data set goes through Datumaro and supervision and comes back; they live in an environment of their own."""

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


@pytest.mark.parametrize(("program", "is_exact"), [(DATUMARO, True), (SUPERVISION, False)])
def test_a_round_trip_changes_nothing(
    tmp_path: Path, program: str, is_exact: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path, source, target = record(tmp_path), tmp_path / "set", tmp_path / "other"
    assert main(["export", str(path), "--coco", str(source), "--every", "0.2"]) == 0
    code = program.format(source=str(source), target=str(target))
    subprocess.run([str(PYTHON), "-c", code], check=True, timeout=300)
    capsys.readouterr()
    assert main(["import", str(target / "annotations" / "instances_default.json"), str(path)]) == 0
    out = capsys.readouterr().out
    assert "left out" not in out
    assert out.startswith("0 masks corrected, 0 added") or not is_exact
    assert not load_answers(path)[1].corrections or not is_exact
