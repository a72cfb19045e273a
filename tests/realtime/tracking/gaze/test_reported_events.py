"""Tests what the gaze filter makes of saccades, fixations and blinks that the eye tracker reports."""

import math
from dataclasses import replace

import numpy as np
import pytest

from realtime.tracking.gaze.gaze_filter import GazeFilter
from realtime.types import EyeEvent, GazeSample

SIZE = (1600, 1200)
MS = 1_000_000
HERE, NEAR = (600.0, 500.0), (610.0, 500.0)
"""Two places closer than the smallest saccade that the filter detects by itself, 16 px."""


def sample(t_ms, xy, event=None):
    t_ns = round(t_ms * MS)
    return GazeSample(xy[0], xy[1], "px", 1.0, t_ns * 1e-9, t_ns, t_ns, event=event)


def rest(xy, first_ms, last_ms, noise_px=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return [sample(t, np.array(xy) + rng.normal(0, noise_px, 2)) for t in range(first_ms, last_ms, 5)]


def feed(gaze, samples):
    for one in samples:
        gaze.update(one, (one.x, one.y), SIZE)
    return gaze.estimate(samples[-1].received_ns)


def with_event(samples, kind, start_ms, end_ms=None):
    event = EyeEvent(kind, start_ms * MS, None if end_ms is None else end_ms * MS)
    return [replace(samples[0], event=event), *samples[1:]]


def test_a_small_step_is_one_fixation_without_a_report():
    estimate = feed(GazeFilter(), rest(HERE, 0, 200) + rest(NEAR, 200, 260))
    assert estimate.onset_ns < 200 * MS


@pytest.mark.parametrize("reported_at_ms", [200, 225, 250])
def test_a_fixation_onset_ends_the_fixation_before_at_its_own_time(reported_at_ms):
    samples = rest(HERE, 0, 200) + rest(NEAR, 200, 280)
    at = reported_at_ms // 5
    estimate = feed(GazeFilter(), samples[:at] + with_event(samples[at:], "fixation", 200))
    assert estimate.kind == "fixation"
    assert estimate.onset_ns == 200 * MS
    assert math.dist(estimate.point_px, NEAR) < 1.5, "the samples before the onset do not count"


def test_a_saccade_onset_prompts_nothing_until_the_landing():
    gaze = GazeFilter()
    feed(gaze, rest(HERE, 0, 200))
    assert feed(gaze, with_event(rest(HERE, 200, 205), "saccade", 200)).kind == "saccade"
    estimate = feed(gaze, rest(NEAR, 205, 260))
    assert estimate.kind == "fixation"
    assert estimate.onset_ns >= 200 * MS
    assert math.dist(estimate.point_px, NEAR) < 2


def test_an_onset_before_the_present_fixation_changes_nothing():
    far = (900.0, 500.0)
    samples = rest(HERE, 0, 200) + rest(far, 240, 320)
    plain = feed(GazeFilter(), samples)
    late = feed(GazeFilter(), samples[:-1] + with_event(samples[-1:], "saccade", 210))
    assert (late.kind, late.point_px, late.onset_ns) == (plain.kind, plain.point_px, plain.onset_ns)


def test_a_reported_blink_withdraws_its_samples_also_when_gaze_went_on():
    gaze = GazeFilter()
    feed(gaze, rest(HERE, 0, 300))
    lids = [sample(t, (HERE[0], HERE[1] + 0.12 * (t - 300))) for t in range(300, 420, 5)]
    feed(gaze, lids)
    estimate = feed(gaze, with_event(rest(HERE, 420, 425), "blink", 310, 400))
    assert estimate.kind == "blink", "lids may disturb gaze for some time after it"
    assert math.dist(estimate.point_px, HERE) < 1.5
    assert feed(gaze, rest(HERE, 425, 600)).kind == "fixation"
    assert gaze.counts["reported_blinks"] == 1


def test_events_without_a_sample_before_are_harmless():
    for kind in ("saccade", "fixation", "blink"):
        estimate = feed(GazeFilter(), with_event(rest(HERE, 0, 200), kind, 0, 5))
        assert estimate.kind == "fixation"


def test_random_events_keep_the_filter_going():
    rng = np.random.default_rng(3)
    gaze = GazeFilter()
    for t in range(0, 20_000, 5):
        event = None
        if rng.random() < 0.2:
            kind = ("saccade", "fixation", "blink")[rng.integers(3)]
            start = int(t + rng.integers(-400, 100))
            event = EyeEvent(kind, start * MS, (start + int(rng.integers(-50, 300))) * MS)
        xy = np.array(HERE) + rng.normal(0, 30, 2)
        gaze.update(sample(t, xy, event), tuple(xy), SIZE)
        if rng.random() < 0.2:
            gaze.move(lambda points: points + 1.0)
        estimate = gaze.estimate(t * MS)
        assert estimate is None or all(map(math.isfinite, estimate.point_px))
    assert gaze.counts["used"] > 0
