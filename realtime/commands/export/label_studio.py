"""Exports a recording as a project of Label Studio: tasks with brush masks, and the configuration that they need."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from realtime.commands.export.coco import export_data_set, take_annotations
from realtime.commands.export.coco_json import write_json
from realtime.commands.export.targets import (
    IMAGES,
    STUDIO_BEGINNING,
    STUDIO_CONFIG,
    STUDIO_TASKS,
    ExportTargets,
    OnTime,
)
from realtime.correction.brush_runs import pack_runs
from realtime.correction.corrected_masks import CorrectedMasks
from realtime.correction.events import unpack_mask
from realtime.recording.labels import LabelFile
from realtime.recording.reader import RecordingReader

LOCAL_FILES = "/data/local-files/?d="
"""Label Studio's own address of a picture in its folder of local files."""
CONTROL, PICTURE = "mask", "image"
"""The names of the brush and of the picture in the configuration, which results refer to."""


def export_label_studio(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: OnTime,
    corrections: CorrectedMasks,
) -> list[str]:  # fmt: skip
    """Write pictures, tasks and configuration, all or nothing; raises `RecordingError`, see `export_data_set`."""
    convert = partial(_convert, name=out.name)
    return export_data_set(recording, labels, out, targets, on_time, corrections, convert=convert)


def _convert(folder: Path, name: str) -> None:
    """Convert a COCO data set in its place. name: of the folder, from which pictures are named."""
    data = take_annotations(folder)
    kinds = {kind["id"]: kind["name"] for kind in data["categories"]}
    results: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in data["images"]}
    for each in data["annotations"]:
        height, width = each["segmentation"]["size"]
        mask = unpack_mask(each["segmentation"]["counts"], (width, height))
        results[each["image_id"]].append(
            {
                "id": str(each["id"]), "type": "brushlabels", "from_name": CONTROL, "to_name": PICTURE,
                "original_width": width, "original_height": height, "image_rotation": 0,
                "value": {"format": "rle", "rle": pack_runs(mask), "brushlabels": [kinds[each["category_id"]]]},
            }
        )  # fmt: skip
    tasks = [
        {
            "data": {
                PICTURE: f"{LOCAL_FILES}{name}/{IMAGES}/{image['file_name']}", "frame": image["id"],
                "contributor": data["info"]["contributor"], "recording": data["info"]["date_created"],
            },
            "annotations": [{"result": results[image["id"]]}],
        }
        for image in data["images"]
    ]  # fmt: skip
    write_json(folder / STUDIO_TASKS, tasks)
    choices = "".join(f"    <Label value={quoteattr(kind)}/>\n" for kind in kinds.values())
    (folder / STUDIO_CONFIG).write_text(
        f"{STUDIO_BEGINNING}: what was looked at in a recording -->\n"
        f'  <Image name="{PICTURE}" value="${PICTURE}" zoom="true"/>\n'
        f'  <BrushLabels name="{CONTROL}" toName="{PICTURE}">\n{choices}  </BrushLabels>\n</View>\n'
    )
