"""Tests the gaze filter on simulated and recorded eye movements."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import GazeSettingsError
from realtime.tracking.gaze.gaze_filter import GazeFilter
from realtime.tracking.gaze.settings import GazeSettings
from realtime.types import GazeSample

SIZE = (1600, 1200)
DEG = 16.0
MS = 1_000_000
NEON = Path(__file__).parents[5] / "shared/data/gaze/neon_demo_recording_ps1"


def sample(t_ms, xy, confidence=1.0, radius_px=None):
    t_ns = round(t_ms * MS)
    return GazeSample(xy[0], xy[1], "px", confidence, t_ns * 1e-9, t_ns, t_ns, radius_px)


def feed(gaze, samples):
    for one in samples:
        gaze.update(one, (one.x, one.y), SIZE)
    return gaze.estimate(samples[-1].received_ns)


def rest(rng, xy, start_ms, span_ms, rate_hz=200.0, noise_px=3.0, confidence=1.0):
    times = np.arange(start_ms, start_ms + span_ms, 1e3 / rate_hz)
    return [sample(t, np.array(xy) + rng.normal(0, noise_px, 2), confidence) for t in times]


def saccade(start, end, start_ms, rate_hz, phase_ms):
    """Samples in flight: a smooth step that takes 2.2 ms a degree and 21 ms (Carpenter 1988)."""
    start, end = np.array(start, float), np.array(end, float)
    span_ms = 2.2 * float(np.hypot(*(end - start))) / DEG + 21.0
    times = np.arange(start_ms + phase_ms, start_ms + span_ms, 1e3 / rate_hz)
    progress = ((times - start_ms) / span_ms)[:, None]
    path = start + (end - start) * (10 * progress**3 - 15 * progress**4 + 6 * progress**5)
    return [sample(t, xy) for t, xy in zip(times, path, strict=True)], span_ms


@pytest.mark.parametrize("rate_hz", [400, 200, 60, 30])
@pytest.mark.parametrize("seed", range(12))
def test_a_landing_is_seen_within_two_samples(rate_hz, seed):
    rng, period_ms = np.random.default_rng(seed), 1e3 / rate_hz
    gaze, here, there = GazeFilter(), (600.0, 500.0), (600.0 + 5 * DEG, 500.0)
    feed(gaze, rest(rng, here, 0, 600, rate_hz))
    start_ms = 600 + rng.uniform(0, period_ms)
    flight, span_ms = saccade(here, there, start_ms, rate_hz, 600 - start_ms + period_ms * 1.0001)
    landed_ms = start_ms + span_ms
    first_ms = (flight[-1].captured_ns / MS if flight else 600) + period_ms
    seen_ms, within = None, max(2.0 * period_ms, 15.0) + 1e-6
    for one in flight + rest(rng, there, first_ms, 300, rate_hz):
        estimate = feed(gaze, [one])
        near_new = math.dist(estimate.point_px, there) < 1.5 * DEG
        if seen_ms is None and estimate.is_steady and near_new:
            seen_ms = one.captured_ns / MS
    assert seen_ms is not None
    assert seen_ms - landed_ms <= within, f"{seen_ms - landed_ms:.1f} ms after the landing"
    assert math.dist(estimate.point_px, there) < 3.0, "the old place is smeared into the new one"
    assert estimate.onset_ns / MS >= start_ms
    assert gaze.counts["saccades"] == 1


def test_the_point_is_quieter_than_its_samples_and_keeps_their_bias():
    rng, errors, raw = np.random.default_rng(1), [], []
    gaze = GazeFilter()
    for one in rest(rng, (500.0, 500.0), 0, 2000, noise_px=4.0):
        errors.append(math.dist(feed(gaze, [one]).point_px, (500, 500)))
        raw.append(math.dist((one.x, one.y), (500, 500)))
    assert np.median(errors[20:]) < 0.35 * np.median(raw[20:])
    assert gaze.noise_px == pytest.approx(4.0, rel=0.3)


@pytest.mark.parametrize("lids_px_per_sample", [0.0, 0.5, 6.0])
@pytest.mark.parametrize("blink_ms", [60, 150, 350])
def test_a_blink_moves_nothing(blink_ms, lids_px_per_sample):
    rng, gaze, at = np.random.default_rng(2), GazeFilter(), (700.0, 400.0)
    before = feed(gaze, rest(rng, at, 0, 500))
    lids = [sample(500 + 5 * k, (at[0], at[1] + lids_px_per_sample * k)) for k in range(9)]
    feed(gaze, lids)
    for one in rest(rng, (at[0], at[1] + 200), 545, blink_ms, confidence=0.0):
        estimate = feed(gaze, [one])
        if one.captured_ns > 580 * MS:
            assert estimate.kind == "blink"
            assert math.dist(estimate.point_px, before.point_px) < 1.5
    for one in rest(rng, (at[0], at[1] + 30), 545 + blink_ms, 95):
        assert feed(gaze, [one]).kind == "blink"
    after = feed(gaze, rest(rng, at, 645 + blink_ms, 200))
    assert after.kind == "fixation"
    assert after.onset_ns == before.onset_ns == 0
    assert math.dist(after.point_px, before.point_px) < 3.0


def test_a_gaze_elsewhere_after_a_blink_is_followed():
    rng, gaze = np.random.default_rng(3), GazeFilter()
    feed(gaze, rest(rng, (300.0, 300.0), 0, 400) + rest(rng, (300.0, 500.0), 400, 200, confidence=0.1))
    estimate = feed(gaze, rest(rng, (900.0, 300.0), 600, 115))
    assert estimate.kind == "fixation"
    assert estimate.onset_ns >= 700 * MS
    assert math.dist(estimate.point_px, (900, 300)) < 5


def test_silence_is_a_blink_and_then_nothing():
    gaze = GazeFilter()
    assert gaze.estimate(0) is None
    feed(gaze, rest(np.random.default_rng(4), (300.0, 300.0), 0, 400))
    assert [gaze.estimate(t * MS).kind for t in (400, 450, 520, 890, 900)] == ["fixation"] * 2 + ["blink"] * 2 + [
        "none"
    ]


def test_a_spike_is_not_followed():
    rng, gaze = np.random.default_rng(5), GazeFilter()
    feed(gaze, rest(rng, (300.0, 300.0), 0, 300))
    for k in range(20):
        at = 300 + 25 * k
        estimate = feed(gaze, [sample(at, (900.0, 100.0 + k)), *rest(rng, (300.0, 300.0), at + 5, 20)])
        assert math.dist(estimate.point_px, (300, 300)) < 4
    assert gaze.counts["spikes"] == 20
    assert gaze.counts["saccades"] == 0


def test_a_single_sample_is_accepted_after_confirmation():
    gaze = GazeFilter(GazeSettings(blink_after_s=0.0))
    feed(gaze, rest(np.random.default_rng(6), (300.0, 300.0), 0, 300, rate_hz=60))
    gaze.update(sample(305, (900.0, 300.0)), (900.0, 300.0), SIZE)
    assert gaze.estimate(306 * MS).point_px[0] < 310
    estimate = gaze.estimate(331 * MS)
    assert (estimate.kind, estimate.point_px) == ("fixation", (900.0, 300.0))


@pytest.mark.parametrize("speed_deg_s", [10.0, 30.0])
@pytest.mark.parametrize("rate_hz", [200, 60])
def test_a_pursuit_is_followed_without_much_lag(speed_deg_s, rate_hz):
    rng, gaze, kinds = np.random.default_rng(7), GazeFilter(), []
    lag_px = []
    for k in range(rate_hz):
        truth = np.array([200 + speed_deg_s * DEG * k / rate_hz, 500.0])
        estimate = feed(gaze, [sample(1e3 * k / rate_hz, truth + rng.normal(0, 3, 2))])
        kinds.append(estimate.kind)
        lag_px.append(truth[0] - estimate.point_px[0])
    assert kinds[rate_hz // 3 :].count("pursuit") > 0.9 * len(kinds[rate_hz // 3 :])
    assert np.median(lag_px[rate_hz // 3 :]) < 0.05 * speed_deg_s * DEG, "more than 50 ms behind"
    assert gaze.counts["saccades"] == 0


def test_a_moving_picture_is_no_pursuit_once_its_motion_is_removed():
    """The head turns at 20 degrees a second, the eyes stay on an object: in the newest frame's pixels they rest."""
    rng, gaze, per_frame = np.random.default_rng(8), GazeFilter(), np.array([20 * DEG / 30, 0.0])
    kinds = []
    for frame in range(30):
        if frame:
            gaze.move(lambda points: points - per_frame)
        target = np.array([1200.0, 500.0]) - frame * per_frame
        estimate = feed(gaze, rest(rng, target, frame * 33, 33))
        kinds.append(estimate.kind)
    assert kinds == ["fixation"] * 30
    assert math.dist(estimate.point_px, target) < 3
    assert estimate.onset_ns == 0


