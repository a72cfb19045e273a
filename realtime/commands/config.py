"""Implements `gazecast config`."""

from __future__ import annotations

import argparse

from realtime.commands.config_flags import Verbs, add_config_flags, add_parser, read_config
from realtime.config.reference import to_commented_toml
from realtime.infra.output import print_line


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `config` to the verbs of `gazecast`."""
    about = "print all settings that `run` would have, with comments, as a file for --config"
    add_config_flags(add_parser(verbs, "config", _print_config, about))


def _print_config(args: argparse.Namespace) -> None:
    print_line(*to_commented_toml(read_config(args)).splitlines())
