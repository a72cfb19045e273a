"""Implements `gazecast doctor`: checks which parts this machine can run and which are missing."""

from __future__ import annotations

import argparse

from realtime.commands.config_flags import Verbs, add_parser
from realtime.infra.output import print_line


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `doctor` to the verbs of `gazecast`."""
    parser = add_parser(verbs, "doctor", _examine, "say what this machine can run, and what to install for more")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _examine(args: argparse.Namespace) -> int:
    from realtime.commands.doctor.probes import examine_machine

    report = examine_machine()
    print_line(*(report.to_json() if args.json else report.to_text()).splitlines())
    return int(not report.is_healthy)
