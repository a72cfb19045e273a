"""Implements `gazecast serve`."""

from __future__ import annotations

import argparse
from pathlib import Path

from realtime.commands.config_flags import (
    Verbs,
    add_parser,
    add_process_flags,
    add_report_flags,
    add_requests_flag,
    check_gpu,
    read_flags,
)


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `serve` to the verbs of `gazecast`."""
    parser = add_parser(verbs, "serve", _serve, "serve many wearers by one engine: the sessions of a settings file")
    parser.add_argument("file", type=Path, metavar="FILE.toml", help="settings of all sessions, and for each a table "
                        "[[session]] with stream and source")  # fmt: skip
    add_process_flags(parser)
    add_report_flags(parser)
    add_requests_flag(parser)
    parser.add_argument("--ray", metavar="HOST:PORT", help="place the sessions on the hosts of a Ray cluster, or of "
                        "one that is started on this machine: local")  # fmt: skip


def _serve(args: argparse.Namespace) -> None:
    from realtime.commands.log_view import choose_view
    from realtime.serving.host_config import load_host_config
    from realtime.serving.serve import serve

    config = load_host_config(args.file, read_flags(args))
    check_gpu(config.defaults.engine)
    view = choose_view(args.log, as_json=args.json)
    if args.ray is not None:
        from realtime.serving.cluster.serve_cluster import serve_cluster

        serve_cluster(config, view, args.ray)
    else:
        serve(config, view)
