"""Measures corrections in review: masks' IoU after each click of a simulated annotator, and of a mask carried in time.

    python benchmarks/corrections.py DATA [--backend NAME] [--picture-side PX] [--clicks 5] [--stills 12] [--json FILE]

DATA holds `stills/` and `video/`, as for `prompt_quality`. A look is a click 20 px off an object's deepest point; its
mask is the one of best predicted IoU. The annotator then clicks the deepest point of the largest error region, on the
object or on the background, until the IoU reaches 0.9. "clicks": all points so far as one prompt; "middle": added to
the look's mask, beginning with its middle, as `gazecast review` does without gaze; "gaze": beginning with
the look, as it does with gaze. "carried": the true mask of a clip's
middle frame is carried forwards and backwards; IoU by distance in frames, the mean of both directions.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from pathlib import Path

import cv2
import numpy as np

from benchmarks.prompt_quality import FRAME, compute_iou, crop_mask, find_deepest_point, read_stills
from engines import EngineSettings, load, weights
from engines.pictures import resize_and_crop
from realtime.correction.frame_segmenter import FrameSegmenter
from realtime.correction.propagation import carry_mask
from realtime.tracking.correction_prompt import make_correction_prompt
from realtime.types import Frame, FrameKey

ENOUGH, ERROR_PX, LEAST_AREA = 0.9, 20, 0.001
DISTANCES = (1, 2, 4, 8, 16, 24, 32)


def click_error(truth, mask):
    """Find the annotator's next click: the deepest point of the largest region that is wrong."""
    wrong = (truth ^ mask).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(wrong, connectivity=8)
    if count < 2:
        return None
    region = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y = find_deepest_point(region)
    return float(x), float(y), int(truth[int(y), int(x)])


def correct_object(segmenter, key, image, truth, way, clicks):
    """Return the IoU of the look's mask and after each click."""
    rng = np.random.default_rng(zlib.crc32(f"{key.index}:{int(truth.sum())}".encode()))
    angle = rng.uniform(0, 2 * np.pi)
    x, y = find_deepest_point(truth) + ERROR_PX * np.array([np.cos(angle), np.sin(angle)])
    look = (float(np.clip(x, 0, FRAME[0] - 1)), float(np.clip(y, 0, FRAME[1] - 1)), 1)
    found = segmenter.segment(key, image, [look])
    mask = found.masks[found.chosen]
    ious, points = [compute_iou(mask, truth)], []
    while len(ious) <= clicks:
        if ious[-1] >= ENOUGH or (click := click_error(truth, mask)) is None:
            ious.append(ious[-1])
            continue
        points.append(click)
        has_object = any(label for *_, label in points)
        if way == "clicks":
            prompt = make_correction_prompt(points if has_object else [look, *points])
            (candidates,) = segmenter.open()[1].decode(segmenter.encode(key, image), [prompt])
            chosen = 0 if len(prompt.points_px) > 1 else candidates.best_index
            mask = candidates.letterbox.logits_to_picture(candidates.logits[chosen]) > 0
        else:
            found = segmenter.segment(key, image, points, None, mask, look[:2] if way == "gaze" else None)
            mask = found.masks[found.chosen]
        ious.append(compute_iou(mask, truth))
    return ious


def measure_clicks(segmenter, folder, clicks, stills):
    """Return mean IoU after each click, the share that is right and clicks a mask, of each way to prompt."""
    rows = {"clicks": [], "middle": [], "gaze": []}
    for number, (_, image, masks) in zip(range(stills), read_stills(folder), strict=False):
        for mask in masks:
            if mask.mean() >= LEAST_AREA:
                for way, found in rows.items():
                    found.append(correct_object(segmenter, FrameKey(number, 0), image, mask, way, clicks))
    out = {}
    for way, found in rows.items():
        table = np.array(found)
        right = table >= ENOUGH
        needed = np.where(right.any(1), right.argmax(1), clicks)
        out[way] = {
            "objects": len(table), "iou": table.mean(0).round(3).tolist(),
            "right_0.5": (table >= 0.5).mean(0).round(3).tolist(), "right_0.9": right.mean(0).round(3).tolist(),
            "clicks_a_mask": round(float(needed.mean()), 2),
        }  # fmt: skip
    return out


def measure_carrying(folder):
    """Return the mean IoU of a carried mask by distance, of each clip, and ms a frame."""
    out, spent, frames_done = {}, 0.0, 0
    for clip in sorted(path for path in folder.iterdir() if path.is_dir()):
        paths = sorted((clip / "frames").glob("*.jpg"))
        images = [resize_and_crop(cv2.imread(str(path)), FRAME) for path in paths]
        truths = [
            crop_mask(cv2.imread(str(clip / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)) for path in paths
        ]
        frames = [Frame(image, k, k / 24, k, k) for k, image in enumerate(images)]
        middle = len(frames) // 2
        found = {distance: [] for distance in DISTANCES}
        for beside in (frames[middle + 1 :], frames[:middle][::-1]):
            begin = time.perf_counter()
            carried = dict(carry_mask(frames[middle], truths[middle], beside[: max(DISTANCES)]))
            spent, frames_done = spent + time.perf_counter() - begin, frames_done + len(carried)
            for distance in DISTANCES:
                if distance <= len(beside):
                    frame = beside[distance - 1]
                    mask = carried.get(FrameKey.of(frame))
                    found[distance].append(0.0 if mask is None else compute_iou(mask, truths[frame.index]))
        out[clip.name] = [
            round(float(np.mean(found[distance])), 3) if found[distance] else None for distance in DISTANCES
        ]
    return {"distances": DISTANCES, "clips": out, "ms_a_frame": round(1e3 * spent / max(1, frames_done), 1)}


def main() -> None:
    """Print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--picture-side", type=int, default=1024)
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--stills", type=int, default=12, help="number of pictures")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    settings = EngineSettings(args.backend, precision="f32", picture_side=args.picture_side)
    segmenter = FrameSegmenter(lambda: load(settings, weights.pull_model(settings.model), frame_size=FRAME))
    result = {
        "carried": measure_carrying(args.data / "video"),
        "clicks": measure_clicks(segmenter, args.data / "stills", args.clicks, args.stills),
    }
    print(text := json.dumps(result))
    if args.json:
        args.json.write_text(text)


if __name__ == "__main__":
    main()
