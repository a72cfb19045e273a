"""Implements `gazecast config`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from realtime.commands.config_flags import Verbs, add_config_flags, add_parser, read_config
from realtime.config.reference import to_commented_toml
from realtime.infra.output import print_line, redact_passwords


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `config` to the verbs of `gazecast`."""
    about = "print all settings that `run` would have, with comments, as a file for --config"
    add_config_flags(add_parser(verbs, "config", _print_config, about))


def _print_config(args: argparse.Namespace) -> None:
    config = read_config(args)
    lines = to_commented_toml(replace(config, view=replace(config.view, token=""))).splitlines()
    if config.view.token or any(line != redact_passwords(line) for line in lines):
        print_line("gazecast: passwords and tokens are left out; write them into the file", file=sys.stderr)
    print_line(*lines)
