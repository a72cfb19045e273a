"""Implements `gazecast demo`: the whole path over real sockets on a real clip, with a video, pictures and a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.config_flags import Verbs, add_config_flags, add_parser, add_view_flags, check_gpu, read_config


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `demo` to the verbs of `gazecast`."""
    about = "see it work on a real clip: a video, pictures and a table in about a minute"
    parser = add_parser(verbs, "demo", _demo, about)
    add_config_flags(parser, sources=False)
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where to leave them (default demo-out)")
    parser.add_argument("--video", type=Path, help="another clip")
    parser.add_argument("--gaze", help="a trace for it, or wander")
    add_view_flags(parser, "serve the live page instead, until Ctrl-C")


def _demo(args: argparse.Namespace) -> None:
    from realtime.commands.demo.command import run_demo, view_demo

    config = read_config(args)
    check_gpu(config.engine)
    if args.view or args.open:
        view_demo(config, video=args.video, gaze=args.gaze, browser=args.open)
    else:
        run_demo(config, args.out, video=args.video, gaze=args.gaze)
