"""Defines scripted fixations for the demo's street clip, written by hand, and generates their gaze."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import cv2
import numpy as np

from engines import Mask

FPS = 25.0
RATE_HZ = 200.0
SACCADE_S = 0.045
CONFIDENCE = 0.96


@dataclass(frozen=True, slots=True)
class ScriptedFixation:
    """Holds one fixated object and its (frame, x, y) in the clip, px, interpolated linearly.

    outline: of the object in the last frame of its settled span, drawn by hand, "x,y x,y ..." px; "" for none.
    """

    name: str
    points: tuple[tuple[float, float, float], ...]
    outline: str = ""


CUTS = (30, 76, 137, 187, 242)
"""Frames before which the clip's scene changes; the gaze stays in place and lands on a new object 100 ms later."""
STREET: tuple[ScriptedFixation, ...] = (
    ScriptedFixation(
        "hatch on the bus",
        ((0, 332, 44), (4, 333, 112), (8, 333, 190), (10, 333, 225)),
        "298,183 363,183 365,271 296,271",
    ),
    ScriptedFixation(
        "red car",
        ((15, 575, 8), (20, 578, 20), (24, 580, 28), (31, 582, 46)),
        "534,0 526,30 523,66 548,77 600,83 640,82 640,0",
    ),
    ScriptedFixation(
        "man in a suit",
        ((33, 285, 150), (36, 340, 150), (40, 430, 155), (44, 550, 160)),
        "589,0 586,40 572,62 520,76 508,95 495,150 470,215 452,271 640,271 640,0",
    ),
    ScriptedFixation(
        "car",
        ((47.5, 40, 250), (53, 90, 230), (58, 160, 200)),
        "0,172 69,161 162,155 237,161 312,185 368,217 414,255 428,271 0,271",
    ),
    ScriptedFixation(
        "taxi sign",
        ((61, 70, 120), (64, 104, 126), (68, 176, 139), (72, 295, 150), (78, 380, 160)),
        "243,133 275,170 297,187 523,180 521,126",
    ),
    ScriptedFixation("cyclist", ((79, 455, 130), (82, 440, 125))),
    ScriptedFixation(
        "orange sign",
        ((84, 290, 99), (96, 271, 106), (104, 266, 105)),
        "232,68 285,73 292,80 289,114 262,116 258,105 248,82",
    ),
    ScriptedFixation(
        "cyclist",
        ((107, 430, 108), (120, 428, 92), (130, 426, 86), (139, 428, 75)),
        "412,0 442,0 444,19 442,37 461,45 475,70 476,98 484,131 479,145 484,163 472,201 470,224 453,224 461,177 "
        "447,163 433,177 425,224 428,266 414,266 419,215 412,173 407,154 403,121 401,95 386,98 354,98 349,86 "
        "377,84 391,65 400,47 419,37 412,19",
    ),
    ScriptedFixation(
        "grey car",
        ((141, 560, 124), (151, 560, 124)),
        "518,138 520,124 536,108 588,104 597,112 604,129 603,155 560,161 522,159",
    ),
    ScriptedFixation(
        "dark car",
        ((153, 350, 142), (160, 366, 128), (166, 380, 128), (172, 402, 126), (177, 415, 122)),
        "386,138 388,124 400,108 447,105 453,115 453,155 396,160 386,155",
    ),
    ScriptedFixation(
        "grey car",
        ((179, 563, 124), (189, 563, 124)),
        "522,134 525,119 541,101 590,99 602,119 604,132 603,153 560,158 527,155",
    ),
    ScriptedFixation(
        "bollard",
        ((191, 272, 190), (200, 258, 190), (207, 249, 190)),
        "251,97 270,103 279,122 270,144 284,150 278,162 280,272 224,272 226,164 216,150 229,146 223,122 233,103",
    ),
    ScriptedFixation(
        "bag on the bicycle",
        ((209, 310, 95), (220, 300, 95), (243, 280, 95)),
        "278,56 322,64 341,65 339,78 322,86 318,114 306,132 286,135 265,127 260,82",
    ),
    ScriptedFixation("wheel", ((245, 310, 85), (250, 310, 85))),
)


def list_settled_spans(fixations: Sequence[ScriptedFixation], cuts: Sequence[int] = CUTS) -> list[tuple[str, range]]:
    """Pair each object with its frames: before the gaze leaves it and before the scene changes."""
    found = []
    for fixation, after in zip(fixations, [*fixations[1:], None], strict=True):
        first = ceil(fixation.points[0][0])
        # a saccade takes less than two frames, and ends where the next fixation begins
        ends = [fixation.points[-1][0], *(cut - 1 for cut in cuts if cut > first)]
        if after is not None:
            ends.append(after.points[0][0] - 2)
        found.append((fixation.name, range(first, int(min(ends)) + 1)))
    return found


def draw_outlined(fixation: ScriptedFixation, span: range, size: tuple[int, int]) -> dict[int, Mask]:
    """Draw the true mask of an outlined object in the frames of its settled span, each moved along with the gaze."""
    numbers, x, y = zip(*fixation.points, strict=True)
    places = np.column_stack([np.interp(span, numbers, x), np.interp(span, numbers, y)])
    outline = np.array([point.split(",") for point in fixation.outline.split()], float)
    drawn = {}
    for number, moved in zip(span, places - places[-1], strict=True):
        mask = np.zeros(size[::-1], np.uint8)
        drawn[number] = cv2.fillPoly(mask, [np.rint(outline + moved).astype(np.int32)], 1).astype(np.bool_)
    return drawn


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
