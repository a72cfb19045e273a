"""Starts the command where Ctrl-C and a missing library are already handled."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

from realtime.infra.output import accept_all_characters, print_line

RUN_LIBRARIES = {
    "cv2": "opencv-python", "openvino": "openvino", "onnx": "onnx", "av": "av", "rich": "rich",
    "aiohttp": "aiohttp", "mcap": "mcap", "matplotlib": "matplotlib", "shtab": "shtab",
    "yaml": "pyyaml",
}  # fmt: skip
"""Import name -> distribution of the extra `run`."""


BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables that numpy's libraries read when they are loaded.

The cores belong to the encoder and the tracker: beside an encoder, products on several threads took 93 to 130 ms now
and then instead of one or two.
"""


def run_command(load: Callable[[], Callable[[], int]]) -> int:
    """Run the command and return its exit code; 130 when interrupted, 2 when a library is missing.

    load: imports the command; may be interrupted too.
    """
    accept_all_characters()
    for name in BLAS_THREADS:
        os.environ.setdefault(name, "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a script's shell starts background jobs like this
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = load()()
    except KeyboardInterrupt:
        code = 130
    except ModuleNotFoundError as error:
        library = RUN_LIBRARIES.get((error.name or "").partition(".")[0])
        if library is None:
            raise
        print_line(
            f"gazecast: this needs {library}, which is not installed. Only a subscriber can do with the base install; "
            "for the command: pip install -e '.[run]' in gazecast's folder, or make setup",
            file=sys.stderr,
        )
        code = 2
    if any(thread.daemon for thread in threading.enumerate()):
        # A daemon thread that is still encoding, in C++, would abort the process when the interpreter ends.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
