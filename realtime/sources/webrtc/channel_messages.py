"""Reads and writes the messages of a wearer's data channel. Pure; docs/reference/messages.md describes them.

Text is JSON, one message a line; bytes are msgpack, one message or a list of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from realtime.comms.envelope import unpack_msgpack
from realtime.errors import WireError
from realtime.validation import read_value

MAX_BYTES = 2**16
MAX_MESSAGES = 1000
"""Messages in one part: a second of the fastest trackers."""
MAX_TIME_S = 1e11
MAX_NORM, MAX_PX = 1e4, 1e7
"""Gaze outside the picture is fine; a number beyond this is invalid."""


class ChannelError(Exception):
    """A message that cannot be used; the argument is the reason that it is counted under."""


@dataclass(frozen=True, slots=True)
class GazeReport:
    """A gaze sample; time in seconds of the sender's clock, x and y from the top left."""

    time: float
    x: float
    y: float
    unit: Literal["norm", "px"] = "norm"
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class ClockReply:
    """The sender's time when it received request `id`, seconds."""

    id: int
    time: float


_KINDS: dict[str, type[GazeReport] | type[ClockReply]] = {"gaze": GazeReport, "clock": ClockReply}


def pack_clock_request(number: int) -> str:
    """Pack a request for the sender's time."""
    return json.dumps({"type": "clock", "id": number})


def read_messages(data: str | bytes) -> Iterator[GazeReport | ClockReply | ChannelError]:
    """Read a part; a message that cannot be used becomes the error in its place."""
    if len(data) > MAX_BYTES:
        yield ChannelError("oversize")
        return
    try:
        values = _split_text(data) if isinstance(data, str) else _split_bytes(data)
    except ChannelError as error:
        yield error
        return
    for value in values[:MAX_MESSAGES]:
        try:
            yield _read_message(value)
        except ChannelError as error:
            yield error
    if len(values) > MAX_MESSAGES:
        yield ChannelError("too many")


def _split_text(text: str) -> list[Any]:
    try:
        return [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ChannelError("not json") from None


def _split_bytes(data: bytes) -> list[Any]:
    try:
        value = unpack_msgpack(data)
    except WireError:
        raise ChannelError("not msgpack") from None
    return value if isinstance(value, list) else [value]


def _read_message(value: Any) -> GazeReport | ClockReply:
    if not isinstance(value, dict):
        raise ChannelError("not a map")
    kind = _KINDS.get(value["type"]) if isinstance(value.get("type"), str) else None
    if kind is None:
        raise ChannelError("unknown type")
    message = read_value(value, kind, _WrongType)
    if not abs(message.time) <= MAX_TIME_S:
        raise ChannelError("time")
    if isinstance(message, GazeReport):
        limit = MAX_NORM if message.unit == "norm" else MAX_PX
        if not (abs(message.x) <= limit and abs(message.y) <= limit):
            raise ChannelError("position")
        if math.isnan(message.confidence):
            raise ChannelError("confidence")
    return message


class _WrongType(ChannelError):
    """A field of a wrong type. Which one is not counted: a peer could invent any number of reasons."""

    def __init__(self, explanation: str) -> None:
        super().__init__("wrong type")
