"""Measures what each part of the tracker contributes, on clips stepped frame by frame without real time.

    python -m benchmarks.tracker_ablation --data CLIPS [--parts late ablations] [--out FILE.json] [--draw docs]

CLIPS holds NAME/frames/*.jpg and NAME/masks/*.png (a mask on every frame, as in DAVIS). Scored as `streaming` is.
--composed STILLS adds clips in which a labelled still's object moves over another still (`compose_clips`); they are
reported apart, as a check on what was tuned on the filmed ones. --cache FOLDER keeps embeddings for later runs.

late: J&F against the frames that encoding takes, for the tracker and for baselines; of the tracker also the stability,
own-frame J, and CPU time of every part of a step.
ablations: the tracker with one part off at a time, encoding taking --taking frames: J&F, stability, CPU time of a step
without its decodes (they are counted), and on clips side by side its behaviour when the gaze moves to
another object (`benchmarks.streaming_eval.gaze_switches`). --try NAME=KEY=VALUE[,KEY=VALUE] adds a row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.streaming_eval import figures, gaze_switches, scoring, stability
from benchmarks.streaming_eval.clips import Clip, load_clips, pair_neighbours
from benchmarks.streaming_eval.composed_clips import compose_clips
from benchmarks.streaming_eval.embedding_cache import EmbeddingCache
from benchmarks.streaming_eval.gaze import simulate_gaze
from benchmarks.streaming_eval.playback import PlaybackLog
from benchmarks.streaming_eval.recognition import SteppedRecognizer, add_recognition_flag
from benchmarks.streaming_eval.step_profile import Method, StepProfile
from benchmarks.streaming_eval.stepped_replay import (
    ClickMethod,
    EncodingCache,
    RememberingDecoder,
    SteppedMethod,
    SteppedRun,
    TrackerMethod,
    replay_stepped,
)
from engines import Decoder, Encoder, EngineSettings, weights
from engines import load as load_engine
from realtime.config.loader import merge_settings
from realtime.tracking.dwell.state_machine import DwellStateMachine
from realtime.tracking.gaze.gaze_filter import GazeFilter
from realtime.tracking.mask_carrier import MaskCarrier
from realtime.tracking.mask_decoding import GazeMaskDecoder
from realtime.tracking.mask_preview import MaskPreviewer
from realtime.tracking.mask_refinement import MaskRefiner
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompter import MaskPrompter
from realtime.tracking.tracker import Tracker, TrackerSettings

RESULTS = Path(__file__).parent / "results" / "tracker_ablation.json"
PAIR_S = 6.0
MethodFactory = Callable[[Decoder, Clip], SteppedMethod]

ABLATIONS: dict[str, dict[str, Any]] = {
    "agreement with the previous mask": {"choice.agreement": 0.0},
    "coverage of the gaze": {"choice.coverage": 0.0},
    "runaway penalty": {"choice.runaway": 0.0},
    "common fate": {"choice.fate": 0.0},
    "vote": {"prompter.voters": 0},
    "part and whole by the gaze": {"dwell.steps": False},
    "prompt at the fixation": {"prompter.keyframe_gaze_s": 0.0},
    "one result per fixation": {"prompter.reprompt_radii": 0.0},
    "removal of small regions": {"clean.speck": 0.0},
    "blink gate": {"gaze.min_confidence": 0.0, "gaze.blink_before_s": 0.0, "gaze.blink_after_s": 0.0},
    "saccades": {"gaze.saccade_deg_per_s": 1e6},
    "median of a fixation": {"gaze.window_s": 0.005},
    "One Euro": {"gaze.min_cutoff_hz": 1e6},
    "flow the other way": {"motion.doubt_trust": 0.0},
    "cuts": {"motion.cut_trust": 0.0, "motion.cut_histogram": []},
    "starts from a pan": {"motion.pan_share": 9.0},
    "preview dwell": {"dwell.preview_s": 0.0},
    "hysteresis of a switch": {"dwell.switch_s": 0.0},
    "memory of objects": {"dwell.remember": 0},
    "skipping of unchanged frames": {"keyframes.changed_levels": 0.0},
}
"""Part -> settings that disable it."""
COLUMNS = {
    "jf": "J&F", "stability": "stability", "switch_jf": "J&F, two objects", "first_right_ms": "first right, ms",
    "stale": "on the wrong object", "strays": "strays per fixation", "renamed": "id changes per fixation",
    "elsewhere": "on neither", "recalled": "ids recalled", "decodes": "decodes per frame",
    "step_ms": "CPU ms per frame",
}  # fmt: skip
MORE_CURVES = {"own_frame_j": "own-frame J", "stability": "stability"}
DRAWN = ("jf", "stability", "switch_jf", "first_right_ms", "step_ms")
LESS_IS_BETTER = ("first_right_ms", "stale", "elsewhere", "strays", "renamed", "decodes", "step_ms")


def change_settings(changes: dict[str, Any], name: str) -> TrackerSettings:
    """Make settings with "section.key": value over the defaults; raises `SettingsError` for an unknown key."""
    tree: dict[str, Any] = {}
    for key, value in changes.items():
        *sections, leaf = key.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[leaf] = value
    return merge_settings(TrackerSettings(), tree, f"without {name}")


def make_tracker_method(settings: TrackerSettings) -> MethodFactory:
    return lambda decoder, clip: TrackerMethod(decoder, settings)


def make_click_method(method: Any) -> MethodFactory:
    return lambda decoder, clip: ClickMethod(decoder, method, clip.objects[0])


STEP_PARTS: dict[str, tuple[Method, ...]] = {
    "flow": ((FlowHistory, "push"),),
    "chains": ((FlowHistory, "chain"), (FlowHistory, "back")),
    "gaze": ((GazeFilter, "update"), (GazeFilter, "estimate"), (GazeFilter, "move")),
    "prompts": ((MaskPrompter, "decode_gaze"), (MaskPrompter, "decode_mask_prompt")),
    "votes": ((MaskPrompter, "vote"),),
    "selection": ((GazeMaskDecoder, "decode"),),
    "edges": ((MaskRefiner, "refine"),),
    "carrying": ((MaskCarrier, "carry"),),
    "previews": ((MaskPreviewer, "preview"),),
    "dwell": ((DwellStateMachine, "update"), (DwellStateMachine, "move")),
    "rest": ((Tracker, "step"), (Tracker, "refine"), (Tracker, "prepare")),
}
"""Methods whose own time is a part of a step; decodes count to the part that asks for them."""
METHODS: dict[str, MethodFactory] = {
    "gazecast": make_tracker_method(TrackerSettings()),
    "warped by flow, top-scored mask": make_click_method("warped"),
    "the old frame's mask on the new frame": make_click_method("old"),
    "best of four candidates (an upper bound)": make_click_method("best"),
}


def replay_methods(
    clips: Sequence[Clip], makes: dict[tuple[str, int], MethodFactory], args: argparse.Namespace,
    engine: tuple[Encoder, RememberingDecoder],
) -> dict[tuple[str, int], list[SteppedRun]]:  # fmt: skip
    """Step every (name, latency of encoding in frames) through all clips; one `SteppedRun` per seed."""
    out: dict[tuple[str, int], list[SteppedRun]] = {key: [] for key in makes}
    encoder, decoder = engine
    for key in makes:
        out[key] = [SteppedRun(PlaybackLog(args.fps)) for _ in args.seeds]
    for clip in clips:
        encodings = EncodingCache(encoder, clip, SteppedRecognizer(args.recognize_every))
        for k, seed in enumerate(args.seeds):
            gaze = simulate_gaze(clip, args.fps, args.noise_px, seed)
            for key, make in makes.items():
                replay_stepped(out[key][k], clip, gaze, encodings, decoder, make, key[1])
        decoder.forget()
        print(clip.name, file=sys.stderr, flush=True)
    return out


def measure_late(
    clips: Sequence[Clip], args: argparse.Namespace, engine: tuple[Encoder, RememberingDecoder]
) -> dict[str, Any]:
    methods = ["gazecast"] if args.tracker_only else list(METHODS)
    runs: dict[tuple[str, int], list[SteppedRun]] = {}
    parts_ms: dict[str, dict[str, float]] = {}
    for e in args.late:
        profile = StepProfile()
        with profile.measure(STEP_PARTS):
            runs |= replay_methods(clips, {("gazecast", e): METHODS["gazecast"]}, args, engine)
        steps = sum(len(run.step_ms) for run in runs["gazecast", e])
        spent = {part: spent_s * 1e3 / steps for part, spent_s in profile.spent_s.items()}
        spent["decodes"] = sum(run.decode_ms for run in runs["gazecast", e]) / steps
        parts_ms[str(e)] = {part: scoring.round_or_none(ms, 2) for part, ms in spent.items()}
    others = [name for name in methods if name != "gazecast"]
    runs |= replay_methods(clips, {(name, e): METHODS[name] for name in others for e in args.late}, args, engine)
    fits = {
        key: scoring.pool_scores([scoring.score_playback(s.played, s.arrivals) for s in of]) for key, of in runs.items()
    }
    steady = {
        str(e): scoring.round_or_none(
            np.mean([v for run in runs["gazecast", e] for v in stability.score_stability(run.played, run.arrivals)])
        )
        for e in args.late
    }
    return {
        "streaming_jf": {method: {str(e): fits[method, e]["streaming_jf"] for e in args.late} for method in methods},
        "own_frame_j": {str(e): fits["gazecast", e]["own_frame_j"] for e in args.late},
        "stability": steady,
        "parts_ms": parts_ms,
        "clips_jf": {f"{method}, {e}": found["clips"] for (method, e), found in fits.items()},
    }


def measure_ablations(
    clips: Sequence[Clip], args: argparse.Namespace, engine: tuple[Encoder, RememberingDecoder]
) -> dict[str, Any]:
    variants = {"whole": {}, **ABLATIONS, **parse_variants(args.trying)}
    makes = {
        (name, args.taking): make_tracker_method(change_settings(changes, name)) for name, changes in variants.items()
    }
    single = replay_methods(clips, makes, args, engine)
    pairs = pair_neighbours(clips, round(PAIR_S * args.fps))[::2] if len(clips) > 1 else []
    double = replay_methods(pairs, makes, args, engine)
    rows = {
        name: summarize_ablation(single[name, args.taking], double[name, args.taking] if pairs else [])
        for name in variants
    }
    return {
        "taking": args.taking, "columns": COLUMNS, "drawn": DRAWN, "less_is_better": LESS_IS_BETTER, "rows": rows,
        "settings": {name: changes for name, changes in variants.items() if name != "whole"},
    }  # fmt: skip


def summarize_ablation(single: Sequence[SteppedRun], double: Sequence[SteppedRun]) -> dict[str, Any]:
    """Summarize one ablation."""
    steadiness = [value for s in single for value in stability.score_stability(s.played, s.arrivals)]
    steps = [ms for s in single for ms in s.step_ms]
    found: dict[str, Any] = {
        "jf": scoring.pool_scores([scoring.score_playback(s.played, s.arrivals) for s in single])["streaming_jf"],
        "stability": scoring.round_or_none(np.mean(steadiness)),
        "decodes": scoring.round_or_none(sum(s.decodes for s in single) / len(steps), 2),
        "step_ms": scoring.round_or_none(np.median(steps), 1),
    }
    if double:
        switches = gaze_switches.pool_switches([gaze_switches.score_switches(s.played, s.arrivals) for s in double])
        found |= {key: switches[key] for key in ("stale", "elsewhere", "strays", "renamed", "recalled", "never_right")}
        found["first_right_ms"] = switches["first_right_ms"]["p50"]
        found["switch_jf"] = scoring.pool_scores([scoring.score_playback(s.played, s.arrivals) for s in double])[
            "streaming_jf"
        ]
    return found


def parse_variants(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parse NAME=KEY=VALUE,KEY=VALUE into {NAME: {KEY: VALUE}}, values as in TOML."""
    out = {}
    for text in texts:
        name, _, pairs = text.partition("=")
        lines = [pair.partition("=") for pair in pairs.split(",")]
        out[name] = {key.strip(): tomllib.loads(f"value = {value}")["value"] for key, _, value in lines}
    return out


