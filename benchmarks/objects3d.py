"""Measures accuracy and duration of 3D objects from masks. Prints tables, writes JSON, draws the boxes.

    python -m benchmarks.objects3d [--data BIN] [--draw FOLDER] [--skip-fixations] [--out FILE]

Boxes: `benchmarks.solids` at 640x480, f 520 px, 0.7 to 1 m away: noise of 2 mm, 4 % holes, masks that extend 4 px
beyond the object, depth smeared over edges. At least two faces of each box, and so all its sides, are visible at
less than 70 degrees. "moving" is the quick box of one picture, "locked" the smallest box after the pose filter over ten
pictures. Rotation errors are the smallest over all assignments of the axes.
BIN: `arc2017_bin` (color.png, depth_mm.png, instances.png, meta.json). Its true masks: the mean of the points against
that of all points connected in space, and the sides against a slow search for the smallest box around all kept pixels
(`tests/calibration/objects/slow.py`). One fixation each: the picture as a clip, gaze at the mask's deepest point,
the whole pipeline with its engine; right is an IoU of 0.5 with the true mask, errors are relative to the true mask's.
Times: medians of the thread's CPU time, which other load affects less, and of elapsed time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.solids import Solid, render_view
from calibration import CameraModel, PinholeCamera, RigidTransform, record
from calibration.objects.boxes import OrientedBox, fit_minimal_box, fit_quick_box
from calibration.objects.cloud import Depth, compute_ray_grid, convert_to_metres, extract_cloud
from calibration.objects.place import estimate_centroid
from calibration.objects.pose_filter import PoseFilter
from calibration.objects.register import register_depth
from realtime.comms.messages import MaskMessage, read_message
from realtime.comms.object3d import Object3dMessage
from realtime.config.schema import load_config
from realtime.recording.reader import RecordingReader
from realtime.session.run import run
from tests.calibration.objects import slow

CAMERA = PinholeCamera((640, 480), 520, 520, 319.5, 239.5)
NOISE_M, HOLES, BLEED_PX = 0.002, 0.04, 4
PICTURES = 10
RESULTS = Path(__file__).parent / "results" / "objects3d.json"
COLOURS = ((60, 220, 60), (60, 160, 255), (255, 120, 60), (220, 60, 220), (60, 220, 220), (255, 220, 60),
           (120, 120, 255), (200, 200, 200))  # fmt: skip
QUANTILES = (("p50", 0.5), ("p95", 0.95), ("max", 1.0))


def make_solids(count: int) -> list[Solid]:
    rng = np.random.default_rng(3)
    solids: list[Solid] = []
    while len(solids) < count:
        sides = tuple(rng.uniform(0.07, 0.32, 3).tolist())
        position_m = [rng.uniform(-0.1, 0.1), rng.uniform(-0.08, 0.08), rng.uniform(0.7, 1.0)]
        solid = Solid(RigidTransform.from_rotvec(rng.normal(size=3) * 1.2, position_m), sides)
        eye = solid.pose.rotation.T @ -solid.pose.translation_m
        from_faces = eye - np.diag(np.sign(eye) * np.array(sides) / 2)
        slants = np.diag(from_faces) * np.sign(eye) / np.linalg.norm(from_faces, axis=1)
        if (slants > math.cos(math.radians(70))).sum() >= 2:
            solids.append(solid)
    return solids


def measure_box_error(box: OrientedBox, solid: Solid) -> tuple[float, float]:
    """Measure the error of a box: degrees, and the worst side's error as a share of it."""
    best = (math.inf, math.inf)
    for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        named = np.zeros((3, 3))
        named[list(order), range(3)] = signs
        if np.linalg.det(named) > 0:
            turned = RigidTransform(box.pose.rotation @ named, solid.pose.translation_m)
            sides = box.extents_m[list(order)] / np.array(solid.sides_m) - 1
            best = min(best, (math.degrees(turned.distance_to(solid.pose)[1]), float(np.abs(sides).max())))
    return best


