"""Compares reading a video with reading it by OpenCV: python -m benchmarks.video_decoding CLIP.mp4.

Frames per second of the clock and of a core's time, and the largest difference of a pixel.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from realtime.commands.doctor.probes import describe_processor
from realtime.sources.video.video_reader import VideoFile


def read_with_opencv(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames as OpenCV's FFmpeg reads them."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    while (read := capture.read())[0]:
        yield read[1]


def read_with_ours(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames as a source plays them."""
    return (image for _, image in VideoFile(path).frames())


def measure(frames: Iterable[np.ndarray]) -> str:
    """Count frames per second."""
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    count = sum(1 for _ in frames)
    clock_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
    return f"{count} frames, {count / clock_s:.1f} a second, {count / cpu_s:.1f} a second of a core"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    print(describe_processor())
    for _ in range(args.rounds):
        print("OpenCV", measure(read_with_opencv(args.clip)))
        print("ours  ", measure(read_with_ours(args.clip)))
    pairs = zip(read_with_opencv(args.clip), read_with_ours(args.clip), strict=True)
    print("largest difference", max(int(cv2.absdiff(one, other).max()) for one, other in pairs))


if __name__ == "__main__":
    main()
