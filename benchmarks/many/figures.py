"""Draws the figures of `benchmarks.many` from its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot: there may be no display
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, ScalarFormatter

from benchmarks.streaming_eval.figures import COLOURS, STYLE

SHOWN = (
    ("keyframe_age_ms", "p95", "age of the keyframe, p95, ms"),
    ("frame_to_mask_ms", "p95", "frame to mask, p95, ms"),
)
NAME = "many-wearers.png"


def draw(results: dict[str, Any], folder: Path) -> Path:
    """Draw measured and predicted times by wearers, and the devices of a building; returns the PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
        for axis, (name, percentile, label) in zip(axes, SHOWN, strict=False):
            _draw_checked(axis, results.get("checked", []), name, percentile)
            axis.set_title(label)
        _draw_plan(axes[2], results.get("plan", []))
        figure.savefig(folder / NAME, dpi=110)
        plt.close(figure)
    return folder / NAME


def _draw_checked(axis: Any, rows: list[dict[str, Any]], name: str, percentile: str) -> None:
    for index, engine in enumerate(dict.fromkeys(row["engine"] for row in rows)):
        of_engine = [row for row in rows if row["engine"] == engine]
        for kind, style in (("measured", "o"), ("predicted", "--")):
            shown = [(row[kind]["wearers"], row[kind][name][percentile]) for row in of_engine if row[kind][name]]
            axis.plot(*zip(*shown, strict=True), style, color=COLOURS[index], label=f"{engine}, {kind}")
    axis.set(xscale="log", yscale="log", xlabel="wearers on one machine of two cores")
    axis.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"], minor=False)
    axis.minorticks_off()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.legend(fontsize=9)


def _draw_plan(axis: Any, rows: list[dict[str, Any]]) -> None:
    for index, machine in enumerate(dict.fromkeys(row["machine"] for row in rows)):
        shown = [(row["wearers"], row["devices"]) for row in rows if row["machine"] == machine]
        axis.plot(*zip(*shown, strict=True), "o-", color=COLOURS[index], label=machine)
    axis.set(xscale="log", yscale="log", xlabel="wearers in a building")
    axis.set_title("devices that they need")
    axis.legend(fontsize=9)
