"""Decodes text files as editors and shells write them: the one place for byte order marks."""

from __future__ import annotations

import codecs

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


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
