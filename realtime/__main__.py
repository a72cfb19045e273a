"""The entry point of `gazecast` and `python -m realtime`: imports the command where Ctrl-C is already understood."""

from __future__ import annotations

import os
import sys
import threading


def main() -> int:
    """Run the command; 130 when it is interrupted, also while it is still being imported."""
    try:
        from realtime.commands.main import main as command

        code = command()
    except KeyboardInterrupt:
        code = 130
    if any(thread.daemon for thread in threading.enumerate()):
        # A thread that was left in an encode, inside C++, would abort the process when the interpreter ends.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
