"""Draws the figures of `benchmarks.streaming`, `tracker_ablation` and `intent` from their JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot: there may be no display
from matplotlib import pyplot as plt
from matplotlib.patches import Patch

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Colours of Okabe & Ito, which colour-blind readers can distinguish."""
KNOWN = {"gazecast": COLOURS[0], "stock": COLOURS[1], "disc": "#777777"}
SAT_ON = {"the fixated object": "#009E73", "the other object": "#D55E00", "neither": "#bbbbbb"}
LABELS = {"stock": "usual loop", "disc": "disc round the gaze"}
STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6",
         "axes.axisbelow": True, "font.size": 11, "legend.frameon": False, "axes.titlelocation": "left"}  # fmt: skip


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what there are figures of; returns the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    todo: list[tuple[str, str, Callable[[dict[str, Any]], Any]]] = [
        ("errors", "streaming-gaze-error.png", _errors),
        ("fit", "streaming-clips.png", _clips),
        ("fit", "streaming-latency.png", _latency),
        ("switches", "streaming-switches.png", _switches),
        ("ablations", "keeping-up-ablations.png", _ablations),
        ("late", "keeping-up-late.png", _late),
        ("intent", "intent-reliability.png", _reliability),
    ]
    drawn = []
    for part, name, picture in todo:
        if part in results:
            with mpl.rc_context(STYLE):
                figure = picture(results[part])
                figure.savefig(folder / name, dpi=110)
                plt.close(figure)
            drawn.append(folder / name)
    return drawn


def _colour(name: str, names: list[str]) -> str:
    others = [n for n in names if n not in KNOWN]
    return KNOWN.get(name) or COLOURS[2 + others.index(name) % (len(COLOURS) - 2)]


def _under(part: dict[str, Any]) -> str:
    """What was measured when, on what."""
    seeds = ", ".join(map(str, part["seeds"]))
    clips = len(part["clips"])
    return f"{clips} clip{'s' if clips > 1 else ''}, seed {seeds}; {part['machine']}; {part['date'][:10]}"


