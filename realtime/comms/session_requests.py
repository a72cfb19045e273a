"""Defines the requests about the sessions of a host. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

MAX_STREAM_CHARS = 64
StreamName = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=MAX_STREAM_CHARS, description=f"a name of 1 to {MAX_STREAM_CHARS} characters"
    ),
]


@dataclass(frozen=True, slots=True)
class SessionsRequest:
    """Requests the list of a host's sessions."""


@dataclass(frozen=True, slots=True)
class OpenSessionRequest:
    """Requests a new session. session: its settings, as a [[session]] table of the host's file has them."""

    session: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CloseSessionRequest:
    """Requests the end of a session. stream: names it."""

    stream: StreamName


@dataclass(frozen=True, slots=True)
class HostedStream:
    """Holds the state of a session of a host: as its `health` has it, or `ended` or `failed`."""

    stream: str
    source: str
    state: str
    reason: str
