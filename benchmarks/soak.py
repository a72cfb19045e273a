"""Runs the whole program for hours, and draws its memory, threads, handles, rates and latencies.

    python -m benchmarks.soak --hours 1                        the fake engine, 10 frames a second
    python -m benchmarks.soak --hours 8 -- --engine=openvino

A simulated eye tracker, `gazecast run` with its live page, subscribers and a viewer are processes of their own. Growth
is the slope of Theil and Sen (the median of all pairs' slopes) after the warm-up, in percent of the median an hour;
the command fails where allocated memory (anonymous pages), threads or handles grow by more than 1 %. Writes JSON and a
PNG.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.whole_program.program import ProgramLoad, WholeProgram, start_program
from realtime.commands.doctor.probes import describe_processor
from realtime.media import chart

MAX_GROWTH = 1.0
"""Percent an hour."""
MAX_WARM_UP_S = 600.0
MAX_POINTS = 400
"""Samples of a series for its slope and in its JSON; more are thinned to medians."""
PERIODS = 3.0
"""A sample that is so many periods late means that the whole machine, or all of this, was stopped."""
MEASURED = ("anon_mib", "rss_mib", "pss_mib", "threads", "handles")
LIMITED = ("anon_mib", "threads", "handles")
"""RSS and PSS change with what other programs do, too: these evict pages of libraries, and share them."""


def sample(program: WholeProgram, begun_s: float) -> dict[str, float]:
    """Measure once; keys are names of series."""
    use, row = program.measure(), {"at_s": round(time.monotonic() - begun_s, 2)}
    for name in (*MEASURED, "cpu_s"):
        if (value := getattr(use, name)) is not None:
            row[name] = round(value, 2)
    if program.health is not None:
        health = program.health
        row |= {f"{name}_hz": health.rates[name] for name in ("frames", "gaze", "masks") if name in health.rates}
        latency = health.latency_ms.get("frame_to_mask", {})
        row |= {f"frame_to_mask_{name}_ms": value for name, value in latency.items() if name in ("p50", "p95")}
        row["dropped"] = sum(health.dropped.values())
        row["is_degraded"] = float(health.state == "degraded")
    program.device.pop_json()
    if reports := program.peers.pop_json():
        row["received"] = sum(peer["received"] for peer in reports[-1])
    row["load"] = round(os.getloadavg()[0], 1)
    return row


def thin(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, list[float]]:
    """Take medians of successive samples, so that at most `MAX_POINTS` are left."""
    step = -(-len(rows) // MAX_POINTS)
    chunks = [rows[at : at + step] for at in range(0, len(rows), step)]
    return {
        name: [round(float(np.median([row.get(name, np.nan) for row in chunk])), 2) for chunk in chunks]
        for name in ("at_s", *names)
    }


def measure_growth(at_s: Sequence[float], values: Sequence[float]) -> float:
    """Compute the growth in percent of the median an hour, by the slope of Theil and Sen."""
    at, value = np.asarray(at_s, float), np.asarray(values, float)
    first, second = np.triu_indices(len(at), 1)
    slope = np.median((value[second] - value[first]) / (at[second] - at[first]))
    return float(slope * 3600 / np.median(value) * 100)


def summarize(rows: Sequence[Mapping[str, float]], warm_up_s: float, every_s: float) -> dict[str, Any]:
    """Compute growth of each series that must not grow, and the medians of the others, after the warm-up."""
    warm = [row for row in rows if row["at_s"] >= warm_up_s]
    names = [name for name in warm[-1] if name not in ("at_s", "cpu_s", "dropped", "received")]
    series = thin(warm, [name for name in MEASURED if name in warm[-1]])
    growth = {name: round(measure_growth(series["at_s"], series[name]), 2) for name in series if name != "at_s"}
    at_s = np.array([row["at_s"] for row in rows])
    pauses = np.diff(at_s)[np.diff(at_s) > PERIODS * every_s]
    first, last = warm[0], warm[-1]
    return {
        "growth_percent_per_hour": growth,
        "is_flat": all(growth[name] <= MAX_GROWTH for name in LIMITED),
        "median": {name: round(float(np.nanmedian([row.get(name, np.nan) for row in warm])), 2) for name in names},
        "first_and_last": {name: [first[name], last[name]] for name in growth},
        "cpu_share": round((last["cpu_s"] - first["cpu_s"]) / (last["at_s"] - first["at_s"]), 3),
        "pauses_s": [round(float(pause), 1) for pause in pauses],
    }


def draw(rows: Sequence[Mapping[str, float]], summary: Mapping[str, Any], title: str, path: Path) -> None:
    """Draw four charts over time: memory, threads and handles, rates, latencies."""
    panels = {
        "memory": ("MiB", {"anon_mib": ("allocated", chart.BLUE), "rss_mib": ("RSS", chart.SKY),
                           "pss_mib": ("PSS", chart.LILAC)}),
        "threads and handles": ("", {"threads": ("threads", chart.GREEN), "handles": ("open files", chart.AMBER)}),
        "rates": ("Hz", {"frames_hz": ("frames", chart.BLUE), "masks_hz": ("masks", chart.VERMILLION),
                         "gaze_hz": ("gaze", chart.GREEN)}),
        "frame to mask": ("ms", {"frame_to_mask_p50_ms": ("p50", chart.BLUE),
                                 "frame_to_mask_p95_ms": ("p95", chart.LILAC)}),
    }  # fmt: skip
    figure = chart.new_figure(1180, 640)
    chart.write(figure, 40, 32, title, size=chart.LARGE, bold=True)
    growth = summary["growth_percent_per_hour"]
    names = {"anon_mib": "allocated memory", "rss_mib": "RSS", "pss_mib": "PSS", "handles": "open files"}
    texts = [f"{names.get(name, name)} {value:+.2f} %" for name, value in growth.items()]
    chart.write(figure, 40, 56, f"Growth an hour after the warm-up (grey): {', '.join(texts)}", color=chart.FAINT)
    for number, (name, (unit, lines)) in enumerate(panels.items()):
        left, top = 50 + 570 * (number % 2), 122 + 262 * (number // 2)
        axes = chart.add_axes(figure, left, top, 510, 175, title="", x_label="minutes", y_label=unit)
        chart.write(figure, left, top - 30, name, size=chart.NORMAL, bold=True)
        series = thin(rows, list(lines))
        minutes, highest = np.array(series["at_s"]) / 60, 1.0
        for key, (_, color) in lines.items():
            values = np.array(series[key])
            axes.plot(minutes, values, color=color, linewidth=1.5)
            highest = max(highest, float(np.nanpercentile(values, 99)))
        axes.axvspan(0, summary["warm_up_s"] / 60, color=chart.GRID, linewidth=0, zorder=0)
        axes.set_ylim(0, chart.round_up(highest * 1.1))
        axes.set_xlim(0, float(minutes[-1]))
        chart.add_legend(axes, dict(lines.values()))
    cv2.imwrite(str(path), chart.render(figure))


def run_soak(load: ProgramLoad, flags: Sequence[str], hours: float, every_s: float) -> list[dict[str, float]]:
    """Run everything for so long, or until Ctrl-C or SIGTERM, and print a line a minute."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows: list[dict[str, float]] = []
    with start_program(load, flags) as program, contextlib.suppress(KeyboardInterrupt):
        begun_s = time.monotonic()
        while (passed_s := time.monotonic() - begun_s) < hours * 3600:
            rows.append(sample(program, begun_s))
            if passed_s // 60 > (rows[-2]["at_s"] // 60 if len(rows) > 1 else -1):
                print(json.dumps(rows[-1]), flush=True)
            time.sleep(every_s - (time.monotonic() - begun_s) % every_s)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--every", type=float, default=2.0, metavar="S", help="time between two samples")
    parser.add_argument("--size", default=ProgramLoad.size)
    parser.add_argument("--frames-hz", type=float, default=ProgramLoad.frames_hz)
    parser.add_argument("--gaze-hz", type=float, default=ProgramLoad.gaze_hz)
    parser.add_argument("flags", nargs="*", help="of gazecast run, after --; --engine=fake without any")
    results = Path(__file__).parent / "results"
    parser.add_argument("--out", type=Path, default=results / "soak.json", help="beside it, the PNG")
    args = parser.parse_args()
    flags = args.flags or ["--engine=fake"]
    load = ProgramLoad(args.size, args.frames_hz, args.gaze_hz)
    begun = datetime.now(UTC)
    rows = run_soak(load, flags, args.hours, args.every)
    length_s, warm_up_s = rows[-1]["at_s"], min(MAX_WARM_UP_S, rows[-1]["at_s"] / 4)
    summary = {"warm_up_s": round(warm_up_s), **summarize(rows, warm_up_s, args.every)}
    length = f"{length_s / 3600:.1f} hours" if length_s >= 5400 else f"{length_s / 60:.0f} minutes"
    draw(rows, summary, f"gazecast run, {length}", args.out.with_suffix(".png"))
    series = thin(rows, [name for name in rows[-1] if name != "at_s"])
    record = {
        "at": begun.isoformat(timespec="seconds"), "length_s": round(length_s), "machine": describe_processor(),
        "load": vars(load), "flags": flags, **summary, "series": series,
    }  # fmt: skip
    args.out.write_text(json.dumps(record) + "\n")
    print(json.dumps({"length_s": round(length_s), **summary}, indent=1))
    sys.exit(not summary["is_flat"])


if __name__ == "__main__":
    main()
