"""Computes the parts of a plot: percentiles per window, lanes, strips of states, gaze map. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import cv2
import numpy as np

from engines import Image
from realtime.commands.plot.summary import RecordingSummary, StateSpan, TimeSeries
from realtime.comms.messages import STATES
from realtime.infra.metrics import percentiles
from realtime.media.overlay import COLOURS
from realtime.types import State

MAX_LANES = 24
T = TypeVar("T")


def window_width(span_s: float) -> float:
    """Choose the width of a window, s: sixty in a recording, each at least 0.5 s long."""
    return max(0.5, span_s / 60)


def compute_windows(points: TimeSeries, width_s: float) -> list[tuple[float, dict[str, float]]]:
    """Compute (middle, percentiles) of each window that has values."""
    found: dict[int, list[float]] = {}
    for at_s, value in points:
        found.setdefault(int(at_s / width_s), []).append(value)
    return [((number + 0.5) * width_s, percentiles(found[number])) for number in sorted(found)]


def assign_lanes(spans: Sequence[StateSpan]) -> list[tuple[tuple[int, ...], list[StateSpan]]]:
    """Assign objects to lanes in order of appearance: the longest have one each, the others share one."""
    by_object: dict[int, list[StateSpan]] = {}
    for span in spans:
        is_guess = span.state == "preview" and span.object == 0  # made without the model
        if span.state != "lost" and not is_guess:
            by_object.setdefault(span.object, []).append(span)
    longest = sorted(by_object, key=lambda number: -sum_durations(by_object[number]))
    others = tuple(longest[MAX_LANES - 1 :]) if len(longest) > MAX_LANES else ()
    lanes: list[tuple[tuple[int, ...], list[StateSpan]]]
    lanes = [((number,), found) for number, found in by_object.items() if number not in others]
    if others:
        lanes.append((others, [span for number in others for span in by_object[number]]))
    return lanes


def sum_durations(spans: Iterable[StateSpan], state: State | None = None) -> float:
    """Sum the durations of spans, s; `state`: only of those in that state."""
    return sum(span.end_s - span.start_s for span in spans if state in (None, span.state))


def compute_shares(spans: Sequence[StateSpan], end_s: float, columns: int) -> list[tuple[int, dict[State, float]]]:
    """Compute the shares of states, together 1, in each column of the time from 0 to the end that has any."""
    found: dict[int, dict[State, float]] = {}
    for span in spans:
        start, stop = span.start_s / end_s * columns, span.end_s / end_s * columns
        for x in range(int(start), min(columns, int(np.ceil(stop)))):
            shares = found.setdefault(x, {})
            shares[span.state] = shares.get(span.state, 0.0) + min(stop, x + 1) - max(start, x)
    return [
        (x, {state: share / total for state, share in shares.items()})
        for x, shares in found.items() if (total := sum(shares.values())) > 0
    ]  # fmt: skip


def draw_state_strip(spans: Sequence[StateSpan], end_s: float, width: int, height: int, ground: str) -> Image:
    """Draw states over time as (height, width, 3) BGR; states that share a column share its height."""
    strip = np.full((height, width, 3), tuple(bytes.fromhex(ground[1:]))[::-1], np.uint8)
    for x, shares in compute_shares(spans, end_s, width):
        top = 0.0
        for state in STATES:
            share = shares.get(state, 0.0)
            strip[round(top) : round(top + share * height), x] = COLOURS[state]
            top += share * height
    return strip


def draw_gaze_map(summary: RecordingSummary) -> Image:
    """Draw the gaze as colour over the grey frame: the brighter, the longer."""
    assert summary.picture is not None
    height, width = summary.picture.shape[:2]
    grey = np.repeat(cv2.cvtColor(summary.picture, cv2.COLOR_BGR2GRAY)[..., None], 3, 2).astype(np.float32) * 0.75
    if summary.gaze is None or not summary.gaze.any():
        return grey.astype(np.uint8)
    heat = cv2.GaussianBlur(summary.gaze, (0, 0), max(0.8, summary.radius), borderType=cv2.BORDER_CONSTANT)
    heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.sqrt(heat / max(1e-9, float(heat.max())))  # else one long fixation hides all others
    colour = cv2.applyColorMap((60 + 195 * share).astype(np.uint8), cv2.COLORMAP_INFERNO).astype(np.float32)
    opacity = np.clip(share * 1.6 - 0.08, 0, 0.85)[..., None]
    return np.asarray(grey * (1 - opacity) + colour * opacity, np.uint8)


def split_at_gaps(points: Sequence[tuple[float, T]], gap_s: float) -> list[list[tuple[float, T]]]:
    """Split points into runs that lie no further apart than the gap, which no line crosses."""
    found: list[list[tuple[float, T]]] = []
    for point in points:
        if found and point[0] - found[-1][-1][0] <= gap_s:
            found[-1].append(point)
        else:
            found.append([point])
    return found