def _errors(part: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    curves = part["streaming_jf_per_seed"]
    for name, curve in curves.items():
        errors = [float(error) for error in curve]
        means = [sum(values) / len(values) for values in curve.values()]
        axes.plot(errors, means, "o-", color=_colour(name, list(curves)), label=LABELS.get(name, name), lw=2)
        low, high = ([pick(values) for values in curve.values()] for pick in (min, max))
        axes.fill_between(errors, low, high, color=_colour(name, list(curves)), alpha=0.15, lw=0)
    axes.set(xlabel="error of the gaze, px (sd of the bias)", ylabel="streaming J&F", ylim=(0, 1))
    axes.set_xticks(errors)
    axes.set_title("How well the newest mask fits the object now", fontsize=12)
    axes.legend()
    figure.supxlabel(_under(part) + "; bands: least and greatest seed", fontsize=8, color="#666666")
    return figure


def _clips(part: dict[str, Any]) -> Any:
    programs = part["programs"]
    names, clips = list(programs), part["clips"]
    figure, axes = plt.subplots(figsize=(1.9 + 1.35 * (len(clips) + 1), 4.2), layout="constrained")
    width = 0.8 / len(names)
    for k, name in enumerate(names):
        values = [sum(programs[name]["clips"][clip]) / 2 for clip in clips] + [programs[name]["streaming_jf"]]
        at = [i + (k - (len(names) - 1) / 2) * width for i in range(len(values))]
        bars = axes.bar(at, values, width * 0.92, color=_colour(name, names), label=LABELS.get(name, name))
        axes.bar_label(bars, [f"{v:.2f}"[1:] if v < 1 else "1" for v in values], fontsize=8, padding=1)
    axes.axvline(len(clips) - 0.5, color="#999999", lw=1)
    axes.set_xticks(range(len(clips) + 1), [*clips, "mean"])
    axes.grid(axis="x", visible=False)
    axes.set(ylabel="streaming J&F", ylim=(0, 1))
    axes.set_title(f"By clip, {part['noise_px']:g} px of gaze error", fontsize=12)
    figure.legend(ncols=len(names), loc="outside upper right")
    figure.supxlabel(_under(part), fontsize=8, color="#666666")
    return figure


def _latency(part: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(7, 4.8), layout="constrained")
    programs = {name: row for name, row in part["programs"].items() if row["frame_to_mask_ms_each_percent"]}
    for name, row in programs.items():
        times, middle = row["frame_to_mask_ms_each_percent"], row["frame_to_mask_ms"]
        label = f"{LABELS.get(name, name)}: {middle['p50']:.0f} / {middle['p95']:.0f} ms, {row['masks_per_s']:.0f} a s"
        axes.plot(times, range(1, 100), color=_colour(name, list(programs)), label=label, lw=2)
    axes.axvline(1000 / part["fps"], color="#999999", lw=1, ls="--")
    axes.annotate("one frame", (1000 / part["fps"], 3), xytext=(4, 0), textcoords="offset points", color="#666666")
    axes.set_xscale("log")
    ticks = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
    axes.set_xticks(list(ticks), [str(t) for t in ticks])
    axes.minorticks_off()
    axes.set(xlabel="from a frame to the first mask for it, ms", ylabel="share of these masks, %", ylim=(0, 100))
    axes.set_title("Latency (median / 95th percentile, masks a second)", fontsize=12)
    figure.legend(loc="outside upper left", fontsize=10)
    figure.supxlabel(_under(part), fontsize=8, color="#666666")
    return figure


def _switches(part: dict[str, Any]) -> Any:
    """Draw one row per program: IoU with the fixated object over a clip, coloured by the object under the mask."""
    programs = {name: row for name, row in part["programs"].items() if row["timeline"]}
    size = (9, 1.1 + 1.65 * len(programs))
    figure, rows = plt.subplots(len(programs), 1, figsize=size, sharex=True, squeeze=False, layout="constrained")
    for axes, (name, row) in zip(rows[:, 0], programs.items(), strict=True):
        line = row["timeline"]
        step = line["at_s"][1] - line["at_s"][0]
        for label, colour in SAT_ON.items():
            chosen = [k for k in range(len(line["at_s"])) if _sat(line, k) == label]
            at, tall = [line["at_s"][k] for k in chosen], [max(0.03, line["iou"][k]) for k in chosen]
            axes.bar(at, tall, step, color=colour)
        for before, after, at in zip(line["looked_at"], line["looked_at"][1:], line["at_s"][1:], strict=False):
            if before != after:
                axes.axvline(at - step / 2, color="black", lw=1.2)
        axes.set(ylim=(0, 1), ylabel="IoU")
        axes.grid(axis="x", visible=False)
        waits = row["first_right_ms"]
        late = "seldom a right mask after a saccade"
        if waits and waits["p50"] is not None:
            late = f"first right mask {waits['p50']:.0f} ms after a saccade (median)"
        wrong = f"on the wrong object {100 * (row['stale'] or 0):.0f} % of frames"
        axes.set_title(f"{LABELS.get(name, name)}: {late}; {wrong}", fontsize=10)
    rows[-1, 0].set_xlabel(f"seconds into {next(iter(programs.values()))['timeline']['clip']}; black: a saccade lands")
    handles = [Patch(color=colour, label=f"sits on {label}") for label, colour in SAT_ON.items()]
    figure.legend(handles=handles, ncols=3, loc="outside upper center", fontsize=9)
    figure.supxlabel(_under(part), fontsize=8, color="#666666")
    return figure


def _sat(line: dict[str, Any], k: int) -> str:
    if line["sits_on"][k] < 0:
        return "neither"
    return "the fixated object" if line["sits_on"][k] == line["looked_at"][k] else "the other object"


def _late(part: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for k, (name, curve) in enumerate(part["streaming_jf"].items()):
        late = [int(frames) for frames in curve]
        upper = "upper bound" in name
        axes.plot(late, list(curve.values()), "--" if upper else "o-", color="#777777" if upper else COLOURS[k],
                  label=name, lw=2)  # fmt: skip
    axes.set(xlabel="frames that encoding takes", ylabel="J&F", ylim=(0, 1))
    axes.set_xticks(late)
    axes.set_title("Against the encoder's time, stepped frame by frame", fontsize=12)
    axes.legend(fontsize=9)
    figure.supxlabel(_under(part), fontsize=8, color="#666666")
    return figure


def _reliability(part: dict[str, Any]) -> Any:
    """Draw the share of right masks against `confidence`; the area of a point is its number of masks."""
    figure, axes = plt.subplots(figsize=(5.6, 5.2), layout="constrained")
    axes.plot([0, 1], [0, 1], "--", color="#777777", lw=1)
    for k, row in enumerate(part["rows"]):
        bins = [each for each in row["calibration"]["bins"] if each["count"]]
        name = "" if row["settings"] == "whole" else f"{row['settings']}, "
        label = f"{name}{row['error_px']:g} px, {row['encode_frames']} frames: {row['calibration']['error']:.2f}"
        x, y, sizes = zip(*((each["confidence"], each["right"], 4 * each["count"]) for each in bins), strict=True)
        axes.plot(x, y, "-", color=COLOURS[k % len(COLOURS)], lw=1, label=label)
        axes.scatter(x, y, sizes, color=COLOURS[k % len(COLOURS)], alpha=0.6, lw=0)
    axes.set(xlabel="confidence", ylabel="share of right masks (IoU of at least 0.5)", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("Is the confidence right? Error of the gaze, encoder: ECE", fontsize=12)
    axes.legend(fontsize=9, loc="upper left")
    looks = " and ".join(str(row["looks"]) for row in part["rows"])
    under = f"{looks} fixations on stills; {part['device']}; {part['date'][:10]}"
    figure.supxlabel(under, fontsize=8, color="#666666")
    return figure


def _ablations(part: dict[str, Any]) -> Any:
    """What changes without each part: a bar for each figure that is to be drawn."""
    rows: dict[str, dict[str, float]] = part["rows"]
    whole = rows["whole"]
    names = [name for name in rows if name != "whole"]
    columns = [(key, part["columns"][key]) for key in part["drawn"] if whole.get(key) is not None]
    size = (3.0 + 2.3 * len(columns), 1.6 + 0.3 * len(names))
    figure, panes = plt.subplots(1, len(columns), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axes, (key, label) in zip(panes[0], columns, strict=True):
        change = [(rows[name].get(key) or 0.0) - whole[key] for name in names]
        worse = [(c < 0) == (key not in part["less_is_better"]) for c in change]
        colours = ["#D55E00" if w else "#009E73" for w in worse]
        axes.barh(range(len(names)), change, color=colours)
        axes.axvline(0, color="black", lw=1)
        axes.set_title(f"{label}\nwhole: {whole[key]:g}", fontsize=9)
        axes.margins(x=0.15)
        axes.tick_params(axis="x", labelsize=8)
        axes.locator_params(axis="x", nbins=4)
    panes[0, 0].set_yticks(range(len(names)), [f"without {name}" for name in names])
    panes[0, 0].invert_yaxis()
    figure.supxlabel("change when one part is off; orange is worse.  " + _under(part), fontsize=8, color="#666666")
    return figure
