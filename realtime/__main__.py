"""Starts the command `gazecast` as `python -m realtime`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from realtime.infra.entry_point import run_command


def load_command() -> Callable[[], int]:
    """Import the command."""
    from realtime.commands.main import main

    return main


def main() -> int:
    """Run the command and return its exit code."""
    return run_command(load_command)


if __name__ == "__main__":
    sys.exit(main())
