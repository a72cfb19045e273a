"""Writes the log as JSON, one object a line on stderr, with a limit on repeats and without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from realtime.infra.output import print_line, redact_passwords

log = logging.getLogger("gazecast")
"""The logger of what the command itself reports, with its lines of progress."""
REPEAT_S = 10.0
"""One line of a kind is written in this time; the next one has the number of those that were left out."""
MAX_KINDS = 256
UNLIMITED = {"unlimited": True}
"""Extra of a record that is always written, because its sender limits it."""
_NUMBERS = re.compile(r"\d+")
_SECRET = re.compile(r"\b(token|password|secret|key)=[^\s&#\"']+", re.IGNORECASE)


class RepeatLimiter:
    """Decides which lines are written. Remembers the last `MAX_KINDS` kinds of lines. Pure."""

    def __init__(self, repeat_s: float = REPEAT_S) -> None:
        self._repeat_s = repeat_s
        self._kinds: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()  # time of the last line, left out

    def admit(self, kind: tuple[str, ...], now_s: float) -> int | None:
        """Return how many lines of a kind were left out since its last one; None to leave this one out, too."""
        last_s, left_out = self._kinds.get(kind, (float("-inf"), 0))
        is_admitted = now_s - last_s >= self._repeat_s
        self._kinds[kind] = (now_s, 0) if is_admitted else (last_s, left_out + 1)
        self._kinds.move_to_end(kind)
        if len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)
        return left_out if is_admitted else None


class JsonLog(logging.Handler):
    """A handler that writes records with `time`, `level`, `part`, `text`, and `suppressed` repeats of the kind.

    Two records are of one kind if their level, part and text, but for numbers, are the same.
    """

    def __init__(self, stream: TextIO | None = None, clock_s: Callable[[], float] = time.monotonic) -> None:
        """stream: stderr by default."""
        super().__init__()
        self._stream, self._clock_s = stream, clock_s
        self._limiter, self._limiting = RepeatLimiter(), threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless it is a repeat."""
        text, part = redact_secrets(record.getMessage()), name_part(record.name)
        suppressed: int | None = 0
        if not getattr(record, "unlimited", False):
            with self._limiting:
                suppressed = self._limiter.admit((record.levelname, part, _NUMBERS.sub("0", text)), self._clock_s())
        if suppressed is None:
            return
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": at.replace("+00:00", "Z"), "level": record.levelname.lower(), "part": part, "text": text,
            "suppressed": suppressed,
        }  # fmt: skip
        if record.exc_info:
            line["trace"] = redact_secrets(logging.Formatter().formatException(record.exc_info))
        print_line(json.dumps(line), file=self._stream or sys.stderr)


@contextmanager
def json_log(level: int) -> Iterator[None]:
    """Write the log of this process as JSON while the block lasts; level: of what libraries log."""
    root, handler = logging.getLogger(), JsonLog()
    earlier = root.level, log.level
    root.addHandler(handler)
    root.setLevel(level)
    log.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(earlier[0])
        log.setLevel(earlier[1])


def warn(text: str) -> None:
    """Warn the user on stderr: in the log while it is JSON, else in one line of the command."""
    if any(isinstance(handler, JsonLog) for handler in logging.getLogger().handlers):
        log.warning("%s", text)
    else:
        print_line(f"gazecast: {text}", file=sys.stderr)


def name_part(logger: str) -> str:
    """Return the part of the program that a logger belongs to, such as pipeline.publisher or engines.cache."""
    parts = logger.split(".")
    return ".".join(parts[1:3] if parts[0] == "realtime" else parts[:2])


def redact_secrets(text: str) -> str:
    """Leave passwords of addresses, and values called token, password, secret or key, out of a text."""
    return _SECRET.sub(r"\1=...", redact_passwords(text))
