"""`gazecast replay`: what there is to do with a recording."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from realtime.config import Config
from realtime.settings import SettingsError

Load = Callable[[argparse.Namespace, Config], Config]
"""The configuration as flags and file change it, from the one that is given."""


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


def _replay(args: argparse.Namespace, load: Load) -> int:
    from realtime.recording.reader import Recording
    from realtime.recording.replay import described, recorded_config, replay_exactly
    from realtime.run import run
    from realtime.view import JsonView, LineView

    recording = Recording(args.file)
    view = JsonView() if args.json else LineView()
    view.progress.line(described(recording))
    config = load(args, recorded_config(recording))
    if args.exact:
        return 0 if replay_exactly(recording, config, view.progress, args.out) else 1
    if "?" in str(args.file):
        raise SettingsError(f"{args.file}: give the file a name without a question mark")
    source = f"recording:{args.file}" + ("?realtime=0" if args.fast else "")
    run(replace(config, source=source, gaze="recording:", record=replace(config.record, file=args.out)), view)
    return 0
