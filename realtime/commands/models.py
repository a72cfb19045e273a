"""Implements `gazecast models list|pull|path`: the cache of the networks' weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines import weights
from realtime.commands.config_flags import Verbs, add_parser
from realtime.infra.output import print_line
from realtime.infra.progress import TerminalProgress


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `models` to the verbs of `gazecast`."""
    models = verbs.add_parser("models", help="the networks' weights").add_subparsers(metavar="VERB", required=True)
    for name, execute, about in (
        ("list", _list, "which there are"),
        ("pull", _pull, "fetch one into the cache"),
        ("path", _print_path, "print where one lies"),
    ):
        parser = add_parser(models, name, execute, about)
        parser.add_argument("--models", type=Path, metavar="DIR", help="the cache to use instead of your own")
        if name != "list":
            parser.add_argument("name")
        if name == "pull":
            parser.add_argument("--from", dest="source", type=Path, metavar="DIR", help="a folder that holds the files")


def _list(args: argparse.Namespace) -> None:
    for model in weights.list_models():
        size = sum(file.size for file in model.files) / 1e6
        state = "cached" if weights.is_cached(model.name, root=args.models) else "-"
        print_line(f"{model.name:12} {state:7} {size:7.0f} MB  {model.licence}", f"{'':12} {model.about}")


def _pull(args: argparse.Namespace) -> None:
    progress = TerminalProgress()
    print_line(str(weights.pull_model(args.name, source=args.source, root=args.models, report=progress.show_bytes)))


def _print_path(args: argparse.Namespace) -> None:
    print_line(str(weights.model_folder(args.name, root=args.models)))