def test_samples_move_by_the_rest_of_their_interval():
    rng, gaze, speed = np.random.default_rng(9), GazeFilter(), 20 * DEG / 1e3
    kinds = []
    for frame in range(30):
        if frame:
            gaze.move(lambda points: points - [speed * 33, 0.0], (frame - 1) * 33 * MS, frame * 33 * MS)
            estimate = gaze.estimate(frame * 33 * MS)
            kinds.append(estimate.kind)
            assert math.dist(estimate.point_px, (1200 - speed * 33 * frame, 500)) < 4
        for k in range(6):
            t_ms = frame * 33 + 5.5 * k
            feed(gaze, [sample(t_ms, np.array([1200 - speed * t_ms, 500.0]) + rng.normal(0, 2, 2))])
    assert kinds.count("fixation") > 25


def test_a_mapping_without_finite_results_moves_no_point():
    gaze = GazeFilter()
    before = feed(gaze, rest(np.random.default_rng(10), (300.0, 300.0), 0, 100))
    gaze.move(lambda points: np.full_like(points, np.nan))
    assert gaze.estimate(100 * MS).point_px == before.point_px


@pytest.mark.parametrize("separation_deg", [1.0, 3.0])
def test_alternating_eyes_are_averaged(separation_deg):
    rng, gaze, half = np.random.default_rng(11), GazeFilter(), separation_deg * DEG / 2
    both = rest(rng, (500.0, 500.0), 0, 1000, rate_hz=400, noise_px=2.0)
    estimates = [feed(gaze, [replace(one, x=one.x + (half if k % 2 else -half))]) for k, one in enumerate(both)]
    assert all(estimate.kind == "fixation" for estimate in estimates[100:])
    assert all(math.dist(estimate.point_px, (500, 500)) < 5 for estimate in estimates[100:])
    there = rest(rng, (800.0, 500.0), 1000, 300, rate_hz=400, noise_px=2.0)
    estimates = [feed(gaze, [replace(one, x=one.x + (half if k % 2 else -half))]) for k, one in enumerate(there)]
    assert math.dist(estimates[12].point_px, (800, 500)) < half + 5, "30 ms after a saccade"
    assert math.dist(estimates[-1].point_px, (800, 500)) < 5


