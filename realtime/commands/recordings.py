"""`gazecast replay`, `review`, `export` and `plot`: what there is to do with a recording."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from realtime.config.schema import RunConfig
from realtime.errors import SettingsError

Load = Callable[[argparse.Namespace, RunConfig], RunConfig]
"""The configuration as flags and file change it, from the one that is given."""
BESIDE = Path()
"""A flag without a name: the recording's own, with another ending."""


def add_verbs(
    add: Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser],
    config_flags: Callable[[argparse.ArgumentParser], None],
    load: Load,
) -> None:
    """Add the verbs; `add` makes a verb's parser, `config_flags` gives it those of a run."""
    replay = add("replay", lambda args: _replay(args, load), "run a recording through the pipeline again")
    replay.add_argument("file", type=Path, help="what `run --record` wrote")
    how = replay.add_mutually_exclusive_group()
    how.add_argument("--fast", action="store_true", help="as fast as possible, every frame on the recording's own time")
    how.add_argument("--exact", action="store_true", help="do exactly what the run did, and compare its masks")
    config_flags(replay)
    replay.add_argument("--out", type=Path, metavar="FILE", help="record it anew into this file")
    replay.add_argument("--json", action="store_true", help="print one JSON object a second instead of the live line")
    replay.add_argument("--view", action="store_true", help="serve the live page and print its address")

    review = add(
        "review", lambda args: _review(args, load), "play a recording in the browser, name and drop its objects"
    )
    review.add_argument("file", type=Path, help="what `run --record` wrote; names go into NAME.labels.json beside it")
    review.add_argument("--config", type=Path, metavar="FILE.toml", help="settings; those of [view] are used")
    review.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as view.port=8771")
    review.set_defaults(source=None, models=None, engine=None, publish=None)

    export = add("export", _export, "make a video, a table of looks, a labelled data set, a bag of ROS 2")
    export.add_argument("file", type=Path, help="what `run --record` wrote; NAME.labels.json beside it is heeded")
    for flag, name, what in (
        ("--video", "OUT.mp4", "every frame with its mask drawn; default NAME.mp4"),
        ("--csv", "OUT.csv", "a line for each look; default NAME.csv"),
        ("--coco", "DIR", "pictures and masks as COCO with SA-1B's fields; default NAME-coco"),
        ("--ros2", "OUT.mcap", "a bag that ROS 2 and Foxglove open; default NAME-ros2.mcap"),
    ):
        export.add_argument(flag, nargs="?", type=Path, const=BESIDE, metavar=name, help=what)
    export.add_argument("--every", type=float, metavar="SECONDS", help="with --coco, of every object the best mask of "
                        "each so many seconds (default 1); 0 for all")  # fmt: skip
    export.add_argument(
        "--sa1b", action="store_true", help="with --coco, also one JSON of SA-1B's form for each picture"
    )
    export.add_argument("--force", action="store_true", help="replace what is there")

    plot = add("plot", _plot, "draw a recording: lateness, states, objects, where the eyes were")
    plot.add_argument("file", type=Path, help="what `run --record` wrote")
    plot.add_argument("--out", type=Path, metavar="FILE.png", help="default NAME.png")
    plot.add_argument("--force", action="store_true", help="replace what is there")


def _replay(args: argparse.Namespace, load: Load) -> int:
    from realtime.commands.replay import described, recorded_config, replay_exactly
    from realtime.commands.terminal import JsonView, LineView
    from realtime.recording.reader import RecordingReader
    from realtime.session.run import run

    if args.exact and (args.view or args.json):
        raise SettingsError("--exact computes and compares; there is nothing live for --view or --json, leave them out")
    recording = RecordingReader(args.file)
    view = JsonView() if args.json else LineView()
    view.progress.show_line(described(recording))
    config = load(args, recorded_config(recording))
    if args.exact:
        return 0 if replay_exactly(recording, config, view.progress, args.out) else 1
    if "?" in str(args.file):
        raise SettingsError(f"{args.file}: give the file a name without a question mark")
    source = f"recording:{args.file}" + ("?realtime=0" if args.fast else "")
    run(replace(config, source=source, gaze="recording:", record=replace(config.record, file=args.out)), view)
    return 0


def _review(args: argparse.Namespace, load: Load) -> int:
    from realtime.commands.reviewing import review
    from realtime.infra.progress import TerminalProgress

    review(load(args, RunConfig()).view, args.file, TerminalProgress())
    return 0


def _export(args: argparse.Namespace) -> int:
    from rich.console import Console

    from realtime.commands.export.command import ExportTargets, export
    from realtime.commands.replay import described
    from realtime.recording.labels import load_labels
    from realtime.recording.reader import RecordingReader

    if not (args.video or args.csv or args.coco or args.ros2):
        raise SettingsError("say what to export: --video, --csv, --coco, --ros2, or several of them")
    if args.coco is None and (args.sa1b or args.every is not None):
        raise SettingsError("--every and --sa1b are about the data set of --coco, which is not asked for")
    every_s = 1.0 if args.every is None else args.every
    if not 0 <= every_s < math.inf:
        raise SettingsError(f"--every wants seconds, 0 or more, got {args.every}")
    recording = RecordingReader(args.file)
    labels, console = load_labels(args.file), Console(stderr=True, highlight=False)
    console.print(described(recording), markup=False, soft_wrap=True)
    endings = {".mp4": args.video, ".csv": args.csv, "-coco": args.coco, "-ros2.mcap": args.ros2}
    video, csv, coco, ros2 = (_beside(args.file, end) if asked is BESIDE else asked for end, asked in endings.items())
    wanted = ExportTargets(video, csv, coco, ros2, args.video is BESIDE, every_s, args.sa1b, args.force)
    for line in export(recording, labels, wanted, console):
        print(line, flush=True)
    return 0


def _plot(args: argparse.Namespace) -> int:
    from realtime.commands.plot.command import plot
    from realtime.recording.labels import load_labels
    from realtime.recording.reader import RecordingReader

    recording = RecordingReader(args.file)
    print(plot(recording, load_labels(args.file), args.out or _beside(args.file, ".png"), force=args.force))
    return 0


def _beside(recording: Path, ending: str) -> Path:
    return recording.with_name(recording.stem + ending)
