"""Reads and decodes text files as editors and shells write them: the one place for byte order marks."""

from __future__ import annotations

import codecs
import errno
import stat
from pathlib import Path

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def check_regular_file(path: Path) -> int:
    """Return the size of a file, bytes; raises `OSError` for what is none, such as a pipe that nobody writes to."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return found.st_size


def to_utf8(data: bytes) -> bytes:
    """Return the content as UTF-8 without a byte order mark, which says whether it was UTF-8 or UTF-16.

    Notepad and PowerShell write such files. Other data, also binary, is returned as it is.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding).encode()
            except UnicodeError:
                return data
    return data


def decode_text(data: bytes) -> str:
    """Decode text with or without a byte order mark: UTF-8, UTF-16, or else what Windows programs write.

    Raises `UnicodeDecodeError` for what is no text.
    """
    data = to_utf8(data)
    try:
        return data.decode(_guess_utf16(data) or "utf-8")
    except UnicodeDecodeError:
        if b"\0" in data:
            raise
        return data.decode("cp1252", "replace")


def _guess_utf16(data: bytes) -> str | None:
    """Return the encoding where every second byte of the beginning is 0, as in UTF-16 of European text."""
    start = data[:1024]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = start[first::2].count(0), start[1 - first :: 2].count(0)
        if len(start) >= 8 and zeros > 0.9 * (len(start) // 2) and not others:
            return encoding
    return None