def test_late_samples_are_used_and_older_or_doubled_ones_dropped():
    rng, gaze = np.random.default_rng(12), GazeFilter()
    steady = rest(rng, (500.0, 500.0), 0, 300)
    swapped = [steady[k ^ 1] for k in range(len(steady))]
    estimate = feed(gaze, swapped)
    assert math.dist(estimate.point_px, (500, 500)) < 3
    assert gaze.counts["late_used"] >= len(steady) // 2 - 2
    feed(gaze, [steady[-2], steady[10]])
    assert gaze.counts["doubled"] == 1
    assert gaze.counts["too_late"] == 1
    assert gaze.estimate(300 * MS).point_px == estimate.point_px


@pytest.mark.parametrize("jump_ms", [-3_600_000, -400, 400, 3_600_000])
def test_a_clock_that_jumps_is_followed(jump_ms):
    rng, gaze = np.random.default_rng(13), GazeFilter()
    feed(gaze, rest(rng, (300.0, 300.0), 10_000_000, 500))
    estimate = feed(gaze, rest(rng, (900.0, 900.0), 10_000_500 + jump_ms, 200))
    assert estimate.kind == "fixation"
    assert math.dist(estimate.point_px, (900, 900)) < 4
    assert gaze.counts["clock_resets"] == (jump_ms < 0)


def test_one_sample_from_the_future_does_not_stop_the_gaze():
    rng, gaze = np.random.default_rng(14), GazeFilter()
    feed(gaze, [*rest(rng, (300.0, 300.0), 0, 300), sample(9e6, (300.0, 300.0))])
    assert feed(gaze, rest(rng, (300.0, 300.0), 305, 100)).kind == "fixation"


def test_another_frame_size_resets_the_filter():
    gaze = GazeFilter()
    feed(gaze, rest(np.random.default_rng(15), (300.0, 300.0), 0, 300))
    gaze.update(sample(305, (150.0, 150.0)), (150.0, 150.0), (800, 600))
    assert gaze.estimate(305 * MS).point_px == (150.0, 150.0)
    assert gaze.counts["resized"] == 1


def test_the_estimate_holds_the_newest_sample_and_its_radius():
    gaze = GazeFilter()
    one = sample(0, (10.0, 10.0), radius_px=33.0)
    assert feed(gaze, [one]).sample is one
    assert feed(gaze, [one]).radius_px == 33.0
    assert feed(gaze, [sample(5, (11.0, 10.0))]).radius_px == pytest.approx(1.2 * DEG)


