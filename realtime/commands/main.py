"""Implements the command `gazecast`: parses the command line, executes a verb and prints errors as one line.

Exit codes: 0 success, 1 failed while it ran, 2 wrong usage or a missing precondition, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from calibration import CalibrationError
from engines import EngineError
from realtime.commands import (
    calibrate,
    completion,
    config,
    demo,
    doctor,
    engine,
    hosts,
    keys,
    models,
    recordings,
    run,
    serve,
    simulate,
)
from realtime.commands.config_flags import Execute
from realtime.commands.learn import command as learn
from realtime.commands.parser import CommandParser, PrintVersion
from realtime.commands.segment import command as segment
from realtime.errors import GazecastError, RunFailed
from realtime.infra.event_log import json_log, log
from realtime.infra.interrupts import EXIT_INTERRUPTED
from realtime.infra.output import print_line

EXIT_FAILED, EXIT_WRONG_USE = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Execute one verb and return its exit code."""
    args = build_parser().parse_args(argv)
    level = logging.DEBUG if args.verbose else logging.WARNING
    if getattr(args, "log", "text") == "json":
        with json_log(level):
            return _execute(args, lambda text: log.error("%s", text))
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    return _execute(args, lambda text: print_line(f"gazecast: {text}", file=sys.stderr))


def _execute(args: argparse.Namespace, report_error: Callable[[str], None]) -> int:
    execute: Execute = args.verb
    try:
        return execute(args) or 0
    except (GazecastError, EngineError, CalibrationError) as error:
        report_error(str(error))
        return EXIT_FAILED if isinstance(error, RunFailed) else EXIT_WRONG_USE
    except BrokenPipeError:
        # The reader of stdout has ended. At exit Python would flush into the closed pipe once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        report_error(f"{file}{error.strerror or error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def build_parser() -> CommandParser:
    """Build the parser of the command line; each verb sets `verb` to the function that executes it."""
    about = "Look at something; its mask is published, live, to a display and to robots."
    parser = CommandParser(prog="gazecast", description=about)
    parser.add_argument("--version", action=PrintVersion, help="print the version and exit")
    parser.add_argument("--verbose", action="store_true", help="log more, with tracebacks")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for module in (
        run, config, simulate, serve, hosts, demo, recordings, doctor, calibrate, engine, segment, learn, models, keys,
    ):  # fmt: skip
        module.add_verb(verbs)
    completion.add_verb(verbs, parser)
    return parser
