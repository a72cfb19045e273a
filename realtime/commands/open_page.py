"""Opens a page in the user's browser (`--open`)."""

from __future__ import annotations

import html
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realtime.infra.output import escape_controls, redact_passwords
from realtime.infra.progress import ProgressReporter, TerminalProgress

OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"
REDIRECT_S = 30.0
"""How long a browser may take to open the file that leads to the page."""


def show_address(address: str, progress: ProgressReporter) -> None:
    """Show the address of a page; its token is shown on a terminal only, because other output may become a log."""
    if isinstance(progress, TerminalProgress) and progress.console.is_terminal:
        progress.console.print(escape_controls(f"open {address}"), markup=False, soft_wrap=True)
    else:
        progress.show_line(redact_passwords(f"open {address}"))


def open_in_browser(address: str, progress: ProgressReporter) -> None:
    """Open a page in the browser of the system, or that of $BROWSER; progress: receives a line where there is none.

    Returns at once. The browser is another process with no part in this one's terminal: it may print, and outlive it.
    """
    threading.Thread(target=_open, args=(address, progress), name="gazecast-browser", daemon=True).start()


def _open(address: str, progress: ProgressReporter) -> None:
    graphical = {name: value for name, value in os.environ.items() if name != "TERM"}  # text browsers need a terminal
    with _hide_token(address) as hidden:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", OPEN, hidden], env=graphical, check=False, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            progress.show_line("no browser can be opened here; open the address in one yourself")
        elif hidden != address:
            time.sleep(REDIRECT_S)


@contextmanager
def _hide_token(address: str) -> Iterator[str]:
    """Yield an address without a token: a file of this user alone that leads there; all users see command lines."""
    if redact_passwords(address) == address:
        yield address
        return
    with tempfile.TemporaryDirectory(prefix="gazecast-") as folder:
        page = Path(folder) / "open.html"
        page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0;url={html.escape(address)}">\n')
        yield page.as_uri()
