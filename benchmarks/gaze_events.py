"""Measures how well the gaze filter follows the eyes: latency after a saccade, error in a fixation, cost per sample.

    python benchmarks/gaze_events.py [--data FOLDER] [--out benchmarks/results/gaze_events.json]

Synthetic eyes: fixations of 0.2 to 0.8 s, pursuits of 5 to 30 degrees a second, and saccades of 2 to 20 degrees that
last 21 ms plus 2.2 ms a degree (Carpenter 1988), measured with white and slowly wandering noise of 3 px each at 15.6 px
a degree. Every method has a result after every sample; errors are relative to the true gaze, without its bias.
With --data (the Neon recording) real gaze is segmented into events and compared with Neon's own segmentation, which is
computed offline, low-pass filtered and compensated for head motion.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import platform
import time
from pathlib import Path

import numpy as np

from realtime.tracking.gaze.gaze_filter import GazeFilter
from realtime.tracking.gaze.settings import GazeSettings
from realtime.types import GazeSample

SIZE, DEG = (1600, 1200), 15.6
NEAR_DEG, SETTLED_S = 1.0, 0.1


def simulate_eyes(rng, rate_hz, seconds):
    """Simulate fixations, pursuits and saccades: (times s, true px, landing times s, resting flags)."""
    fine = 1000
    truth, resting, landings, at = [], [], [], np.array([800.0, 600.0])
    while len(truth) < seconds * fine:
        span = int(rng.uniform(0.2, 0.8) * fine)
        speed = rng.uniform(5, 30) * DEG if rng.random() < 0.3 else 0.0
        angle = rng.uniform(0, 2 * np.pi)
        drift = np.arange(span)[:, None] / fine * speed * np.array([np.cos(angle), np.sin(angle)])
        truth += list(at + drift)
        resting += [True] * span
        at = truth[-1]
        jump = rng.uniform(2, 20) * DEG
        options = [at + jump * np.array([np.cos(a), np.sin(a)]) for a in rng.uniform(0, 2 * np.pi, 16)]
        end = min(options, key=lambda p: float(np.abs(p - [800, 600]).max()))
        steps = int(2.2 * jump / DEG + 21)
        s = np.arange(steps) / steps
        truth += list(at + (end - at) * (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None])
        resting += [False] * steps
        at = end
        landings.append(len(truth) / fine)
    pick = np.arange(0, seconds * fine, fine / rate_hz).astype(int)
    return (
        pick / fine,
        np.array(truth)[pick],
        np.array([t for t in landings if t < seconds - 0.3]),
        np.array(resting)[pick],
    )


def simulate_noise(rng, count, rate_hz, px=3.0):
    """Make white noise plus noise with a time constant of 50 ms, each of `px` standard deviation per axis."""
    keep = math.exp(-1 / (rate_hz * 0.05))
    wander = np.zeros((count, 2))
    for k in range(1, count):
        wander[k] = keep * wander[k - 1] + rng.normal(0, px * math.sqrt(1 - keep**2), 2)
    return wander + rng.normal(0, px, (count, 2))


def make_sample(t, xy):
    t_ns = round(t * 1e9)
    return GazeSample(float(xy[0]), float(xy[1]), "px", 1.0, t, t_ns, t_ns)


def run_filter(times, measured, settings=None):
    """Run the filter: its points, whether they are steady, and its cost per sample and per estimate in microseconds."""
    gaze, points, steady, spent = GazeFilter(settings), [], [], [0.0, 0.0]
    for t, xy in zip(times, measured, strict=True):
        sample = make_sample(t, xy)
        start = time.thread_time()
        gaze.update(sample, (sample.x, sample.y), SIZE, DEG)
        middle = time.thread_time()
        estimate = gaze.estimate(sample.captured_ns)
        spent = [spent[0] + middle - start, spent[1] + time.thread_time() - middle]
        points.append(estimate.point_px)
        steady.append(estimate.is_steady)
    return np.array(points), np.array(steady), [round(s / len(times) * 1e6, 1) for s in spent], dict(gaze.counts)


def score(times, truth, landings, resting, points, steady):
    """Measure the delay from landing to the first steady point near the truth (ms), and errors in fixations (px)."""
    errors = np.hypot(*(points - truth).T)
    delays = []
    for landing in landings:
        after = (times >= landing - 1e-9) & (times < landing + 0.3)
        good = after & steady & (errors < NEAR_DEG * DEG)
        delays.append((times[good][0] - landing) * 1e3 if good.any() else 300.0)
    since = times - landings[np.maximum(np.searchsorted(landings, times, side="right") - 1, 0)]
    settled = resting & (since > SETTLED_S)
    return {
        "landing_ms_p50": round(float(np.median(delays)), 1),
        "landing_ms_p95": round(float(np.percentile(delays, 95)), 1),
        "error_px_settled": round(float(errors[settled].mean()), 2),
        "error_px_resting": round(float(errors[resting].mean()), 2),
        "steady_in_saccades": round(float(steady[~resting].mean()), 3),
    }


def measure_synthetic(rate_hz, seconds, seed, settings=None):
    rng = np.random.default_rng(seed)
    times, truth, landings, resting = simulate_eyes(rng, rate_hz, seconds)
    measured = truth + simulate_noise(rng, len(truth), rate_hz)
    always = np.ones(len(measured), bool)
    means = np.array([measured[max(k - 9, 0) : k + 1].mean(axis=0) for k in range(len(measured))])
    points, steady, cost, counts = run_filter(times, measured, settings)
    return {
        "filter": score(times, truth, landings, resting, points, steady)
        | {"update_us": cost[0], "estimate_us": cost[1]},
        "mean of 10": score(times, truth, landings, resting, means, always),
        "newest": score(times, truth, landings, resting, measured, always),
        "true_saccades": len(landings),
        "detected_saccades": counts.get("saccades", 0),
    }


def measure_neon(folder):
    """Measure the agreement with Neon's own segmentation of its recording."""
    with (folder / "gaze.csv").open() as file:
        rows = [(int(r["timestamp_ns"]), float(r["x_px"]), float(r["y_px"])) for r in csv.DictReader(file)]
    with (folder / "fixations.csv").open() as file:
        events = [
            (int(r["start_timestamp_ns"]), int(r["end_timestamp_ns"]), r["event_type"] == "1")
            for r in csv.DictReader(file)
        ]
    gaze, spans, ours = GazeFilter(), {}, []
    for t_ns, x, y in rows:
        gaze.update(GazeSample(x, y, "px", 1.0, t_ns * 1e-9, t_ns, t_ns), (x, y), SIZE, DEG)
        estimate = gaze.estimate(t_ns)
        ours.append(estimate.is_steady)
        if estimate.is_steady:
            spans[estimate.onset_ns] = (t_ns - estimate.onset_ns) * 1e-6
    reference = [next((f for start, end, f in events if start <= t < end), None) for t, _, _ in rows]
    pairs = np.array([(a, b) for a, b in zip(ours, reference, strict=True) if b is not None], bool)
    agreement = float((pairs[:, 0] == pairs[:, 1]).mean())
    chance = sum(float((pairs[:, 0] == k).mean() * (pairs[:, 1] == k).mean()) for k in (False, True))
    starts = [start for start, _, fixation in events if fixation]
    apart = [min((onset - start for onset in spans), key=abs) * 1e-6 for start in starts]
    return {
        "agreement": round(agreement, 3),
        "kappa": round((agreement - chance) / (1 - chance), 3),
        "share_resting": [round(float(share), 3) for share in pairs.mean(axis=0)],
        "onsets_within_60_ms": round(float(np.mean(np.abs(apart) <= 60)), 3),
        "onset_minus_theirs_ms_p50": round(float(np.median(apart)), 1),
        "fixations_from_60_ms": [sum(s >= 60 for s in spans.values()), len(starts)],
        "duration_ms_p50": round(float(np.median([s for s in spans.values() if s >= 60])), 1),
        "their_duration_ms_p50": round(float(np.median([(e - s) * 1e-6 for s, e, f in events if f])), 1),
        "noise_deg": round(gaze.noise_px / DEG, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the Neon recording")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--settings", type=json.loads, default={}, help="GazeSettings to try, as JSON")
    chosen = parser.parse_args()
    settings = GazeSettings(**chosen.settings)
    result = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "px_per_degree": DEG,
        "seconds": chosen.seconds,
        "seed": chosen.seed,
        "synthetic": {
            str(hz): measure_synthetic(hz, chosen.seconds, chosen.seed, settings) for hz in (400, 200, 60, 30)
        },
    }
    if chosen.data:
        result["neon"] = measure_neon(chosen.data)
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
