"""Implements `gazecast config`."""

from __future__ import annotations

import argparse

from realtime.commands.config_flags import Verbs, add_config_flags, add_parser, read_config
from realtime.config.schema import to_toml


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `config` to the verbs of `gazecast`."""
    about = "print the configuration that `run` would have, as a file for --config"
    add_config_flags(add_parser(verbs, "config", _print_config, about))


def _print_config(args: argparse.Namespace) -> None:
    print(to_toml(read_config(args)), end="")
