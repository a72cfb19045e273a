"""Learns the decoder from a recording as a user does, and measures what a run shows with the adapter.

    python -m benchmarks.learned_live CLIP --out DIR [--seconds 12]

CLIP: a folder with frames/ and masks/, one true mask a frame. The first three fifths are looked at and recorded
(`gazecast run --record`), exported (`export --coco`), their masks replaced by the true ones, as somebody would in
another program, and brought back (`import`); `gazecast learn --part decoder` learns from them, with its report. Then
the last third, which was never learned from, is looked at in two more runs, without and with `--adapter`, whose
recorded masks are compared with the true ones. Both are played back and forth for --seconds. Gaze is off by 20 px of a
picture 640 px wide, in another direction every second. Runs are live, so that they need a machine that does nothing
else; --steps names what to do at a time.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.streaming_eval.clips import back_and_forth
from benchmarks.streaming_eval.scoring import iou
from engines import Mask
from realtime.correction.events import pack_mask
from realtime.learning.picture_looks import REFERENCE_WIDTH, find_middle
from realtime.recording.mask_events import read_mask_events
from realtime.recording.reader import RecordingReader

FPS = 24
STEPS = ("record", "learn", "before", "after", "compare")


Part = tuple[list[Path], list[Mask]]


def play(images: list[Path], masks: list[Mask], seconds: float) -> Part:
    """Play frames back and forth for so many seconds."""
    order = back_and_forth(len(images), round(seconds * FPS))
    return [images[k] for k in order], [masks[k] for k in order]


def write_part(folder: Path, images: list[Path], masks: list[Mask]) -> None:
    """Write pictures and a gaze trace that follows their object."""
    (folder / "clip").mkdir(parents=True)
    for k, image in enumerate(images):
        (folder / "clip" / f"{k:04d}.jpg").write_bytes(image.read_bytes())
    rng, rows = np.random.default_rng(2), ["timestamp,x,y,confidence"]
    error = 20 * masks[0].shape[1] / REFERENCE_WIDTH
    for k, mask in enumerate(masks):
        angle = rng.uniform(0, 2 * np.pi) if k % FPS == 0 else angle  # noqa: F821
        x, y = np.array(find_middle(mask)) + error * np.array([np.cos(angle), np.sin(angle)])
        rows += [f"{k / FPS + part / 96:.3f},{x:.1f},{y:.1f},0.95" for part in range(4)]
    (folder / "trace.csv").write_text("\n".join(rows) + "\n")


def call(*words: object) -> str:
    """Run gazecast to its end and return what it printed."""
    print("$ gazecast", *words, flush=True)
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "gazecast.py", *map(str, words)], capture_output=True, text=True, check=False
    )
    print(done.stdout, *[line for line in done.stderr.splitlines() if "━" not in line], sep="\n")
    print(f"exit code {done.returncode} after {time.monotonic() - begun:.0f} s", flush=True)
    return done.stdout


def look(part: Path, recording: Path, *more: object) -> None:
    """Run gazecast on a part to its end, and record it."""
    words = [
        "run", "--source", f"file:{part / 'clip'}", "--gaze", f"trace:{part / 'trace.csv'}", "--record", recording,
        "--publish", "tcp://127.0.0.1:0", "--json", *more,
    ]  # fmt: skip
    print("$ gazecast", *words, flush=True)
    run = subprocess.Popen(
        [sys.executable, "gazecast.py", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert run.stdout is not None
    has_begun = False
    for line in run.stdout:  # one a second
        has_frames = json.loads(line).get("rates", {}).get("frames", 0) > 0
        if has_begun and not has_frames:
            break
        has_begun = has_begun or has_frames
    run.send_signal(signal.SIGINT)
    run.wait(60)


def correct(coco: Path, masks: list[Mask]) -> Path:
    """Replace the masks of a data set by the true ones."""
    content = json.loads((coco / "annotations" / "instances_default.json").read_text())
    for each in content["annotations"]:
        mask = masks[each["frame_index"]]
        each["segmentation"] = {"size": list(mask.shape), "counts": pack_mask(mask)}
    file = coco / "corrected.json"
    file.write_text(json.dumps(content))
    return file


def measure(recording: Path, masks: list[Mask]) -> str:
    """Measure the recorded masks."""
    reader, ious = RecordingReader(recording), []
    for event in read_mask_events(reader):
        if event.shows_object:
            mask, truth = reader.read_mask(event.entry).mask, masks[event.key.index]
            assert mask is not None
            ious.append(iou(mask, truth))
    right, good = (np.mean(np.array(ious) >= least) for least in (0.5, 0.7))
    adapter = reader.about.engine.get("versions", {}).get("adapter", "none")
    return (
        f"{recording.stem}: {len(ious)} masks, mean IoU {np.mean(ious):.3f}, at least 0.5 in {right:.3f}, "
        f"at least 0.7 in {good:.3f}; adapter of its engine: {adapter}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS)
    parser.add_argument("--set", nargs="*", default=["engine.picture_side=512", "engine.precision=f32"])
    args = parser.parse_args()
    images = sorted((args.clip / "frames").glob("*.jpg"))
    masks = [np.asarray(cv2.imread(str(path), 0)) > 127 for path in sorted((args.clip / "masks").glob("*.png"))]
    cut, last = round(0.6 * len(images)), len(images) // 3
    first, unseen = play(images[:cut], masks[:cut], args.seconds), play(images[-last:], masks[-last:], args.seconds)
    out, settings = args.out, [word for each in args.set for word in ("--set", each)]
    adapter = out / "learned.adapter"
    if "record" in args.steps:
        write_part(out / "first", *first)
        write_part(out / "last", *unseen)
        look(out / "first", out / "first.mcap", *settings)
    if "learn" in args.steps:
        call("export", out / "first.mcap", "--coco", out / "set", "--every", "0.2")
        call("import", correct(out / "set", first[1]), out / "first.mcap")
        report = out / "learned.html"
        call("learn", out / "first.mcap", "--part", "decoder", "--out", adapter, "--report", report, *settings)
    if "before" in args.steps:
        look(out / "last", out / "before.mcap", *settings)
    if "after" in args.steps:
        look(out / "last", out / "after.mcap", *settings, "--adapter", adapter)
    if "compare" in args.steps:
        call("replay", out / "after.mcap", "--exact", "--adapter", adapter)
        call("replay", out / "after.mcap", "--exact")
        print(*(measure(out / f"{name}.mcap", unseen[1]) for name in ("before", "after")), sep="\n")


if __name__ == "__main__":
    main()
