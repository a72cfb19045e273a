"""Defines scripted fixations for the demo's clip, written by hand, and generates their gaze."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FPS = 25.0
RATE_HZ = 200.0
SACCADE_S = 0.045
CONFIDENCE = 0.96


@dataclass(frozen=True, slots=True)
class ScriptedFixation:
    """Holds one fixated object and its (frame, x, y) in the clip, px, interpolated linearly."""

    name: str
    points: tuple[tuple[float, float, float], ...]


CUTS = (30, 76, 137, 187, 242)
"""Frames before which the clip's scene changes; the gaze stays in place and lands on a new object 100 ms later."""
STREET: tuple[ScriptedFixation, ...] = (
    ScriptedFixation("hatch on the bus", ((0, 332, 44), (4, 333, 112), (8, 333, 190), (10, 333, 225))),
    ScriptedFixation("red car", ((15, 575, 8), (20, 578, 20), (24, 580, 28), (31, 582, 46))),
    ScriptedFixation("man in a suit", ((33, 285, 150), (36, 340, 150), (40, 430, 155), (44, 550, 160))),
    ScriptedFixation("car roof", ((47.5, 40, 250), (53, 90, 230), (58, 160, 200))),
    ScriptedFixation("taxi sign", ((61, 70, 120), (64, 104, 126), (68, 176, 139), (72, 295, 150), (78, 380, 160))),
    ScriptedFixation("cyclist", ((79, 455, 130), (82, 440, 125))),
    ScriptedFixation("orange sign", ((84, 290, 99), (96, 271, 106), (104, 266, 105))),
    ScriptedFixation("cyclist", ((107, 430, 108), (120, 428, 92), (130, 426, 86), (139, 428, 75))),
    ScriptedFixation("grey car", ((141, 560, 124), (151, 560, 124))),
    ScriptedFixation("dark car", ((153, 350, 142), (160, 366, 128), (166, 380, 128), (172, 402, 126), (177, 415, 122))),
    ScriptedFixation("grey car", ((179, 563, 124), (189, 563, 124))),
    ScriptedFixation("bollard", ((191, 272, 190), (200, 258, 190), (207, 249, 190))),
    ScriptedFixation("bag on the bicycle", ((209, 310, 95), (220, 300, 95), (243, 280, 95))),
    ScriptedFixation("wheel", ((245, 310, 85), (250, 310, 85))),
)


def list_settled_spans(fixations: Sequence[ScriptedFixation], cuts: Sequence[int] = CUTS) -> list[tuple[str, range]]:
    """Pair each object with its frames: before the gaze leaves it and before the scene changes."""
    found = []
    for fixation, after in zip(fixations, [*fixations[1:], None], strict=True):
        first = int(fixation.points[0][0])
        # a saccade takes less than two frames, and ends where the next fixation begins
        ends = [fixation.points[-1][0], *(cut - 1 for cut in cuts if cut > first)]
        if after is not None:
            ends.append(after.points[0][0] - 2)
        found.append((fixation.name, range(first, int(min(ends)) + 1)))
    return found


def generate_gaze(fixations: Sequence[ScriptedFixation]) -> list[tuple[float, float, float, float]]:
    """Generate (seconds, x px, y px, confidence) that follows each object, with one saccade between two."""
    stops = [(frame / FPS, x, y) for fixation in fixations for frame, x, y in fixation.points]
    starts = {fixation.points[0][0] / FPS for fixation in fixations[1:]}
    samples = []
    index = 0
    for number in range(int(stops[0][0] * RATE_HZ), int(stops[-1][0] * RATE_HZ)):
        at_s = number / RATE_HZ
        while index + 2 < len(stops) and stops[index + 1][0] <= at_s:
            index += 1
        (from_s, x0, y0), (to_s, x1, y1) = stops[index], stops[index + 1]
        part = (at_s - from_s) / (to_s - from_s)
        if to_s in starts:  # stay on the old object, then make a minimum-jerk movement (Flash and Hogan, 1985)
            part = max(0.0, (at_s - to_s + SACCADE_S) / SACCADE_S)
            part = part**3 * (10 - 15 * part + 6 * part**2)
        samples.append((at_s, x0 + part * (x1 - x0), y0 + part * (y1 - y0), CONFIDENCE))
    return samples


def write_trace(path: Path, fixations: Sequence[ScriptedFixation] = STREET) -> Path:
    """Write the gaze as a trace that `trace:FILE.csv` and the simulated device read."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", "x", "y", "confidence"))
        gaze = generate_gaze(fixations)
        writer.writerows((f"{at_s:.4f}", f"{x:.2f}", f"{y:.2f}", f"{sure:g}") for at_s, x, y, sure in gaze)
    return path