def measure_boxes(count: int) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    errors: dict[str, list[tuple[float, float]]] = {"moving": [], "locked": []}
    for solid in make_solids(count):
        pose_filter = PoseFilter()
        for picture in range(PICTURES):
            view = render_view(CAMERA, solid, rng, noise_m=NOISE_M, holes=HOLES, bleed_px=BLEED_PX)
            cloud = extract_cloud(view.mask, view.depth, CAMERA)
            if not picture:
                errors["moving"].append(measure_box_error(fit_quick_box(cloud), solid))
            estimate = pose_filter.update(
                picture / 30, fit_minimal_box(cloud, pose_filter.rotation), estimate_centroid(cloud).point_m, 0.001
            )
        errors["locked"].append(measure_box_error(OrientedBox(estimate.pose, estimate.extents_m), solid))
    return {name: summarize_errors(pairs) for name, pairs in errors.items()}


def measure_boxes_on_floors(count: int, bleed_px: int) -> dict[str, Any]:
    """Measure the smallest box of one picture, for boxes on a floor, viewed from 35 to 55 degrees above."""
    rng = np.random.default_rng(6)
    errors = []
    for _ in range(count):
        down = RigidTransform.from_rotvec([-math.pi / 2 - math.radians(rng.uniform(35, 55)), 0, 0], np.zeros(3))
        floor = RigidTransform(down.rotation, np.array([rng.uniform(-0.05, 0.05), 0.05, 0.85]))
        sides = tuple(rng.uniform(0.1, 0.25, 3).tolist())
        solid = Solid(floor @ RigidTransform.from_rotvec([0, 0, rng.uniform(0, math.pi)], [0, 0, sides[2] / 2]), sides)
        view = render_view(CAMERA, solid, rng, wall_m=3, noise_m=NOISE_M, holes=HOLES, bleed_px=bleed_px, floor=floor)
        errors.append(measure_box_error(fit_minimal_box(extract_cloud(view.mask, view.depth, CAMERA)), solid))
    return summarize_errors(errors)


