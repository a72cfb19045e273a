"""The entry point of `gazecast` and `python -m realtime`: imports the command where Ctrl-C is already understood."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command; 130 when it is interrupted, also while it is still being imported."""
    try:
        from realtime.cli import main as command

        return command()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
