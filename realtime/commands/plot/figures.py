"""The arithmetic behind the picture of a recording: percentiles of windows, lanes, columns, the map of gaze. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np

from engines import Image
from realtime.commands.plot.command import RecordingSummary, StateSpan, TimeSeries
from realtime.infra.metrics import percentiles
from realtime.media.chart import ticks
from realtime.types import State

MOST_LANES = 24
TICKS = 3
T = TypeVar("T")


def windows(points: TimeSeries, span_s: float) -> list[tuple[float, dict[str, float]]]:
    """The percentiles of each stretch of time that has values, and its middle: sixty stretches, of 0.5 s at least."""
    width_s = max(0.5, span_s / 60)
    found: dict[int, list[float]] = {}
    for at_s, value in points:
        found.setdefault(int(at_s / width_s), []).append(value)
    return [((number + 0.5) * width_s, percentiles(found[number])) for number in sorted(found)]


def lanes_of(spans: Sequence[StateSpan]) -> list[tuple[tuple[int, ...], list[StateSpan]]]:
    """The objects of each lane and what is on it, by first look: the longest have one each, the others share one."""
    by_object: dict[int, list[StateSpan]] = {}
    for span in spans:
        if span.state != "lost":
            by_object.setdefault(span.object, []).append(span)
    longest = sorted(by_object, key=lambda thing: -sum(span.end_s - span.start_s for span in by_object[thing]))
    own = set(longest) if len(longest) <= MOST_LANES else set(longest[: MOST_LANES - 1])
    lanes: list[tuple[tuple[int, ...], list[StateSpan]]]
    lanes = [((thing,), found) for thing, found in by_object.items() if thing in own]
    others = tuple(thing for thing in by_object if thing not in own)
    if others:
        lanes.append((others, [span for thing in others for span in by_object[thing]]))
    return lanes


def columns_of(spans: Sequence[StateSpan], end_s: float, columns: int) -> list[tuple[int, dict[State, float]]]:
    """The shares of states, together 1, in each of so many columns of the time from 0 to the end that has any."""
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


def heated(story: RecordingSummary) -> Image:
    """The frame in grey with the gaze as colour over it: the brighter, the more of the time was spent there."""
    assert story.picture is not None
    height, width = story.picture.shape[:2]
    grey = np.repeat(cv2.cvtColor(story.picture, cv2.COLOR_BGR2GRAY)[..., None], 3, 2).astype(np.float32) * 0.75
    if story.gaze is None or not story.gaze.any():
        return grey.astype(np.uint8)
    heat = cv2.GaussianBlur(story.gaze, (0, 0), max(0.8, story.radius), borderType=cv2.BORDER_CONSTANT)
    heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.sqrt(heat / max(1e-9, float(heat.max())))  # else one long look hides all others
    colour = cv2.applyColorMap((60 + 195 * share).astype(np.uint8), cv2.COLORMAP_INFERNO).astype(np.float32)
    opacity = np.clip(share * 1.6 - 0.08, 0, 0.85)[..., None]
    return np.asarray(grey * (1 - opacity) + colour * opacity, np.uint8)


def ceiling(values: Sequence[float]) -> float:
    """A round number above nearly all values; a single hiccup must not flatten the rest."""
    high = max(1.0, float(np.percentile(values, 98)) * 1.15) if values else 1.0
    step = ticks(0, high, TICKS)[1]
    return step * float(np.ceil(high / step - 1e-9))


def runs(points: Sequence[tuple[float, T]], gap_s: float) -> list[list[tuple[float, T]]]:
    """Points that lie no further apart than the gap, so that no line is drawn where nothing was."""
    found: list[list[tuple[float, T]]] = []
    for point in points:
        if found and point[0] - found[-1][-1][0] <= gap_s:
            found[-1].append(point)
        else:
            found.append([point])
    return found