def format_table(results: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    lines = []
    for part in [name for name in ("late", "late_composed") if name in results]:
        found = results[part]
        curves = {f"J&F, {method}": curve for method, curve in found["streaming_jf"].items()}
        curves |= {name: found[key] for key, name in MORE_CURVES.items() if key in found}
        for e, parts_ms in found.get("parts_ms", {}).items():
            for name, ms in parts_ms.items():
                curves.setdefault(f"{name}, ms", {})[e] = ms
        frames = next(iter(curves.values()))
        lines += ["", f"| {part}: frames that encoding takes | " + " | ".join(frames) + " |"]
        lines += ["|---" * (len(frames) + 1) + "|"]
        lines += [
            f"| {name} | " + " | ".join(f"{v:.3f}" for v in curve.values()) + " |" for name, curve in curves.items()
        ]
    if "ablations" in results:
        part = results["ablations"]
        lines += ["", "| without | " + " | ".join(part["columns"].values()) + " |"]
        lines += ["|---" * (len(part["columns"]) + 1) + "|"]
        for name, found in part["rows"].items():
            cells = ["" if found.get(key) is None else f"{found[key]:g}" for key in part["columns"]]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="CLIPS")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="default: the cache")
    parser.add_argument("--parts", nargs="*", choices=("late", "ablations"), default=["late", "ablations"])
    parser.add_argument("--composed", type=Path, metavar="STILLS", help="labelled stills to compose more clips from")
    parser.add_argument("--composed-clips", type=int, default=6, metavar="N")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="where embeddings are kept, 0.6 MB each")
    parser.add_argument("--tracker-only", action="store_true", help="leave the baselines out")
    parser.add_argument("--precision", default="auto", help="of the encoder; f32 is the same on every machine")
    parser.add_argument("--picture-side", type=int, default=0, metavar="PX")
    add_recognition_flag(parser)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="clips to use")
    parser.add_argument("--late", type=int, nargs="*", default=[1, 2, 4, 8, 16, 24])
    parser.add_argument("--taking", type=int, default=4, help="frames that encoding takes in the ablations")
    parser.add_argument("--try", dest="trying", action="append", default=[], metavar="NAME=KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--fps", type=float, default=24.0)
    parser.add_argument("--noise-px", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="parts that are not measured keep their results")
    parser.add_argument("--draw", type=Path, metavar="DIR", help="where to draw the figures; without --data only that")
    return parser


