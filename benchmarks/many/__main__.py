"""Measures many wearers on this machine, and plans for more: python -m benchmarks.many --wearers 1 2 4 8 16.

hosts: `gazecast serve` with simulated wearers, all of whom move, by engine. checked: the same by simulation, from the
service times of the run of one wearer. plan: what up to 10,000 wearers need. greedy: what one wearer with 120 frames a
second of 1920x1080 takes from three others. The machine must have no other load.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.many import figures, planning
from benchmarks.many.calibration import count_free_cores, fit_machine
from benchmarks.many.host_run import HostLoad, measure_host
from benchmarks.many.simulator import simulate
from realtime.commands.doctor.probes import describe_processor
from realtime.pipeline.side_control import MOVING_SPEED

RESULTS = Path(__file__).parents[1] / "results" / "many.json"
PARTS = ("hosts", "greedy", "checked", "fairness", "plan")
BUILDING = (1, 10, 100, 1000, 10_000)
GREEDY = "1920x1080@120"


def measure_hosts(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each engine with each number of wearers."""
    rows = []
    for engine in args.engines:
        for count in args.wearers:
            load = HostLoad(count, engine, args.size, args.fps, settings=tuple(args.set))
            rows.append(measure_host(load, args.seconds).summarize())
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def measure_greedy(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure three usual wearers beside a usual one, and beside a greedy one, by turns."""
    rows = []
    for engine in args.engines:
        for turn in range(args.turns):
            for greedy in ("", GREEDY):
                load = HostLoad(4, engine, args.size, args.fps, greedy=greedy, settings=tuple(args.set))
                found = measure_host(load, args.seconds)
                found.times.pop("w00", None)  # the same three in both
                rows.append(found.summarize() | {"turn": turn})
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def check_simulation(hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Simulate what was measured, from the run of one wearer alone."""
    rows = []
    for engine in dict.fromkeys(row["engine"] for row in hosts):
        of_engine = [row for row in hosts if row["engine"] == engine]
        if (single := next((row for row in of_engine if row["wearers"] == 1), None)) is None:
            continue
        machine, model = fit_machine(single)
        for row in of_engine:
            here = replace(machine, cores=count_free_cores(row))
            predicted = planning.summarize(simulate(here, row["wearers"], model), row["wearers"])
            rows.append({"engine": engine, "measured": row, "predicted": predicted})
    return rows


def predict_fairness(hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Simulate what a greedy wearer takes from the others, on this machine and on one with more cores."""
    single = next((row for row in hosts if row["wearers"] == 1 and row["engine"] != "fake"), None)
    if single is None:
        return []
    machine, model = fit_machine(single)
    gpu = planning.published_machines(machine)[0]
    return [planning.measure_fairness(each, model, count) for each in (machine, gpu) for count in (2, 4)]


def plan(hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Plan a building on machines like this one, and on GPUs with published times."""
    rows = []
    single = next((row for row in hosts if row["wearers"] == 1 and row["engine"] != "fake"), None)
    if single is not None:
        machine, model = fit_machine(single)
        machine = replace(machine, cores=float(os.cpu_count() or 1))
        model = replace(model, speed=MOVING_SPEED)
        for each in (machine, *planning.published_machines(machine)):
            rows += planning.plan_building(each, model, BUILDING)
    return rows


PREDICTED = {"checked": check_simulation, "fairness": predict_fairness, "plan": plan}


def format_tables(results: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    lines = []
    if hosts := results.get("hosts"):
        lines += _head("engine", "wearers", "masks/s each", "frame to mask p50 / p95 / p99 ms",
                       "keyframe age p50 / p95 ms", "cores each", "PSS MiB")  # fmt: skip
        lines += [
            f"| {row['engine']} | {row['wearers']} | {row['masks_per_s_each']} | {_ms(row['frame_to_mask_ms'], 3)} | "
            f"{_ms(row['keyframe_age_ms'], 2)} | {row['cores_each']} | {row['pss_mib']} |"
            for row in hosts
        ]
    if checked := results.get("checked"):
        lines += _head(
            "engine", "wearers", "frame to mask, measured", "predicted", "keyframe age, measured", "predicted"
        )
        lines += [
            f"| {row['engine']} | {row['measured']['wearers']} | {_ms(row['measured']['frame_to_mask_ms'], 2)} | "
            f"{_ms(row['predicted']['frame_to_mask_ms'], 2)} | {_ms(row['measured']['keyframe_age_ms'], 2)} | "
            f"{_ms(row['predicted']['keyframe_age_ms'], 2)} |"
            for row in checked
        ]
    if planned := results.get("plan"):
        lines += _head("machine", "fps", "wearers", "devices", "wearers a device", "frame to mask p50 / p95",
                       "keyframe age p50 / p95")  # fmt: skip
        lines += [
            f"| {row['machine']} | {row['fps']:g} | {row['wearers']} | {row['devices']} | {row['fits']} | "
            f"{_ms(row['frame_to_mask_ms'], 2)} | {_ms(row['keyframe_age_ms'], 2)} |"
            for row in planned
        ]
    return "\n".join(lines)


def _head(*columns: str) -> list[str]:
    return ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def _ms(found: dict[str, float] | None, count: int) -> str:
    return "-" if found is None else " / ".join(f"{value:.0f}" for value in list(found.values())[:count])


def positive_int(text: str) -> int:
    """Read a number of wearers or turns, 1 or more."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def positive_float(text: str) -> float:
    """Read a rate or a time above 0."""
    if not 0 < (value := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {value}")
    return value


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--wearers", nargs="+", type=positive_int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--engines", nargs="+", default=["fake", "openvino"])
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--fps", type=positive_float, default=15.0)
    parser.add_argument("--seconds", type=positive_float, default=15.0)
    parser.add_argument("--turns", type=positive_int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY = VALUE", help="a line of the host's file")
    parser.add_argument("--out", type=Path, default=RESULTS, help="parts that are not measured keep their results")
    parser.add_argument("--draw", type=Path, metavar="DIR", help="where to draw the figures")
    return parser


def main() -> None:
    args = build_parser().parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    results |= {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": describe_processor(),
    }
    for part in args.parts:
        if part in ("hosts", "greedy"):
            measured = measure_hosts(args) if part == "hosts" else measure_greedy(args)
            kept = [row for row in results.get(part, []) if row["engine"] not in args.engines]
            results[part] = kept + measured
        else:
            results[part] = PREDICTED[part](results.get("hosts", []))
        args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(format_tables(results))
    if args.draw is not None:
        print(figures.draw(results, args.draw))


if __name__ == "__main__":
    main()