def summarize_errors(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    degrees, sides = np.array(pairs).T
    return {
        "boxes": len(pairs),
        "turn_deg": {name: round(float(np.quantile(degrees, q)), 2) for name, q in QUANTILES},
        "worst_side": {name: round(float(np.quantile(sides, q)), 4) for name, q in QUANTILES},
    }


def measure_speed() -> dict[str, Any]:
    """Measure the milliseconds of each step, for an object that covers about 30 000 of 640x480 pixels."""
    solid = Solid(RigidTransform.from_rotvec([0.5, 0.4, 0.3], [0.05, 0.02, 0.75]), (0.28, 0.18, 0.12))
    view = render_view(CAMERA, solid, np.random.default_rng(0), noise_m=NOISE_M, holes=HOLES, bleed_px=BLEED_PX)
    cloud = extract_cloud(view.mask, view.depth, CAMERA)
    pose_filter = PoseFilter()

    def update_filter(fit: Callable[..., OrientedBox]) -> None:
        points = extract_cloud(view.mask, view.depth, CAMERA)
        pose_filter.update(
            time.monotonic(), fit(points, pose_filter.rotation), estimate_centroid(points).point_m, 0.001
        )

    depth_camera = PinholeCamera((640, 480), 500, 500, 319.5, 239.5)
    shift = RigidTransform.from_rotvec([0, 0, 0], [0.05, 0, 0])
    rows, columns = np.flatnonzero(view.mask.any(1)), np.flatnonzero(view.mask.any(0))
    within = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    steps: dict[str, Callable[[], object]] = {
        "points": lambda: extract_cloud(view.mask, view.depth, CAMERA),
        "quick box": lambda: fit_quick_box(cloud),
        "smallest box": lambda: fit_minimal_box(cloud),
        "an object, moving": lambda: update_filter(fit_quick_box),
        "an object, locked": lambda: update_filter(fit_minimal_box),
        "registration, the mask's part": lambda: register_depth(view.depth, depth_camera, CAMERA, shift, within),
    }
    return {"mask_px": float(view.mask.sum())} | {name: time_step(step) for name, step in steps.items()}


def time_step(step: Callable[[], object]) -> dict[str, float]:
    step()
    durations = []
    for _ in range(60):
        start = time.thread_time(), time.perf_counter()
        step()
        durations.append((time.thread_time() - start[0], time.perf_counter() - start[1]))
    cpu, clock = (1000 * np.median(durations, axis=0)).round(2).tolist()
    return {"cpu": cpu, "clock": clock}


class BinScene:
    """A bin of real objects with their true masks."""

    def __init__(self, folder: Path) -> None:
        meta = json.loads((folder / "meta.json").read_text())
        self.picture = cv2.imread(str(folder / "color.png"))
        self.depth: Depth = convert_to_metres(cv2.imread(str(folder / "depth_mm.png"), cv2.IMREAD_UNCHANGED))
        self.depth_file = folder / "depth_mm.png"
        self.labels = cv2.imread(str(folder / "instances.png"), cv2.IMREAD_UNCHANGED)
        self.camera: CameraModel = PinholeCamera.from_matrix((640, 480), meta["K"], meta["D"])
        self.names = {entry["id"]: entry["category"] for entry in meta["objects"]}

    def box(self, number: int) -> tuple[OrientedBox, np.ndarray]:
        """Fit the smallest box to the object's true mask: (box, mean of its points)."""
        cloud = extract_cloud(self.labels == number, self.depth, self.camera)
        return fit_minimal_box(cloud), estimate_centroid(cloud).point_m


def measure_true_masks(scene: BinScene) -> list[dict[str, Any]]:
    points = np.dstack([compute_ray_grid(scene.camera) * scene.depth[..., None], scene.depth])
    rows = []
    for number, name in scene.names.items():
        mask = scene.labels == number
        cloud = extract_cloud(mask, scene.depth, scene.camera)
        box, sides = fit_minimal_box(cloud), slow.smallest_box(cloud.points.astype(float))
        whole = slow.surface(points[mask & (scene.depth > 0)].astype(float))
        rows.append({
            "object": name, "valid": round(cloud.valid_share, 2),
            "centroid_mm": round(1000 * float(np.linalg.norm(estimate_centroid(cloud).point_m - whole.mean(0))), 1),
            "sides_mm": (1000 * box.extents_m).round(1).tolist(), "slow_mm": (1000 * sides).round(1).tolist(),
            "worst_side": round(float(np.abs(box.extents_m / sides - 1).max()), 3),
            "worst_side_mm": round(1000 * float(np.abs(box.extents_m - sides).max()), 1),
        })  # fmt: skip
    return rows


class SilentView:
    """A view without output."""

    def __init__(self) -> None:
        self.progress = self

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: None


def measure_fixations(scene: BinScene) -> list[dict[str, Any]]:
    """Fixate each object once, through the whole pipeline."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clip").mkdir()
        (folder / "depth").mkdir()
        for number in range(36):
            cv2.imwrite(str(folder / "clip" / f"{number:03d}.png"), scene.picture)
        (folder / "depth" / "0.png").write_bytes(scene.depth_file.read_bytes())
        made = datetime.now(UTC).isoformat()
        body = {"camera": scene.camera.to_dict()}
        record.save_record(
            folder / "camera.json", record.CalibrationRecord("camera", "", "bin", scene.camera.size, made, body)
        )
        for number in scene.names:
            masks, located = run_fixation(folder, scene.labels == number, number)
            rows.append(score_fixation(scene, number, masks, located))
    return rows


def run_fixation(folder: Path, truth: np.ndarray, number: int) -> tuple[list[MaskMessage], list[Object3dMessage]]:
    inside = cv2.distanceTransform(truth.astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    rows = "".join(f"{sample / 100},{x},{y},1.0\n" for sample in range(150))
    (folder / "gaze.csv").write_text("timestamp,x,y,confidence\n" + rows)
    file = folder / f"{number}.mcap"
    flags = {
        "source": f"file:{folder / 'clip'}?realtime=0", "gaze": f"trace:{folder / 'gaze.csv'}",
        "objects": {"camera": str(folder / "camera.json")}, "depth": {"source": f"file:{folder / 'depth'}"},
        "publish": {"endpoint": "tcp://127.0.0.1:0", "overlay": False}, "record": {"file": str(file)},
        "tracker": {"dwell": {"steps": False}},
    }  # fmt: skip
    run(load_config(None, flags), SilentView())  # type: ignore[arg-type]
    messages = [
        read_message(entry.topic, entry.data) for entry in RecordingReader(file).read_entries(("mask", "object3d"))
    ]
    return [m for m in messages if isinstance(m, MaskMessage)], [m for m in messages if isinstance(m, Object3dMessage)]


def score_fixation(
    scene: BinScene, number: int, masks: list[MaskMessage], located: list[Object3dMessage]
) -> dict[str, Any]:
    row: dict[str, Any] = {"object": scene.names[number]}
    if not located:
        return {**row, "iou": 0.0, "right": False}
    last = located[-1]
    mask = next(m.mask for m in masks if m.frame.index == last.frame.index and m.mask is not None)
    truth = scene.labels == number
    iou = float((mask & truth).sum() / (mask | truth).sum())
    row |= {"iou": round(iou, 2), "right": iou >= 0.5, "method": last.method, "state": last.state}
    if (
        last.method == "depth"
        and last.place.centroid
        and last.extents
        and last.place.position
        and last.place.orientation
    ):
        box, centroid = scene.box(number)
        row |= {
            "centroid_mm": round(1000 * float(np.linalg.norm(centroid - last.place.centroid)), 1),
            "sides_mm": [round(1000 * side, 1) for side in last.extents],
            "worst_side": round(float(np.abs(np.array(last.extents) / box.extents_m - 1).max()), 3),
            "pose": {"position": last.place.position, "orientation": last.place.orientation},
        }
    return row


def draw_boxes(scene: BinScene, rows: list[dict[str, Any]], folder: Path) -> None:
    """Draw the boxes of true masks, and beside them those of one fixation each."""
    left, right = scene.picture.copy(), scene.picture.copy()
    for number in scene.names:
        colour = COLOURS[(number - 1) % len(COLOURS)]
        mask = scene.labels == number
        left[mask] = (0.65 * left[mask] + 0.35 * np.array(colour)).astype(np.uint8)
        draw_edges(left, scene.camera, scene.box(number)[0], colour)
        row = next((row for row in rows if row["object"] == scene.names[number] and "pose" in row), None)
        if row is not None:
            pose = RigidTransform.from_quaternion(row["pose"]["orientation"], row["pose"]["position"])
            draw_edges(
                right,
                scene.camera,
                OrientedBox(pose, np.array(row["sides_mm"]) / 1000),
                colour,
                2 if row["right"] else 1,
            )
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "objects3d.jpg"), np.hstack([left, right])[100:], [cv2.IMWRITE_JPEG_QUALITY, 88])


def draw_edges(
    picture: np.ndarray, camera: CameraModel, box: OrientedBox, colour: tuple[int, ...], thick: int = 2
) -> None:
    pixels = camera.project(box.corners, margin_px=500)
    for one, other in itertools.combinations(range(8), 2):
        if (one ^ other).bit_count() == 1 and np.isfinite(pixels[[one, other]]).all():
            ends = [tuple(np.rint(pixels[end]).astype(int).tolist()) for end in (one, other)]
            cv2.line(picture, *ends, colour, thick, cv2.LINE_AA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="BIN")
    parser.add_argument("--draw", type=Path, metavar="FOLDER")
    parser.add_argument("--boxes", type=int, default=40)
    parser.add_argument("--skip-fixations", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    results: dict[str, Any] = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }
    results["speed_ms"] = measure_speed()
    print(json.dumps(results["speed_ms"], indent=1))
    results["boxes"] = measure_boxes(args.boxes)
    results["boxes"] |= {f"on a floor, bleeding {px} px": measure_boxes_on_floors(args.boxes, px) for px in (0, 2, 4)}
    print(json.dumps(results["boxes"], indent=1))
    if args.data is not None:
        scene = BinScene(args.data)
        results["true_masks"] = measure_true_masks(scene)
        for row in results["true_masks"]:
            print(row)
        results["fixations"] = [] if args.skip_fixations else measure_fixations(scene)
        for row in results["fixations"]:
            print({key: value for key, value in row.items() if key != "pose"})
        if args.draw is not None:
            draw_boxes(scene, results["fixations"], args.draw)
        for row in results["fixations"]:
            row.pop("pose", None)
    args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
