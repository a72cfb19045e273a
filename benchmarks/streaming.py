"""Measures how well the newest mask fits the object now, of programs that are played video and gaze in real time.

    python -m benchmarks.streaming --data CLIPS [--parts fit errors switches] [--seeds 1 2 3] [--out FILE.json]
    python -m benchmarks.streaming --draw docs          # only draw the figures of --out again

CLIPS holds NAME/frames/*.jpg and NAME/masks/*.png (a mask on every frame, as in DAVIS). Programs are measured in turn,
seed by seed, so that all of them share the same minutes: `gazecast`, `disc` (no model: a disc of 100 px around the
gaze), `stock` (newest frame, encode, newest gaze, decode, with the published graphs in ONNX Runtime), and those of
--program NAME='COMMAND with {source} and {publish}'. The machine must have no other load.

fit: streaming J&F (`streaming_eval.scoring`), each mask on its own frame, stability (`steady`), latency.
errors: streaming J&F against the error of the gaze. switches: two clips side by side, between which the gaze switches.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.streaming_eval import figures, gaze_switches, scoring, stability
from benchmarks.streaming_eval.clips import Clip, load_clips, pair_neighbours
from benchmarks.streaming_eval.device import NoMasksError
from benchmarks.streaming_eval.gaze import simulate_gaze
from benchmarks.streaming_eval.playback import MaskArrival, PlaybackLog
from benchmarks.streaming_eval.programs import (
    CommandProgram,
    DiscProgram,
    MeasuredProgram,
    StockProgram,
    measure_program,
)
from engines import EngineError, weights

RESULTS = Path(__file__).parent / "results" / "streaming.json"
PARTS = ("fit", "errors", "switches")
OURS = shlex.quote(sys.executable) + " -m realtime run --source {source} --publish {publish}"
PAIR_S = 6.0

ProgramFactory = Callable[[], MeasuredProgram]
StreamingRun = tuple[PlaybackLog, list[MaskArrival]]


def make_programs(args: argparse.Namespace) -> dict[str, ProgramFactory]:
    """Return name -> function that makes the program."""
    made: dict[str, ProgramFactory] = {"disc": lambda: DiscProgram(args.disc_px)}
    if "stock" in args.programs:
        try:
            folder = args.stock or weights.model_folder("mobile_sam")
        except EngineError as error:
            raise SystemExit(f"stock: {error}, or leave it out with --programs disc gazecast") from None
        made["stock"] = lambda: StockProgram(folder)
    made["gazecast"] = lambda: CommandProgram(OURS)
    chosen = {name: make for name, make in made.items() if name in args.programs}
    for pair in args.program:
        name, equals, command = pair.partition("=")
        if not equals:
            raise SystemExit(f"--program wants NAME=COMMAND, got {pair!r}")
        chosen[name] = lambda command=command: CommandProgram(command)  # type: ignore[misc]
    return chosen


def run_alternately(
    chosen: dict[str, ProgramFactory],
    clips: Sequence[Clip],
    args: argparse.Namespace,
    noise_px: float,
    seeds: Sequence[int],
) -> dict[str, list[StreamingRun]]:
    """Run every program once per seed."""
    runs: dict[str, list[StreamingRun]] = {name: [] for name in chosen}
    for seed in seeds:
        gaze = {clip.name: simulate_gaze(clip, args.fps, noise_px, seed) for clip in clips}
        for name, make in chosen.items():
            print(f"{name}, {noise_px:g} px, seed {seed}", file=sys.stderr, flush=True)
            try:
                runs[name].append(measure_program(make(), clips, gaze, args.fps, seed, args.ready_s))
            except NoMasksError as error:
                raise SystemExit(f"{name}: {error}") from None
    return runs


def measure_single_objects(runs: Sequence[StreamingRun]) -> dict[str, Any]:
    """Summarize one program's runs on clips with one object."""
    values = [value for run in runs for value in stability.score_stability(*run)]
    return scoring.pool_scores([scoring.score_playback(*run) for run in runs]) | {
        "stability": scoring.round_or_none(sum(values) / len(values)) if values else None
    }


def measure_gaze_switches(runs: Sequence[StreamingRun]) -> dict[str, Any]:
    """Summarize one program's runs on clips with two objects."""
    found = scoring.pool_scores([scoring.score_playback(*run) for run in runs])
    return {"streaming_jf": found["streaming_jf"]} | gaze_switches.pool_switches(
        [gaze_switches.score_switches(*run) for run in runs]
    )


