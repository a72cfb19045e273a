"""Opens a page in the user's browser (`--open`)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from realtime.infra.progress import ProgressReporter

OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


def open_in_browser(address: str, progress: ProgressReporter) -> None:
    """Open a page in the browser of the system, or that of $BROWSER; progress: receives a line where there is none.

    Returns at once. The browser is another process with no part in this one's terminal: it may print, and outlive it.
    """
    threading.Thread(target=_open, args=(address, progress), name="gazecast-browser", daemon=True).start()


def _open(address: str, progress: ProgressReporter) -> None:
    graphical = {name: value for name, value in os.environ.items() if name != "TERM"}  # text browsers need a terminal
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", OPEN, address], env=graphical, check=False, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        progress.show_line("no browser can be opened here; open the address in one yourself")
