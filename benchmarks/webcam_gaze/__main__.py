"""Measures gaze by webcam on a rendered face: error, rate and CPU share. Prints a table.

    python -m benchmarks.webcam_gaze                     pictures of the face, in this process
    python -m benchmarks.webcam_gaze --page [--shots D]  a real browser whose camera shows the face
    python -m benchmarks.webcam_gaze --write FOLDER      write face.mp4 and targets.csv, the face at known places
    python -m benchmarks.webcam_gaze --clip FILE --targets FILE.csv   any clip of a face that looks at known places

The face is a photograph whose eyes are painted looking at known places (see `benchmarks.webcam_gaze.rendered_face`); it
is in scikit-image: pip install --no-deps scikit-image. These figures are for that face, not for people.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.webcam_gaze.face_clip import describe_clip, measure_clip, read_targets, write_clip
from benchmarks.webcam_gaze.live_page import measure_page, to_jpeg, to_px
from benchmarks.webcam_gaze.rendered_face import FOV_DEG, PX_MM, SCREEN_PX, HeadMotion, RenderedFace
from calibration.gaze.choreography import build_screen_steps
from calibration.gaze.eye_features import EyeFeatures, measure_eyes
from calibration.gaze.screen_calibration import EyePairs, calibrate_screen
from calibration.gaze.table import GazeTable
from engines.landmarks.face_landmarker import FaceLandmarker
from engines.pictures import decode_jpeg
from realtime.tracking.gaze.gaze_smoother import GazeSmoother

SENT = (640, 360)
RATE_HZ = 30
SAMPLES, PLACES = 20, 12
"""Pictures of each target, and the number of other places."""


class PictureMeasurer:
    """Measures the eyes in rendered pictures as a run does, and the CPU time that it takes."""

    def __init__(self, face: RenderedFace, models: Path | None, rng: np.random.Generator, sway_mm: float) -> None:
        self._face, self._finder, self._rng = face, FaceLandmarker(models), rng
        self._motion = HeadMotion(rng, sway_mm)
        self.cpu_s: list[float] = []
        self.missed = 0

    def look_at(self, place: tuple[float, float], count: int) -> list[EyeFeatures]:
        """Measure `count` pictures in which the face looks at a place, shares of the screen."""
        found = []
        for _ in range(count):
            image = self._face.render(to_px(place), self._motion.step(), self._rng)
            jpeg = to_jpeg(cv2.resize(image, SENT, interpolation=cv2.INTER_AREA))
            begun_s = time.process_time()
            decoded = decode_jpeg(jpeg)
            assert decoded is not None
            landmarks = self._finder.find(decoded)
            features = None
            if landmarks is not None:
                features = measure_eyes(landmarks.points, landmarks.irises, landmarks.eyes, SENT, FOV_DEG)
            self.cpu_s.append(time.process_time() - begun_s)
            self.missed += features is None
            found += [features] if features is not None else []
        return found


def measure_pictures(face: RenderedFace, models: Path | None, seed: int, sway_mm: float) -> str:
    """Calibrate at nine targets, validate at four, and measure the smoothed gaze at others; returns a row."""
    rng = np.random.default_rng(seed)
    measurer = PictureMeasurer(face, models, rng, sway_mm)
    pairs: dict[str, list[EyePairs]] = {"fit": [], "check": []}
    for step in build_screen_steps(9):
        found = measurer.look_at(step.place, SAMPLES)
        times = np.arange(len(found)) / RATE_HZ
        pairs[step.role].append(EyePairs(step.name, times, found, to_px(step.place), 0, SAMPLES))
    calibration = calibrate_screen(pairs["fit"], pairs["check"], SCREEN_PX, PX_MM)
    table, smoother, errors = GazeTable(calibration.gaze), GazeSmoother(), []
    at_s, degree_px = 0.0, calibration.degree_px
    for place in rng.uniform((0.08, 0.1), (0.92, 0.9), (PLACES, 2)).tolist():
        for number, features in enumerate(measurer.look_at((place[0], place[1]), SAMPLES)):
            at_s += 1 / RATE_HZ
            corrected = table.correct(*calibration.to_reported_px(features))
            x, y = smoother.update(corrected.x / degree_px, corrected.y / degree_px, at_s)
            if number >= 4:
                errors.append(float(np.hypot(x * degree_px - to_px(place)[0], y * degree_px - to_px(place)[1])))
    mean, ms = float(np.mean(errors)), 1e3 * float(np.median(measurer.cpu_s))
    return (
        f"| {sway_mm:g} mm | {seed} | {calibration.error_px:.0f} px, {calibration.gaze.radius_deg:.1f}° | "
        f"{mean:.0f} px, {mean / degree_px:.1f}° | {np.percentile(errors, 95):.0f} px | {measurer.missed} | "
        f"{ms:.1f} ms | {ms * RATE_HZ / 10:.0f} % |"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="where weights lie instead of your cache")
    parser.add_argument("--page", action="store_true", help="in a browser")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    parser.add_argument("--clip", type=Path, metavar="FILE")
    parser.add_argument("--targets", type=Path, metavar="FILE.csv", help="see benchmarks/webcam_gaze/face_clip.py")
    parser.add_argument("--screen", type=int, nargs=2, default=SCREEN_PX, metavar=("WIDTH", "HEIGHT"), help="px")
    parser.add_argument("--px-mm", type=float, default=PX_MM, help="size of a px of the screen")
    parser.add_argument("--fov", type=float, default=FOV_DEG, help="horizontal field of view of the camera, degrees")
    parser.add_argument("--shots", type=Path, help="a folder for pictures of the page")
    args = parser.parse_args()
    if args.clip is not None:
        size = args.screen[0], args.screen[1]
        targets = read_targets(args.targets)
        print(describe_clip(measure_clip(args.clip, targets, args.models, size, args.px_mm, args.fov)))
        return
    face = RenderedFace(args.models)
    if args.write is not None:
        print(*write_clip(args.write, face, args.seeds[0]))
        return
    if args.page:
        print("| seed | at the calibration's checks | live, at other places | 95 % | rate |\n|---|---|---|---|---|")
    else:
        print("| head's motion | seed | at the checks | at other places | 95 % | no face | CPU a picture | at 30 Hz |")
        print("|---|---|---|---|---|---|---|---|")
    for seed in args.seeds:
        if not args.page:
            for sway_mm in (0.0, 6.0):
                print(measure_pictures(face, args.models, seed, sway_mm), flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = measure_page(face, args.models, Path(folder), seed, args.shots)
        mean, reported = float(found.errors_px.mean()), found.calibration
        print(
            f"| {seed} | {reported['error_px']:.0f} px, {reported['error_deg']:.1f}° | "
            f"{mean:.0f} px, {mean / found.scale_px:.1f}° | {np.percentile(found.errors_px, 95):.0f} px | "
            f"{found.rate_hz:.0f} Hz |",
            flush=True,
        )


if __name__ == "__main__":
    main()
