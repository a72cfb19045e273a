"""Prints lines with text from outside, such as names of files, that cannot control a terminal. The one place for it."""

from __future__ import annotations

import re
import sys
from typing import TextIO

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, also those that reverse the direction of text; and what stands for bytes that are not UTF-8."""
_LOGIN = re.compile(r"""([a-z][a-z0-9+.-]*://|\bturns?:)[^\s"]*@""", re.IGNORECASE)
"""User and password of an address; a password may hold an @, too."""
_TOKEN = re.compile(r"""([?&]token=)[^\s&"'#\\]+""")
"""Ends before a backslash, which in JSON is part of what follows."""


def escape_controls(text: str) -> str:
    r"""Replace characters that would control a terminal, or that cannot be encoded, as in \x1b."""
    return _UNPRINTABLE.sub(lambda found: _escape(ord(found[0])), text)


def redact_passwords(text: str) -> str:
    """Leave user and password, and the token of a page, out of every address in the text."""
    return _TOKEN.sub(r"\1...", _LOGIN.sub(r"\1", text))


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}"


def print_line(*lines: str, file: TextIO | None = None) -> None:
    """Print each text as one line, on stdout by default, in one write, because several threads may print."""
    print("".join(f"{escape_controls(redact_passwords(line))}\n" for line in lines), end="", flush=True, file=file)


def accept_all_characters() -> None:
    """Let stdout and stderr escape characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
