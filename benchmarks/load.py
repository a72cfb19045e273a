"""Loads the whole program for 25 s, and compares it with budgets: python -m benchmarks.load.

Gaze at 1 kHz, 120 frames a second of 1920x1080, ten viewers and fifty subscribers, of which four are slow and two
never read; all are processes of their own on this machine. That is more than a small machine can do: what is checked
is that the newest mask stays new, that memory stays flat, that nothing arrives out of order, and that what is dropped
is counted and shared fairly.

Budgets of time are ratios to a yardstick that is measured first, decoding one such frame (JPEG), so that they hold on
slow and busy machines too. Prints a table, writes JSON, and fails where a budget is exceeded. Not a part of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.whole_program.device import draw_frames
from benchmarks.whole_program.program import ProcessUse, ProgramLoad, WholeProgram, start_program
from realtime.commands.doctor.probes import describe_processor

LOAD = ProgramLoad("1920x1080", frames_hz=120.0, gaze_hz=1000.0, prompt=44, slow=4, deaf=2, viewers=10)
WARM_UP_S, WARM_UP_MASKS, MAX_WARM_UP_S = 8.0, 100, 90.0
"""The warm-up lasts until both are reached: a machine that is slow fills its buffers slowly."""
YARDSTICK_S = 2.0


@dataclass(frozen=True)
class Budget:
    """A limit of one figure. is_least: the figure may not be lower, rather than not higher."""

    limit: float
    meaning: str
    is_least: bool = False

    def is_kept(self, value: float) -> bool:
        """Return whether a figure keeps it."""
        return value >= self.limit if self.is_least else value <= self.limit


BUDGETS = {
    "age_p50": Budget(25, "median age of masks at subscribers, yardsticks"),
    "age_p95": Budget(40, "95th percentile of it, yardsticks"),
    "age_max": Budget(100, "highest, yardsticks"),
    "viewer_age_p95": Budget(50, "95th percentile of the age of frames at viewers, yardsticks"),
    "age_rise": Budget(1.5, "median age of the second half over that of the first"),
    "cpu_per_mask": Budget(20, "CPU time of the run for each mask, yardsticks"),
    "memory_rise": Budget(1.05, "highest memory (PSS, else RSS) of the second half over that of the first"),
    "subscriber_share": Budget(0.95, "fewest masks of a subscriber that reads at once over the most", is_least=True),
    "viewer_share": Budget(0.75, "fewest frames of a viewer over the most", is_least=True),
    "frames_counted": Budget(0.9, "frames with a mask or counted as dropped, of those due", is_least=True),
    "gaze_counted": Budget(0.9, "gaze samples received or counted as dropped, of those sent", is_least=True),
    "unordered": Budget(0, "masks that arrived after a newer one"),
    "deaf_received": Budget(0, "masks read by subscribers that never read: checks the measurement"),
}


def measure_yardstick(size: tuple[int, int], seconds: float = YARDSTICK_S) -> dict[str, float]:
    """Measure the median time and CPU time of decoding one frame, ms."""
    jpeg = np.frombuffer(draw_frames(size)[0], np.uint8)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    walls, until, begun_cpu_s = [], time.monotonic() + seconds, time.process_time()
    while time.monotonic() < until:
        begun_s = time.monotonic()
        cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        walls.append(time.monotonic() - begun_s)
    cv2.setNumThreads(threads)
    cpu_ms = (time.process_time() - begun_cpu_s) / len(walls) * 1e3
    return {"wall_ms": round(float(np.median(walls)) * 1e3, 2), "cpu_ms": round(cpu_ms, 2)}


@dataclass(frozen=True)
class LoadSecond:
    """Holds what was measured in one second."""

    use: ProcessUse
    peers: list[dict[str, Any]]
    sent: dict[str, int]
    dropped: dict[str, int]
    rates: dict[str, float]


def record_seconds(program: WholeProgram, seconds: float) -> list[LoadSecond]:
    """Measure once a second, after the warm-up; `SystemExit` where that does not end."""
    found: list[LoadSecond] = []
    peers: list[Any] = []
    sent: list[Any] = []
    begun_s = time.monotonic()
    while not found or len(found) <= seconds:
        time.sleep(1 - (time.monotonic() - begun_s) % 1)
        passed_s, use, health = time.monotonic() - begun_s, program.measure(), program.health
        new_peers, sent = program.peers.pop_json(), program.device.pop_json() or sent
        peers = new_peers or peers
        masks = max((peer["received"] for peer in peers[-1]), default=0) if peers else 0
        if not found and (passed_s < WARM_UP_S or masks < WARM_UP_MASKS or not sent or health is None):
            if passed_s > MAX_WARM_UP_S:
                raise SystemExit(f"{masks} masks in {passed_s:.0f} s: this machine is too busy")
            continue
        assert health is not None
        merged = [dict(peer) for peer in peers[-1]]
        for number, peer in enumerate(merged):
            peer["ages_ms"] = [age for report in new_peers for age in report[number]["ages_ms"]]
        found.append(LoadSecond(use, merged, sent[-1], dict(health.dropped), dict(health.rates)))
    return found


def list_ages(seconds: Sequence[LoadSecond], kind: str) -> list[float]:
    """List the ages of all peers of a kind, ms."""
    return [age for each in seconds for peer in each.peers if peer["kind"] == kind for age in peer["ages_ms"]]


def describe_peers(seconds: Sequence[LoadSecond], kind: str) -> dict[str, Any]:
    """Summarize ages and shares of all peers of a kind."""
    first, last = seconds[0].peers, seconds[-1].peers
    numbers = [number for number, peer in enumerate(last) if peer["kind"] == kind]
    received = [last[number]["received"] - first[number]["received"] for number in numbers]
    published = [last[number]["published"] - first[number]["published"] for number in numbers]
    ages = list_ages(seconds, kind)
    return {
        "count": len(numbers),
        "received": {"least": min(received), "most": max(received)},
        "published": max(published),
        "unordered": sum(last[number]["unordered"] for number in numbers),
        "age_ms": {f"p{p}": round(float(np.percentile(ages, p)), 1) for p in (50, 95, 100)} if ages else {},
    }


def summarize(seconds: Sequence[LoadSecond], yardstick: dict[str, float]) -> dict[str, Any]:
    """Compute all figures, and those that have a budget."""
    first, last, half = seconds[0], seconds[-1], len(seconds) // 2
    peers = {kind: describe_peers(seconds, kind) for kind in ("prompt", "slow", "deaf", "viewer")}
    prompt, viewer, wall_ms = peers["prompt"], peers["viewer"], yardstick["wall_ms"]
    memory = np.array([each.use.pss_mib or each.use.rss_mib for each in seconds])
    sent = {name: last.sent[name] - first.sent[name] for name in last.sent}
    dropped = Counter(last.dropped)
    dropped.subtract(first.dropped)
    cpu_s, length_s = last.use.cpu_s - first.use.cpu_s, len(seconds) - 1
    gaze = sum(each.rates.get("gaze", 0.0) for each in seconds[1:])
    lost = {
        kind: sum(count for name, count in dropped.items() if name.startswith(kind)) for kind in ("frames.", "gaze.")
    }
    halves = [np.median(list_ages(part, "prompt")) for part in (seconds[:half], seconds[half:])]
    budgeted = {
        "age_p50": prompt["age_ms"]["p50"] / wall_ms,
        "age_p95": prompt["age_ms"]["p95"] / wall_ms,
        "age_max": prompt["age_ms"]["p100"] / wall_ms,
        "viewer_age_p95": viewer["age_ms"]["p95"] / wall_ms,
        "age_rise": halves[1] / halves[0],
        "cpu_per_mask": cpu_s * 1e3 / max(1, prompt["published"]) / yardstick["cpu_ms"],
        "memory_rise": memory[half:].max() / memory[:half].max(),
        "subscriber_share": prompt["received"]["least"] / max(1, prompt["received"]["most"]),
        "viewer_share": viewer["received"]["least"] / max(1, viewer["received"]["most"]),
        "frames_counted": (prompt["published"] + lost["frames."]) / max(1, sent["frames_due"]),
        "gaze_counted": (gaze + lost["gaze."]) / max(1, sent["gaze"]),
        "unordered": prompt["unordered"] + peers["slow"]["unordered"] + viewer["unordered"],
        "deaf_received": peers["deaf"]["received"]["most"],
    }  # fmt: skip
    return {
        "budgeted": {name: round(float(value), 3) for name, value in budgeted.items()},
        "peers": peers,
        "sent": sent,
        "rates": {name: round(float(np.mean([each.rates.get(name, 0) for each in seconds])), 1) for name in last.rates},
        "dropped": dict(+dropped),
        "cpu_cores": round(cpu_s / length_s, 2),
        "memory_mib": {"first": round(float(memory[0])), "last": round(float(memory[-1]))},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=25.0, help="after the warm-up")
    parser.add_argument("--size", default=LOAD.size)
    parser.add_argument("--frames-hz", type=float, default=LOAD.frames_hz)
    parser.add_argument("--gaze-hz", type=float, default=LOAD.gaze_hz)
    parser.add_argument("--viewers", type=int, default=LOAD.viewers)
    parser.add_argument("--prompt", type=int, default=LOAD.prompt, help="subscribers that read at once")
    parser.add_argument("--flags", nargs="*", default=["--engine=fake"], help="of gazecast run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "load.json")
    args = parser.parse_args()
    load = ProgramLoad(args.size, args.frames_hz, args.gaze_hz, args.prompt, LOAD.slow, LOAD.deaf, args.viewers)
    begun, before = datetime.now(UTC), os.getloadavg()[0]
    width, height = map(int, load.size.split("x"))
    yardstick = measure_yardstick((width, height))
    with start_program(load, args.flags) as program:
        seconds = record_seconds(program, args.seconds)
    found = summarize(seconds, yardstick)
    kept = {name: BUDGETS[name].is_kept(value) for name, value in found["budgeted"].items()}
    for name, value in found["budgeted"].items():
        budget = BUDGETS[name]
        sign = ">=" if budget.is_least else "<="
        verdict = "" if kept[name] else "  EXCEEDED"
        print(f"{name:17} {value:9.3f}  {sign} {budget.limit:<6g} {budget.meaning}{verdict}")
    record = {
        "at": begun.isoformat(timespec="seconds"), "machine": describe_processor(), "load_before": round(before, 1),
        "load": vars(load), "flags": args.flags, "seconds": len(seconds), "yardstick": yardstick, **found,
    }  # fmt: skip
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps({name: record[name] for name in ("yardstick", "peers", "rates", "sent", "dropped", "cpu_cores")}))
    sys.exit(not all(kept.values()))


if __name__ == "__main__":
    main()