def main() -> None:
    args = build_parser().parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.data is not None:
        cv2.setNumThreads(1)
        clips = load_clips(args.data, args.only)
        settings = EngineSettings(decoder_threads=1, precision=args.precision, picture_side=args.picture_side)
        folder = args.weights or weights.model_folder("mobile_sam")
        encoder, decoder = load_engine(settings, folder, frame_size=clips[0].size)
        engine = EmbeddingCache(encoder, args.cache), RememberingDecoder(decoder)
        head = {
            "date": datetime.now(UTC).isoformat(timespec="minutes"),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {encoder.info.device}, {encoder.info.precision}",
            "seeds": args.seeds, "noise_px": args.noise_px, "fps": args.fps,
        }  # fmt: skip
        measured = [(part, clips, measure_late if part == "late" else measure_ablations) for part in args.parts]
        if args.composed is not None:
            measured.append(("late_composed", compose_clips(args.composed, args.composed_clips), measure_late))
        for part, of, measure in measured:
            results[part] = head | {"clips": [clip.name for clip in of]} | measure(of, args, engine)
            args.out.write_text(json.dumps(results, indent=1) + "\n")
    elif args.draw is None or not results:
        raise SystemExit("nothing to do: give --data CLIPS to measure, or --draw DIR and an --out with figures")
    print(format_table(results))
    if args.draw is not None:
        for path in figures.draw(results, args.draw):
            print(path)


if __name__ == "__main__":
    main()
