"""Configures the library of the Lab Streaming Layer before its first use."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

import pylsl

_PLACES = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")
_SILENT = "\n[log]\nlevel = -3\n"


@functools.cache
def silence_library() -> None:
    """Keep it from printing over the status line, unless the user's configuration says what it prints."""
    text = ""
    for place in (os.environ.get("LSLAPICFG", ""), *_PLACES):
        with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: a user without a home folder
            text = Path(place).expanduser().read_text(encoding="utf-8", errors="replace")
            break
    set_content = getattr(pylsl, "set_config_content", None)  # since 1.18
    if set_content is not None and "[log]" not in text.lower():
        set_content(text + _SILENT)
