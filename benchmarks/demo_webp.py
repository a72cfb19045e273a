"""Writes docs/demo.webp from the demo's own video: python -m benchmarks.demo_webp demo-out/overlay.mp4 OUT.webp.

Only the table top is kept. The video may begin anywhere in it: frames are put in the clip's order, which is a loop.
"""

import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from realtime.commands.demo.demo_clip import TABLE
from realtime.sources.video.video_reader import VideoFile

QUALITY = 55
TABLE_S, CLIP_S = 12.0, 22.0
MAX_DIFFERENCE = 12.0
"""Mean difference of grey levels from the frame of the table top with which the video begins; masks are drawn on it."""


def read_frames(video: Path) -> list[tuple[float, np.ndarray]]:
    """Read (seconds, BGR) of each frame."""
    return list(VideoFile(video).frames())


def write_webp(video: Path, out: Path) -> None:
    """Put the frames of the table top in order, and convert them."""
    frames = read_frames(video)
    differences = [(cv2.absdiff(image, frames[0][1]).mean(), at_s) for at_s, image in read_frames(TABLE)]
    difference, begin_s = min(differences)
    if difference > MAX_DIFFERENCE:
        sys.exit(f"{video} begins in the street; run the demo again")
    by_second = {round((begin_s + at_s) % CLIP_S, 3): image for at_s, image in reversed(frames)}
    kept = [(at_s, image) for at_s, image in sorted(by_second.items()) if at_s < TABLE_S]
    first, *rest = (Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)) for _, image in kept)
    ends_ms = [round(1e3 * at_s) for at_s, _ in kept[1:]] + [round(1e3 * TABLE_S)]
    shown_ms = [after - before for before, after in pairwise([0, *ends_ms])]
    first.save(out, save_all=True, append_images=rest, duration=shown_ms, loop=0, quality=QUALITY, method=4)


if __name__ == "__main__":
    write_webp(Path(sys.argv[1]), Path(sys.argv[2]))
