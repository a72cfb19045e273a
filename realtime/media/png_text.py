"""Writes and reads a text within a PNG file (PNG specification, third edition, section 11.3.3.4: iTXt)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = 33
"""Bytes of the signature and of the chunk IHDR, which comes first."""
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_MAX_TEXT = 1 << 16


def add_png_text(png: bytes, keyword: str, text: str) -> bytes:
    """Return a PNG with a text right behind its header. keyword: Latin letters."""
    body = b"iTXt" + keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_HEADER] + chunk + png[_HEADER:]


def read_png_text(file: Path, keyword: str) -> str | None:
    """Read a text that `add_png_text` wrote, also of a file that was cut off behind it; None where there is none."""
    try:
        with file.open("rb") as stream:
            head = stream.read(_MAX_TEXT)
    except OSError:
        return None
    begin = b"iTXt" + keyword.encode("latin-1") + b"\0\0\0\0\0"
    at = head.find(begin, _HEADER, _HEADER + len(begin) + 4)
    if not head.startswith(SIGNATURE) or at < 0:
        return None
    length = struct.unpack(">I", head[at - 4 : at])[0]
    body, check = head[at : at + 4 + length], head[at + 4 + length : at + 8 + length]
    if check != struct.pack(">I", zlib.crc32(body)):
        return None
    return body[len(begin) :].decode(errors="replace")


def is_whole_png(file: Path) -> bool:
    """Check whether a file begins and ends as a PNG."""
    try:
        with file.open("rb") as stream:
            head = stream.read(len(SIGNATURE))
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - len(_END)))
            return head == SIGNATURE and stream.read() == _END
    except OSError:
        return False
