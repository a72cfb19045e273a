"""Writes docs/demo.webp from a recording of the demo's clip: python -m benchmarks.demo_webp RECORDING OUT.webp.

The recording: `gazecast run --source 'file:bikes.mp4?realtime=0' --gaze trace:GAZE.csv --record RECORDING`, with the
demo's scripted gaze (`realtime.commands.demo.scripted_gaze.write_trace`).
"""

import sys
import tempfile
from pathlib import Path

import cv2
from PIL import Image

from realtime.commands.main import main as gazecast

QUALITY = 60
FRAME_MS = 40


def write_webp(recording: Path, out: Path) -> None:
    """Export the overlay video and convert it."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "overlay.mp4"
        if code := gazecast(["export", str(recording), "--video", str(video)]):
            sys.exit(code)
        capture, frames = cv2.VideoCapture(str(video)), []
        while (read := capture.read())[0]:
            frames.append(Image.fromarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)))
    first, *rest = frames
    first.save(out, save_all=True, append_images=rest, duration=FRAME_MS, loop=0, quality=QUALITY, method=4)


if __name__ == "__main__":
    write_webp(Path(sys.argv[1]), Path(sys.argv[2]))