anything = st.one_of(st.floats(-3000, 3000), st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0]))
times = st.one_of(st.integers(0, 10**9), st.sampled_from([0, -(10**18), 10**18, 5 * MS, 10 * MS]))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(times, anything, anything, st.one_of(anything, st.just(1.0)), st.booleans()), max_size=60),
    st.sampled_from([None, 15.6, 0.0, -1.0, math.nan, 1e-300, 1e300]),
)
def test_no_stream_of_samples_raises(stream, px_per_degree):
    gaze = GazeFilter()
    for t_ns, x, y, confidence, move in stream:
        one = GazeSample(x, y, "px", confidence, t_ns * 1e-9, t_ns, t_ns)
        gaze.update(one, (x, y), SIZE, px_per_degree)
        if move:
            gaze.move(lambda points: points * 1.01 + 3.0, t_ns - MS, t_ns)
        estimate = gaze.estimate(t_ns)
        if estimate is not None:
            assert all(map(math.isfinite, (*estimate.point_px, estimate.spread_px)))
            assert estimate.sample.confidence >= 0.6
    assert gaze.counts["samples"] == len(stream)
    assert gaze.counts["used"] <= len(stream)


@settings(max_examples=60, deadline=None)
@given(st.floats(300, 900), st.floats(300, 900), st.integers(0, 10**6), st.sampled_from([400, 200, 120, 60, 30]))
def test_the_point_stays_within_the_samples_of_one_fixation(x, y, seed, rate_hz):
    gaze = GazeFilter()
    samples = rest(np.random.default_rng(seed), (x, y), 0, 500, rate_hz)
    for k, one in enumerate(samples):
        estimate = feed(gaze, [one])
        past = samples[: k + 1]
        assert min(p.x for p in past) - 1e-6 <= estimate.point_px[0] <= max(p.x for p in past) + 1e-6
        assert min(p.y for p in past) - 1e-6 <= estimate.point_px[1] <= max(p.y for p in past) + 1e-6


def test_memory_is_bounded():
    rng, gaze = np.random.default_rng(16), GazeFilter()
    for k in range(5000):
        place = rng.uniform(0, 1000, 2) if k % 50 < 25 else (500.0, 500.0)
        one = sample(k * 2.5, place)
        gaze.update(one, (one.x, one.y), SIZE)
    held = [*gaze._saccade.pending, *(point for segment in gaze._fixations.segments for point in segment.points)]
    assert len(held) <= 64 + 2 * (32 + 64)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"min_confidence": 1.5}, "0..1"),
        ({"window_s": 0.0}, "above 0"),
        ({"window_s": math.nan}, "finite"),
        ({"window_samples": 2.5}, "whole number"),
        ({"beta_hz_s_per_deg": -1.0}, "0 or more"),
        ({"lost_s": 0.01}, "longer than blink_gap_s"),
        ({"merge_s": "1"}, "finite number"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting, expected):
    with pytest.raises(GazeSettingsError, match=expected):
        GazeSettings(**setting)


@pytest.mark.skipif(not NEON.is_dir(), reason=f"no real gaze at {NEON}")
def test_real_fixations_agree_with_the_vendor():
    """Neon's own events are offline, low-passed and freed of head motion; ours here have no picture to do that with."""
    with (NEON / "gaze.csv").open() as file:
        rows = [(int(r["timestamp_ns"]), float(r["x_px"]), float(r["y_px"])) for r in csv.DictReader(file)]
    with (NEON / "fixations.csv").open() as file:
        events = [
            (int(r["start_timestamp_ns"]), int(r["end_timestamp_ns"]), r["event_type"] == "1")
            for r in csv.DictReader(file)
        ]
    gaze, ours, spans = GazeFilter(), [], {}
    for t_ns, x, y in rows:
        gaze.update(GazeSample(x, y, "px", 1.0, t_ns * 1e-9, t_ns, t_ns), (x, y), SIZE, 15.6)
        estimate = gaze.estimate(t_ns)
        ours.append(estimate.is_steady)
        spans[estimate.onset_ns] = (t_ns - estimate.onset_ns) / MS
    theirs = [next((fixation for start, end, fixation in events if start <= t < end), None) for t, _, _ in rows]
    agree = np.mean([a == b for a, b in zip(ours, theirs, strict=True) if b is not None])
    starts = [start for start, _, fixation in events if fixation]
    near = np.mean([min(abs(start - onset) for onset in spans) <= 60 * MS for start in starts])
    long = [span for span in spans.values() if span >= 60]
    assert 0.7 < np.mean(ours) < 0.95
    assert 15 <= len(long) <= 35
    assert 150 < np.median(long) < 500
    assert agree > 0.85
    assert near > 0.85
