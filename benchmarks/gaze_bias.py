"""Streaming J&F with a tracker that is off, with and without its calibration.

The streaming benchmark (a file that plays clips over the wire and scores the masks) is imported as it is; only the gaze
that it sends is shifted. The calibration is made as a user makes it: `gazecast calibrate gaze` against a virtual wearer
whose tracker has the same bias.

    python benchmarks/gaze_bias.py --bench PATH/streaming.py --data CLIPS
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

from realtime.simulate import Simulator
from realtime.wearer import EyeError, TargetClip

RUN = f"{sys.executable} -m realtime run --source {{source}} --publish {{publish}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=Path, required=True, metavar="streaming.py")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--bias", type=float, nargs=2, default=(24.0, -18.0), metavar=("X", "Y"), help="px (default 30)"
    )
    parser.add_argument("--noise-px", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=24.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--more", default="", help="flags for gazecast run, such as '--engine fake'")
    parser.add_argument("--calibration", type=Path, help="one that is there, instead of making one")
    args = parser.parse_args()
    bench = loaded(args.bench)
    clips = bench.load(str(args.data), args.only)
    sizes = {mask.shape[::-1] for _, _, masks in clips for mask in masks[:1]}
    if len(sizes) > 1:
        sys.exit(f"a calibration belongs to one resolution; the clips have {sorted(sizes)}: choose with --only")
    bias = tuple(args.bias)
    with tempfile.TemporaryDirectory() as folder:
        file = args.calibration or calibrated(Path(folder) / "gaze.json", sizes.pop(), bias, args.noise_px)
        conditions = {
            "unbiased": ((0.0, 0.0), ""),
            "biased": (bias, ""),
            "biased, calibrated": (bias, f"--calibration {shlex.quote(str(file))}"),
        }
        scores: dict[str, list[dict]] = {name: [] for name in conditions}
        for seed in args.seeds:  # in turns, so that a busy machine is busy for all
            for name, (shift, flags) in conditions.items():
                scores[name].append(played(bench, clips, shift, f"{RUN} {args.more} {flags}", seed, args))
                print(f"seed {seed}  {name:20} {scores[name][-1].get('streaming_jf')}", file=sys.stderr, flush=True)
    out = {name: summary(runs) for name, runs in scores.items()}
    for name, each in out.items():
        print(f"{name:20} J&F {each['streaming_jf']:.3f}   {each['per_seed']}")
    print(json.dumps({"bias_px": bias, "noise_px": args.noise_px, "seeds": args.seeds, **out}))


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("streaming", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calibrated(file: Path, size: tuple[int, int], bias: tuple[float, float], noise_px: float) -> Path:
    device = Simulator(TargetClip(9, size), port=0, noise_px=noise_px, error=EyeError(bias))
    device.start()
    try:
        command = [sys.executable, "-m", "realtime", "calibrate", "gaze", "--headless", "--out", str(file)]
        subprocess.run([*command, "--source", f"pupil://127.0.0.1:{device.port}"], check=True, stdout=sys.stderr)
    finally:
        device.stop()
    return file


def played(bench: ModuleType, clips: list, shift: tuple[float, float], command: str, seed: int, args) -> dict:
    straight = bench.gaze_trace
    bench.gaze_trace = lambda *how: straight(*how) + np.array(shift)
    settings = SimpleNamespace(
        cmd=command, baseline=None, disc=None, fps=args.fps, noise_px=args.noise_px, ready_s=180.0
    )  # fmt: skip
    try:
        return bench.once(settings, clips, seed)
    finally:
        bench.gaze_trace = straight


def summary(runs: list[dict]) -> dict:
    good = [run for run in runs if "streaming_jf" in run]
    if len(good) < len(runs):
        sys.exit(f"a run failed: {[run for run in runs if run not in good]}")
    per_seed = [run["streaming_jf"] for run in runs]
    clips = {
        name: [round(float(v), 3) for v in np.mean([r["clips"][name] for r in runs], 0)] for name in runs[0]["clips"]
    }
    return {"streaming_jf": round(float(np.mean(per_seed)), 3), "per_seed": per_seed, "clips": clips}


if __name__ == "__main__":
    main()
