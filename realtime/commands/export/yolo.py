"""Exports a recording as a data set of YOLO's segmentation task: one outline a line, in shares of the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.commands.export.coco import export_data_set, take_annotations
from realtime.commands.export.targets import CONTRIBUTOR, IMAGES, YOLO_FILE, ExportTargets, OnTime
from realtime.correction.corrected_masks import CorrectedMasks
from realtime.correction.events import unpack_mask
from realtime.recording.labels import LabelFile
from realtime.recording.reader import RecordingReader
from realtime.types import Mask

SPLIT = "train"
FINE = 4
"""Parts of a pixel, along each side, on which outlines are traced, so that a thin part keeps its area."""


def export_yolo(
    recording: RecordingReader, labels: LabelFile, out: Path, targets: ExportTargets, on_time: OnTime,
    corrections: CorrectedMasks,
) -> list[str]:  # fmt: skip
    """Write pictures, outlines and `data.yaml`, all or nothing; raises `RecordingError`, see `export_data_set`."""
    return export_data_set(recording, labels, out, targets, on_time, corrections, convert=_convert)


def _convert(folder: Path) -> None:
    """Convert a COCO data set in its place."""
    data = take_annotations(folder)
    pictures = folder / IMAGES
    pictures.rename(folder / SPLIT)
    pictures.mkdir()
    (folder / SPLIT).rename(pictures / SPLIT)
    lines: dict[int, list[str]] = {image["id"]: [] for image in data["images"]}
    numbers = {kind["id"]: number for number, kind in enumerate(data["categories"])}
    for each in data["annotations"]:
        height, width = each["segmentation"]["size"]
        outline = trace_outline(unpack_mask(each["segmentation"]["counts"], (width, height)))
        places = " ".join(f"{share:.6f}" for share in (outline / (width, height)).ravel())
        lines[each["image_id"]].append(f"{numbers[each['category_id']]} {places}\n")
    texts = folder / "labels" / SPLIT
    texts.mkdir(parents=True)
    for image in data["images"]:
        (texts / f"{Path(image['file_name']).stem}.txt").write_text("".join(lines[image["id"]]))
    (folder / YOLO_FILE).write_text(_describe(data["categories"]))


def _describe(categories: list[dict[str, Any]]) -> str:
    """Describe the data set; names are JSON, which is YAML. Without `path` the folder of the file is meant."""
    names = "".join(f"  {number}: {json.dumps(kind['name'])}\n" for number, kind in enumerate(categories))
    folder = f"{IMAGES}/{SPLIT}"
    return f"# {CONTRIBUTOR}: what was looked at in a recording\ntrain: {folder}\nval: {folder}\nnames:\n{names}"


def trace_outline(mask: Mask) -> NDArray[np.float64]:
    """Trace all parts and holes of an (H, W) mask as one closed line, (N, 2) px from the picture's corner.

    Lines there and back join them, which enclose nothing: YOLO's format has one outline for each object.
    """
    fine = np.repeat(np.repeat(mask.astype(np.uint8), FINE, 0), FINE, 1)
    found, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parts = [(part.reshape(-1, 2) + 0.5) / FINE for part in sorted(found, key=len, reverse=True) if len(part) > 2]
    line = np.asarray(parts[0], np.float64) if parts else np.zeros((0, 2))
    for part in parts[1:]:
        distances = ((line[:, None] - part[None]) ** 2).sum(2)
        at, begin = np.unravel_index(int(distances.argmin()), distances.shape)
        there = np.roll(part, -begin, 0)
        line = np.concatenate([line[: at + 1], there, there[:1], line[at:]])
    return line
