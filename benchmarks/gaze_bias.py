"""Measures how much accuracy masks lose to a biased eye tracker, and how much its calibration restores.

The calibration is made as by a user: `gazecast calibrate gaze` against a virtual wearer whose tracker has the
same bias and noise. Then clips (as for `benchmarks.tracker_ablation`) are played with gaze that is shifted by it.

    python -m benchmarks.gaze_bias --data CLIPS                                stepped, without real time
    python -m benchmarks.gaze_bias --data CLIPS --bench PATH/streaming.py      in real time, by a benchmark that plays
        clips over the wire; the file is imported unchanged, and only the gaze that it sends is shifted
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.streaming_eval import scoring
from benchmarks.streaming_eval.clips import Clip, load_clips
from benchmarks.streaming_eval.gaze import simulate_gaze
from benchmarks.streaming_eval.playback import PlaybackLog
from benchmarks.streaming_eval.stepped_replay import (
    EncodingCache,
    RememberingDecoder,
    SteppedRun,
    StepResult,
    replay_stepped,
)
from engines import Decoder, EngineSettings, weights
from engines import load as load_engine
from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip
from realtime.simulation.device import SimulatedTracker
from realtime.sources.calibrated import CalibratedGaze, load_gaze_calibration
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker
from realtime.types import Frame, GazeSample, GazeSource, OnEvent, OnGaze, SourceStatus

RUN = f"{shlex.quote(sys.executable)} -m realtime run --source {{source}} --publish {{publish}}"
GazeShift = tuple[float, float]


class BiasedTracker:
    """A tracker whose gaze is shifted by `shift` px and corrected by a calibration, if there is one."""

    def __init__(self, decoder: Decoder, shift: GazeShift, file: Path | None) -> None:
        self._now_ns, self._shift = 0, shift
        self._tracker = Tracker(decoder, lambda: self._now_ns, frame_time=True)
        self._gaze = (
            CalibratedGaze(_SilentSource(), load_gaze_calibration(file).calibration) if file is not None else None
        )

    def step(self, frame: Frame, samples: Sequence[GazeSample], keyframe: Keyframe | None) -> StepResult | None:
        """Step one frame."""
        self._now_ns = frame.captured_ns
        shifted = [replace(s, x=s.x + self._shift[0], y=s.y + self._shift[1]) for s in samples]
        if self._gaze is not None:
            shifted = [self._gaze.correct(s) for s in shifted]
        should_encode = self._tracker.should_encode(frame)
        track = self._tracker.step(frame, shifted, keyframe)
        if track.result is None:
            return StepResult(None, 0.0, None, should_encode)
        if self._gaze is not None:
            self._gaze.learn_from_mask(replace(track.result, carried_ms=0.0), frame.captured_ns)
        message = track.result
        return StepResult(message.mask, message.gaze.timestamp, message.object, should_encode)


class _SilentSource(GazeSource):
    """A source that is never started."""

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """Stop nothing."""

    def status(self) -> SourceStatus:
        """Return the status of a source without samples."""
        return SourceStatus("waiting")


def measure_stepped(clips: Sequence[Clip], files: dict[GazeShift, Path], args: argparse.Namespace) -> dict[str, Any]:
    """Compute condition -> streaming J&F, with an encoder whose latency is `args.taking` frames."""
    settings = EngineSettings()
    encoder, decoder = load_engine(settings, weights.model_folder(settings.model), frame_size=clips[0].size)
    remembering = RememberingDecoder(decoder)
    conditions: dict[str, tuple[GazeShift, Path | None]] = {"unbiased": ((0.0, 0.0), None)}
    for bias, file in files.items():
        conditions |= {f"biased {bias}": (bias, None), f"calibrated {bias}": (bias, file)}
    runs = {name: [SteppedRun(PlaybackLog(args.fps)) for _ in args.seeds] for name in conditions}
    for clip in clips:
        encodings = EncodingCache(encoder, clip)
        for number, seed in enumerate(args.seeds):
            gaze = simulate_gaze(clip, args.fps, args.noise_px, seed)
            for name, (shift, used) in conditions.items():

                def make(inner: Decoder, _: Clip, shift: GazeShift = shift, used: Path | None = used) -> BiasedTracker:
                    return BiasedTracker(inner, shift, used)

                replay_stepped(runs[name][number], clip, gaze, encodings, remembering, make, args.taking)
        remembering.forget()
        print(clip.name, file=sys.stderr, flush=True)
    scores = {name: [scoring.score_playback(s.played, s.arrivals) for s in each] for name, each in runs.items()}
    return {
        name: {
            "streaming_jf": scoring.round_or_none(np.mean([fit.jf for fit in each])),
            "per_seed": [scoring.round_or_none(fit.jf) for fit in each],
            "clips": scoring.pool_scores(each)["clips"],
        }
        for name, each in scores.items()
    }


def measure_in_real_time(path: Path, files: dict[GazeShift, Path], args: argparse.Namespace) -> dict[str, Any]:
    """Compute condition -> streaming J&F with the benchmark at `path`."""
    bench = _import_module(path)
    clips = bench.load(str(args.data), args.only)
    conditions: dict[str, tuple[GazeShift, str]] = {"unbiased": ((0.0, 0.0), "")}
    for bias, file in files.items():
        corrected = f"--calibration {shlex.quote(str(file))}"
        conditions |= {f"biased {bias}": (bias, ""), f"calibrated {bias}": (bias, corrected)}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in conditions}
    for seed in args.seeds:  # alternating, so that other load affects all conditions
        for name, (shift, flags) in conditions.items():
            runs[name].append(_run_once(bench, clips, shift, f"{RUN} {args.more} {flags}", seed, args))
            print(f"seed {seed}  {name:26} {runs[name][-1].get('streaming_jf')}", file=sys.stderr, flush=True)
    if failed := [run for each in runs.values() for run in each if "streaming_jf" not in run]:
        sys.exit(f"a run failed: {failed}")
    return {
        name: {
            "streaming_jf": round(float(np.mean([run["streaming_jf"] for run in each])), 3),
            "per_seed": [run["streaming_jf"] for run in each],
        }
        for name, each in runs.items()
    }


def _import_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("streaming", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run_once(
    bench: Any, clips: Any, shift: GazeShift, command: str, seed: int, args: argparse.Namespace
) -> dict[str, Any]:
    unshifted = bench.gaze_trace
    bench.gaze_trace = lambda *how: unshifted(*how) + np.array(shift)
    settings = SimpleNamespace(
        cmd=command, baseline=None, disc=None, fps=args.fps, noise_px=args.noise_px, ready_s=180.0
    )
    try:
        found: dict[str, Any] = bench.once(settings, clips, seed)
        return found
    finally:
        bench.gaze_trace = unshifted


def make_calibration(file: Path, size: tuple[int, int], bias: GazeShift, noise_px: float) -> Path:
    """Make the calibration of a wearer whose tracker has that bias."""
    device = SimulatedTracker(TargetClip(9, size), port=0, noise_px=noise_px, error=SimulatedBias(bias))
    device.start()
    try:
        command = [sys.executable, "-m", "realtime", "calibrate", "gaze", "--headless", "--out", str(file)]
        subprocess.run([*command, "--source", f"pupil://127.0.0.1:{device.port}"], check=True, stdout=sys.stderr)
    finally:
        device.stop()
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="CLIPS")
    parser.add_argument("--bench", type=Path, metavar="streaming.py")
    parser.add_argument("--bias-px", type=float, default=30.0)
    parser.add_argument("--angles", type=float, nargs="+", default=[0, 90, 180, 270], help="of the bias, degrees from "
                        "right, clockwise (default 0 90 180 270)")  # fmt: skip
    parser.add_argument("--noise-px", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=24.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--taking", type=int, default=4, help="stepped: frames that encoding takes (default 4)")
    parser.add_argument("--more", default="", help="in real time: flags for gazecast run, such as '--engine fake'")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the calibrations, and their reports, here")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    args = parser.parse_args()
    clips = load_clips(args.data, args.only)
    sizes = {clip.size for clip in clips}
    if len(sizes) > 1:
        sys.exit(f"a calibration belongs to one resolution; the clips have {sorted(sizes)}: choose with --only")
    angles = [math.radians(angle) for angle in args.angles]
    biases = [(round(args.bias_px * math.cos(t), 1), round(args.bias_px * math.sin(t), 1)) for t in angles]
    with tempfile.TemporaryDirectory() as folder:
        root = args.keep or Path(folder)
        files = {
            bias: make_calibration(root / f"gaze-{number}.json", clips[0].size, bias, args.noise_px)
            for number, bias in enumerate(biases)
        }
        out = measure_in_real_time(args.bench, files, args) if args.bench else measure_stepped(clips, files, args)
    for kind in ("biased", "calibrated"):
        of_kind = [each["streaming_jf"] for name, each in out.items() if name.startswith(kind)]
        out[f"{kind}, all directions"] = {"streaming_jf": round(float(np.mean(of_kind)), 3), "per_seed": of_kind}
    for name, each in out.items():
        print(f"{name:28} J&F {each['streaming_jf']:.3f}   {each['per_seed']}")
    settings = {"bias_px": args.bias_px, "noise_px": args.noise_px, "seeds": args.seeds, "taking": args.taking}
    if args.out:
        args.out.write_text(json.dumps(settings | out, indent=1) + "\n")


if __name__ == "__main__":
    main()
