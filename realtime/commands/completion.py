"""Implements `gazecast completion`: prints a script that completes verbs, flags and files in a shell."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any, get_args

from engines.settings import Backend
from realtime.commands.config_flags import Verbs, add_parser
from realtime.infra.output import print_line

SHELLS = ("bash", "zsh", "fish")


def add_verb(verbs: Verbs[argparse.ArgumentParser], root: argparse.ArgumentParser) -> None:
    """Add `completion` to the verbs of `gazecast`; root: the parser of all verbs."""
    about = "print the script that completes gazecast's verbs, flags and files in a shell"
    parser = add_parser(verbs, "completion", partial(_print_script, root), about)
    parser.add_argument("shell", choices=SHELLS)


def _print_script(root: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    import shtab

    _complete_values(root, shtab.FILE)
    print_line(*shtab.complete(root, args.shell).splitlines())


def _complete_values(parser: argparse.ArgumentParser, file: Any) -> None:
    """Let every path be completed as a file, in the verbs too, and engines by their names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in set(action.choices.values()):
                _complete_values(verb, file)
        elif action.type is Path:
            action.complete = file  # type: ignore[attr-defined]
        elif action.dest == "engine":
            action.choices = get_args(Backend)
