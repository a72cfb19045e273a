"""Recordings of headsets, made where a test needs them: the files and formats that the headsets' programs write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgpack
import numpy as np

from tests.realtime.sources.video.clips import make_video

SIZE = (64, 48)
TIMES_S = (0.0, 0.04, 0.08, 0.2, 0.24)
"""Of the frames after the first one: one came late."""
CORE_S, EPOCH_NS = 329517.25, 1_704_206_942_000_000_000
"""Of the first frame, on the clocks of Pupil Core and of a companion app."""
GAZE = [(-0.01, 30.0, 20.0), (0.01, 32.0, 24.0), (0.05, 16.0, 12.0), (0.1, 48.0, 36.0), (0.21, 8.0, 6.0)]
"""Seconds after the first frame, px from the top left."""


def make_core(
    folder: Path, times: Sequence[float] = TIMES_S, *, gaze: bool = True, size: tuple[int, int] = SIZE
) -> Path:
    """A recording of Pupil Capture."""
    folder.mkdir(parents=True)
    info = {"meta_version": "2.3", "recording_software_name": "Pupil Capture", "start_time_synced_s": CORE_S}
    (folder / "info.player.json").write_text(json.dumps(info))
    make_video(folder / "world.mp4", len(times), size=size)
    np.save(folder / "world_timestamps.npy", CORE_S + np.array(times))
    if gaze:
        write_pldata(folder / "gaze.pldata", [(at, x / size[0], 1 - y / size[1]) for at, x, y in GAZE])
        np.save(folder / "gaze_timestamps.npy", [CORE_S + at for at, _, _ in GAZE])
    return folder


def write_pldata(path: Path, points: Sequence[tuple[float, float, float]], confidence: float = 0.9) -> None:
    """Gaze as Pupil Capture writes it: seconds after the first frame, fractions from the bottom left."""
    data = []
    for at, x, y in points:
        datum = {"topic": "gaze.3d.01.", "norm_pos": (x, y), "confidence": confidence, "timestamp": CORE_S + at}
        data.append(msgpack.packb(("gaze.3d.01.", msgpack.packb(datum))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(data))


def make_neon(
    folder: Path,
    times: Sequence[float] = TIMES_S,
    *,
    camera: str = "Neon Scene Camera v1",
    size: tuple[int, int] = SIZE,
) -> Path:
    """A recording of the companion app, as it is copied from the phone."""
    folder.mkdir(parents=True)
    info = {
        "app_version": "2.8.0-prod",
        "start_time": EPOCH_NS,
        "module_serial_number": "123456",
        "gaze_offset": [0, 0],
    }
    (folder / "info.json").write_text(json.dumps(info))
    add_neon_part(folder, 1, times, camera=camera, size=size)
    np.array([(x, y) for _, x, y in GAZE], "<f4").tofile(folder / "gaze ps1.raw")
    to_ns([at for at, _, _ in GAZE]).tofile(folder / "gaze ps1.time")
    np.array([255, 255, 255, 255, 0], np.uint8).tofile(folder / "worn ps1.raw")
    return folder


def add_neon_part(
    folder: Path, number: int, times: Sequence[float], *, camera: str = "Neon Scene Camera v1",
    frames: int | None = None, size: tuple[int, int] = SIZE,
) -> None:  # fmt: skip
    make_video(folder / f"{camera} ps{number}.mp4", len(times) if frames is None else frames, size=size)
    to_ns(times).tofile(folder / f"{camera} ps{number}.time")


def to_ns(times: Sequence[float]) -> np.ndarray:
    return (EPOCH_NS + np.round(np.array(times) * 1e9)).astype("<i8")


def make_cloud(folder: Path, times: Sequence[float] = TIMES_S, *, size: tuple[int, int] = SIZE) -> Path:
    """An export of Pupil Cloud."""
    folder.mkdir(parents=True)
    (folder / "info.json").write_text(json.dumps({"frame_name": "Just act natural"}))
    make_video(folder / "0f1e2d3c_0.0-0.24.mp4", len(times), size=size)
    rows = "".join(f"s,r,{at}\n" for at in to_ns(times))
    (folder / "world_timestamps.csv").write_text(f"section id,recording id,timestamp [ns]\n{rows}")
    header = "section id,recording id,timestamp [ns],gaze x [px],gaze y [px],worn,fixation id,blink id\n"
    gaze = "".join(f"s,r,{to_ns([at])[0]},{x},{y},{int(at < 0.2)},1,\n" for at, x, y in GAZE)
    (folder / "gaze.csv").write_text(header + gaze)
    return folder


def make_tobii(folder: Path) -> Path:
    """A recording of Tobii Pro Glasses 3."""
    folder.mkdir(parents=True)
    camera = {
        "focal-length": [90, 91], "principal-point": [31, 25], "radial-distortion": [-0.05, 0.05, -0.01], "skew": 0,
        "tangential-distortion": [0.001, -0.002], "resolution": list(SIZE),
    }  # fmt: skip
    (folder / "recording.g3").write_text(json.dumps({"name": "R1", "scenecamera": {"camera-calibration": camera}}))
    make_video(folder / "scenevideo.mp4", 5)
    lines = [json.dumps({"type": "gaze", "timestamp": at, "data": {"gaze2d": [x / SIZE[0], y / SIZE[1]]}})
             for at, x, y in GAZE[1:]]  # fmt: skip
    (folder / "gazedata").write_text("\n".join(lines))
    return folder


def make_calibration_bin(path: Path, matrix: np.ndarray, coefficients: Sequence[float]) -> None:
    """`calibration.bin` of a Neon, all three cameras alike."""
    camera = np.concatenate([matrix.ravel(), coefficients, np.eye(4).ravel()]).astype("<f8").tobytes()
    path.write_bytes(b"\x01" + b"123456" + 3 * camera + b"\0\0\0\0")