def measure_part(part: str, args: argparse.Namespace, chosen: dict[str, ProgramFactory]) -> dict[str, Any]:
    """Measure one part of the results, as JSON."""
    clips = load_clips(args.data, args.only)
    head = {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "fps": args.fps, "seeds": args.seeds,
        "clips": [clip.name for clip in clips],
    }  # fmt: skip
    if part == "fit":
        runs = run_alternately(chosen, clips, args, args.noise_px, args.seeds)
        return head | {
            "noise_px": args.noise_px,
            "programs": {name: measure_single_objects(of) for name, of in runs.items()},
        }
    if part == "switches":
        pairs = pair_neighbours(clips, round(PAIR_S * args.fps))
        runs = run_alternately(chosen, pairs, args, args.noise_px, args.seeds)
        return head | {
            "noise_px": args.noise_px,
            "programs": {name: measure_gaze_switches(of) for name, of in runs.items()},
        }
    curves: dict[str, dict[str, list[float]]] = {name: {} for name in chosen}
    for error_px in args.errors_px:
        for name, of in run_alternately(chosen, clips, args, error_px, args.seeds).items():
            curves[name][f"{error_px:g}"] = [scoring.round_or_none(scoring.score_playback(*run).jf) for run in of]
    return head | {"streaming_jf_per_seed": curves}


def format_table(results: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    lines: list[str] = []
    keys: tuple[str, ...]

    def add(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        lines.extend(["", f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"])
        lines.extend("| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in rows)

    def ms(found: dict[str, float | None] | None) -> str:
        return " / ".join("-" if found[p] is None else f"{found[p]:.0f}" for p in ("p50", "p95")) if found else ""

    if "fit" in results:
        keys = ("streaming_jf", "j", "f", "own_frame_j", "stability", "frames_masked", "masks_per_s")
        add("fit", [*keys, "frame to mask p50 / p95, ms"], [
            [name, *(row[key] for key in keys), ms(row["frame_to_mask_ms"])]
            for name, row in results["fit"]["programs"].items()
        ])  # fmt: skip
    if "errors" in results:
        curves = results["errors"]["streaming_jf_per_seed"]
        errors = list(next(iter(curves.values())))
        means = {name: [f"{sum(curve[e]) / len(curve[e]):.3f}" for e in errors] for name, curve in curves.items()}
        add("streaming J&F, gaze error px", errors, [[name, *row] for name, row in means.items()])
    if "switches" in results:
        keys = ("streaming_jf", "saccades", "never_right", "stale", "elsewhere", "strays", "renamed", "recalled")
        add("switches", [*keys, "first right p50 / p95, ms"], [
            [name, *(row[key] for key in keys), ms(row["first_right_ms"])]
            for name, row in results["switches"]["programs"].items()
        ])  # fmt: skip
    return "\n".join(lines)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="CLIPS")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="clips to use")
    parser.add_argument("--programs", nargs="*", choices=("disc", "stock", "gazecast"),
                        default=["disc", "stock", "gazecast"])  # fmt: skip
    parser.add_argument("--program", action="append", default=[], metavar="NAME=COMMAND", help="one more")
    parser.add_argument("--stock", type=Path, metavar="DIR", help="encoder.onnx and sam.onnx (default: the cache)")
    parser.add_argument("--disc-px", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--fps", type=float, default=24.0)
    parser.add_argument("--noise-px", type=float, default=10.0, help="error of the gaze (sd)")
    parser.add_argument("--errors-px", type=float, nargs="*", default=[0.0, 5.0, 10.0, 20.0, 40.0])
    parser.add_argument("--ready-s", type=float, default=180.0, help="longest wait for a first mask")
    parser.add_argument("--out", type=Path, default=RESULTS, help="parts that are not measured keep their results")
    parser.add_argument("--draw", type=Path, metavar="DIR", help="where to draw the figures; without --data only that")
    return parser


def main() -> None:
    args = build_parser().parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.data is not None:
        chosen = make_programs(args)
        for part in args.parts:
            results[part] = measure_part(part, args, chosen)
            # After every part, so that an error in the next one does not lose an hour of measuring.
            args.out.write_text(json.dumps(results, indent=1) + "\n")
    elif args.draw is None or not results:
        raise SystemExit("nothing to do: give --data CLIPS to measure, or --draw DIR and an --out with figures")
    print(format_table(results))
    if args.draw is not None:
        for path in figures.draw(results, args.draw):
            print(path)


if __name__ == "__main__":
    main()
