"""Defines the directory of published streams: addresses, requests and replies. Pure.

One part each way, a msgpack map. A request has `v` (1) and `ask`; the reply `v`, `ok`, and `error` (text) where it is
not ok.

    ask          with                                     reply
    ----------   --------------------------------------   ---------------------------------------------------------
    stream       stream, after (epoch), wait_s            location: {stream, endpoint, epoch, server_key}; nil: none
    streams                                               streams: the names of all that are published
    hosts                                                 hosts: one map each; waiting: reasons by stream
    host.drain   host                                     host: its streams move to the others, one by one
    host.resume  host                                     host: it takes streams again

The reply to `stream` is held back for at most `wait_s` until there is a location of a later epoch than `after`, so that
a client learns of a move at once. Each move and restart of a stream has a later epoch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import get_annotations
from typing import Annotated, Any
from urllib.parse import quote, unquote

import msgspec

from realtime.comms.envelope import VERSION, unpack_msgpack
from realtime.comms.keys import Permission
from realtime.errors import TransportError, WireError
from realtime.validation import read_value

DEFAULT_DIRECTORY = "tcp://127.0.0.1:5570"
SCHEME = "gazecast://"
MAX_DIRECTORY_BYTES = 1 << 20
"""Limit of a reply. A request has at most `MAX_QUESTION_BYTES`."""
MAX_QUESTION_BYTES = 1024
MAX_WAIT_S = 10.0

_StreamName = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=64, pattern=r"\A[ -~]+\Z", description="a text of 1 to 64 printable ASCII characters"
    ),
]
_HostName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, description="a name of 1 to 64 characters")]
_Epoch = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53, description="a whole number of 0 to 2^53")]
_Endpoint = Annotated[
    str, msgspec.Meta(max_length=256, pattern=r"\Atcp://\S+:\d{1,5}\Z", description="an address, tcp://HOST:PORT")
]
_Key = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{64})?\Z", description="a key of 64 hex digits, or none")]
_Wait = Annotated[float, msgspec.Meta(ge=0, le=MAX_WAIT_S, description=f"a number of seconds of 0 to {MAX_WAIT_S:g}")]


@dataclass(frozen=True, slots=True)
class StreamLocation:
    """Holds where a stream is published.

    epoch: later for each move and restart. server_key: the host's public key as hex; empty where it uses none.
    """

    stream: _StreamName
    endpoint: _Endpoint
    epoch: _Epoch
    server_key: _Key = ""


@dataclass(frozen=True, slots=True)
class StreamQuestion:
    """Asks where a stream is published, and waits for a later epoch than `after`."""

    stream: _StreamName
    after: _Epoch = 0
    wait_s: _Wait = 0.0


@dataclass(frozen=True, slots=True)
class StreamsQuestion:
    """Asks for the names of all streams."""


@dataclass(frozen=True, slots=True)
class HostsQuestion:
    """Asks for the hosts and their streams."""


@dataclass(frozen=True, slots=True)
class DrainRequest:
    """Requests that the streams of a host move to the others."""

    host: _HostName


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """Requests that a host takes streams again."""

    host: _HostName


DirectoryQuestion = StreamQuestion | StreamsQuestion | HostsQuestion | DrainRequest | ResumeRequest
_QUESTIONS: dict[str, type[DirectoryQuestion]] = {
    "stream": StreamQuestion, "streams": StreamsQuestion, "hosts": HostsQuestion,
    "host.drain": DrainRequest, "host.resume": ResumeRequest,
}  # fmt: skip


class _LocationReply(msgspec.Struct):
    location: StreamLocation | None


def parse_stream_address(address: str) -> tuple[str, str]:
    """Read (directory's endpoint, stream) of gazecast://HOST:PORT/STREAM; raises `TransportError`."""
    found = re.fullmatch(rf"{SCHEME}([^/\s@]+:\d+)/([^\s/?#]+)", address)
    if found is None:
        raise TransportError(f"{address!r:.120} is no stream of a directory; expected {SCHEME}HOST:PORT/STREAM")
    try:
        stream = read_value(unquote(found[2], errors="strict"), _StreamName, WireError, "the stream's name")
    except (UnicodeDecodeError, WireError) as error:
        raise TransportError(f"{address!r:.120}: {error}") from None
    return f"tcp://{found[1]}", stream


def format_stream_address(endpoint: str, stream: str) -> str:
    """Return gazecast://HOST:PORT/STREAM for a directory at tcp://HOST:PORT."""
    return f"{SCHEME}{endpoint.removeprefix('tcp://')}/{quote(stream, safe='')}"


def required_permission(question: DirectoryQuestion) -> Permission | None:
    """Return what a client must be allowed beyond reading."""
    return "control" if isinstance(question, DrainRequest | ResumeRequest) else None


def read_question(payload: bytes) -> DirectoryQuestion:
    """Read a request; raises `WireError` with the value and what was expected."""
    fields = unpack_msgpack(payload)
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise WireError(f"expected a msgpack map with v: {VERSION}, got {fields!r:.60}")
    ask = fields.get("ask")
    if not isinstance(ask, str) or ask not in _QUESTIONS:
        raise WireError(f"ask is {ask!r:.40}; known are {', '.join(_QUESTIONS)}")
    known = get_annotations(_QUESTIONS[ask])
    if unknown := fields.keys() - {"v", "ask", *known}:
        raise WireError(f"{ask} knows no {', '.join(sorted(map(repr, unknown))):.60}")
    question: DirectoryQuestion = read_value(fields, _QUESTIONS[ask], WireError)
    return question


def read_location(reply: Mapping[str, Any], stream: str) -> StreamLocation | None:
    """Read the reply to a `StreamQuestion`, None for no location; raises `WireError`, also for another stream's."""
    location = read_value(reply, _LocationReply, WireError).location
    if location is not None and location.stream != stream:
        raise WireError(f"asked for stream {stream!r}, the location is of {location.stream!r}")
    return location
