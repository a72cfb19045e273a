"""Implements the verb `gazecast learn`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from realtime.commands.config_flags import Verbs, add_config_flags, add_parser, check_gpu, read_config
from realtime.config.schema import RunConfig
from realtime.errors import LearningError, RunFailed
from realtime.files import write_atomically
from realtime.infra.interrupts import EXIT_INTERRUPTED, InterruptHandler
from realtime.infra.progress import TerminalProgress

if TYPE_CHECKING:
    from realtime.commands.learn.look_reader import LookReader
    from realtime.commands.learn.ranker import LearnedAdapter

DEFAULT_OUT = Path("learned.adapter")
PARTS = ("ranker", "iou", "decoder")
"""The parts of an adapter, whose module would load a library for weights."""


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `learn` to the verbs of `gazecast`."""
    parser = add_parser(verbs, "learn", _learn, "learn from what you kept, dropped and corrected")
    add = parser.add_argument
    add("recordings", type=Path, nargs="*", metavar="RECORDING", help="what `run --record` wrote and `review` answered")
    add("--coco", type=Path, action="append", default=[], metavar="FILE", help="a data set with true masks, too")
    add(
        "--part",
        choices=PARTS,
        default="ranker",
        help="what learns: the choice among "
        "the candidates (default), SAM's IoU head and tokens, the whole mask decoder; the last two need torch",
    )
    add("--out", type=Path, default=DEFAULT_OUT, metavar="FILE", help=f"the adapter, default {DEFAULT_OUT}; in one "
        "that exists the part is replaced by a better one only")  # fmt: skip
    add("--report", type=Path, metavar="FILE.html", help="write a page with figures and pictures before and after")
    add("--identity", type=Path, metavar="FILE", help="identity, or passphrase, of encrypted recordings")
    add_config_flags(parser, sources=False)


def _learn(args: argparse.Namespace) -> int:
    from realtime.commands.learn.look_reader import LearningStopped, LookReader
    from realtime.learning.adapter import check_replaced, save_adapter

    if not args.recordings and not args.coco:
        raise LearningError("name what to learn from: recordings, or a data set with --coco FILE")
    config = read_config(args, RunConfig())
    check_gpu(config.engine)
    progress = TerminalProgress()
    old = config.adapter or (args.out if args.out.exists() else None)
    check_replaced(args.out, old, args.part)
    with InterruptHandler() as interrupts:
        reader = LookReader(config, progress, lambda: not interrupts.is_requested, args.identity)
        with closing(reader):
            try:
                learned = _learn_part(args, reader, old, progress, lambda: not interrupts.is_requested)
            except (LearningStopped, KeyboardInterrupt):
                learned = None
        progress.stop()
    if learned is None:
        progress.show_line("stopped: nothing was written; what was read from recordings and pictures is kept")
        return EXIT_INTERRUPTED
    for line in learned.verdict.describe():
        progress.show_line(line)
    if args.report is not None:
        write_atomically(args.report, learned.report.encode())
        progress.show_line(f"report: {args.report}")
    if learned.verdict.reason:
        raise RunFailed(f"refused, and nothing was written: {learned.verdict.reason}")
    save_adapter(args.out, learned.info, learned.arrays, old=old)
    ending = "" if learned.is_complete else "; it was stopped, and this is the best until then"
    progress.show_line(f"wrote {args.out}{ending}. Use it: gazecast run --adapter {args.out}")
    return 0


def _learn_part(
    args: argparse.Namespace, reader: LookReader, old: Path | None, progress: TerminalProgress,
    go_on: Callable[[], bool],
) -> LearnedAdapter | None:  # fmt: skip
    """Read the sources and learn; None where it was stopped before there was anything to keep."""
    from realtime.session.engine import apply_adapter

    if old is not None:  # what is learned is for a run with the other part, and compared with this one
        reader.config = apply_adapter(replace(reader.config, adapter=old))
    if args.part == "ranker":
        from realtime.commands.learn.ranker import learn_ranker

        for file in args.recordings:
            reader.read_recording(file)
        for file in args.coco:
            reader.read_coco(file)
        return learn_ranker(reader, old, progress, go_on)
    from realtime.commands.learn.decoder import learn_decoder

    for file in args.recordings:
        reader.read_corrected_pictures(file)
    for file in args.coco:
        reader.read_labelled_pictures(file)
    return learn_decoder(reader, args.part, progress, go_on)
