"""Print gaze on a monitor: JSON lines, in the monitor's pixels, from a headset and four AprilTags.

python demos/on_screen.py --markers tags.png             # show this picture full screen; or put tags round the monitor
python demos/on_screen.py --source pupil://127.0.0.1:50020 --camera camera.json --calibration gaze.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from calibration import CalibrationError
from calibration.formats import read_camera
from calibration.markers import APRILTAG, detect_markers, get_marker_dictionary
from calibration.screen import ScreenPlane, ScreenTracker
from realtime.errors import SourceError
from realtime.infra.channels import BoundedQueue, Latest
from realtime.session.inputs import open_frames, open_gaze
from realtime.sources.calibrated import CalibratedGaze, load_gaze_calibration
from realtime.types import Frame, GazeSample, GazeSource


def main() -> None:
    """Write the picture of tags, or print gaze until the source ends or Ctrl-C."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--screen", default="1920x1080", help="of the monitor, px (default 1920x1080)")
    flags.add_argument("--tag", type=float, default=160, help="side of its black square, px of the monitor; 160")
    flags.add_argument("--gap", type=float, default=-200, help="from the monitor's corner outwards to the tag's "
                       "nearest corner; -200 has a tag of 160 on it, 40 px from its edges")  # fmt: skip
    flags.add_argument("--markers", type=Path, metavar="FILE.png", help="write a picture of the monitor with its tags")
    flags.add_argument("--source", help="of frames: pupil://HOST:PORT, camera:N, file:PATH, rtsp://...")
    flags.add_argument("--gaze", default="", help="pupil://HOST:PORT or trace:FILE.csv; default: the source")
    flags.add_argument("--camera", type=Path, help="file of gazecast calibrate camera")
    flags.add_argument("--calibration", type=Path, help="file of gazecast calibrate gaze")
    args = flags.parse_args()
    wide, _, high = args.screen.partition("x")
    if not (wide.isdecimal() and high.isdecimal()):
        flags.error(f"--screen wants WIDTHxHEIGHT, got {args.screen!r}")
    screen = ScreenPlane.with_corner_markers((int(wide), int(high)), args.tag, gap=args.gap)
    if args.markers:
        cv2.imwrite(str(args.markers), draw_tags(screen))
    elif not (args.source and args.camera):
        flags.error("give --source and --camera, or --markers")
    else:
        follow_gaze(args, screen)


def draw_tags(screen: ScreenPlane) -> np.ndarray:
    """Draw a white monitor with its tags; those that lie outside it are missing."""
    wide, high = (round(side) for side in screen.size)
    out = np.full((high, wide), 255, np.uint8)
    for number, corners in screen.markers.items():
        (left, top), side = np.rint(corners[0]).astype(int), round(float(corners[2, 0] - corners[0, 0]))
        if min(left, top) >= 0 and left + side <= wide and top + side <= high:
            tag = cv2.aruco.generateImageMarker(get_marker_dictionary(APRILTAG), number, side)
            out[top : top + side, left : left + side] = tag
    return out


def follow_gaze(args: argparse.Namespace, screen: ScreenPlane) -> None:
    """Print every gaze sample on the plane of the screen, and each reason why there are none."""
    frames = open_frames(args.source)
    gaze: GazeSource = open_gaze(args.gaze or args.source, frames)
    loaded = load_gaze_calibration(args.calibration, args.source) if args.calibration else None
    if loaded is not None:
        gaze = CalibratedGaze(gaze, loaded.calibration, learn=False)
    newest, samples, printed = Latest[Frame](), BoundedQueue[GazeSample](1000), ""
    tracker: ScreenTracker | None = None
    try:
        gaze.start(samples.put)
        frames.start(newest.put)
        while (frame := newest.get(0.1)) is not None or frames.status().state not in ("ended", "failed"):
            if frame is not None:
                if tracker is None:
                    tracker = ScreenTracker(read_camera(args.camera, size=frame.size)[1], screen)
                    if loaded is not None:
                        loaded.check_frame_size(frame.size)
                tracker.update_markers(detect_markers(frame.image), frame.captured_ns / 1e9)
                size = frame.size
            if (reason := tracker.reason if tracker else frames.status().reason) != printed:
                print(printed := reason, file=sys.stderr, flush=True)
            if tracker is None:
                continue
            for sample in samples.drain():
                at = tracker.locate_gaze(sample.to_px(size), sample.captured_ns / 1e9)
                if at is not None and sample.confidence >= 0.6:
                    row = {"timestamp": sample.timestamp, "x": at.x, "y": at.y, "on_screen": at.is_on_screen}
                    print(json.dumps(row), flush=True)
    finally:
        gaze.stop()
        frames.stop()


if __name__ == "__main__":
    try:
        with contextlib.suppress(KeyboardInterrupt):
            main()
    except (CalibrationError, SourceError) as error:
        sys.exit(f"on_screen: {error}")
