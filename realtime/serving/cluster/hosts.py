"""Defines what the supervisor of a cluster and its hosts tell each other. Pure."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from realtime.comms.requests import Request
from realtime.config.schema import RunConfig
from realtime.errors import ClusterError
from realtime.sources.names import LISTENING, parse_source

EXCLUSIVE = ("camera", "realsense", "tobii", "aria", *LISTENING)
"""Kinds of sources that one host can read at a time."""


class HostLost(ClusterError):
    """A host whose process or machine has died, or that is being restarted."""


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """Holds a session that shall run on some host.

    is_exclusive: its source lets one host read at a time, such as a camera, so that a move has to end it before it
    begins elsewhere. is_requested: it was opened by a request, so that its host alone knows it when the directory is
    restarted. is_admitted: it has run, and is not refused any more: where its host dies, it runs on another one that is
    full, and all of that host get less, rather than not at all.
    """

    stream: str
    config: RunConfig
    is_exclusive: bool = False
    is_requested: bool = False
    is_admitted: bool = False

    @classmethod
    def of(cls, config: RunConfig, *, is_requested: bool = False) -> SessionOrder:
        """Make the order of a session with these settings."""
        kinds = [parse_source(spec).kind for spec in (config.source, config.gaze) if spec]
        return cls(config.publish.stream, config, any(kind in EXCLUSIVE for kind in kinds), is_requested)


@dataclass(frozen=True, slots=True)
class SessionReport:
    """Reports a session of a host.

    endpoint: where it is published. epoch: that the directory gave it; 0 before. cost: the share of a device that it
    keeps busy; 0 while it is not measured. masks: published so far. ending: why it has ended; empty while it runs.
    order: of one that was requested.
    """

    endpoint: str
    epoch: int = 0
    cost: float = 0.0
    masks: int = 0
    ending: str = ""
    order: SessionOrder | None = None


@dataclass(frozen=True, slots=True)
class HostReport:
    """Reports a host.

    incarnation: differs after each start of its process. capacity: devices that its sessions may keep busy.
    expected_cost: of a session that was not measured yet. machine, pid: of its process. server_key: the public key of
    its machine; empty without.
    """

    incarnation: str
    capacity: float
    expected_cost: float
    machine: str = ""
    pid: int = 0
    server_key: str = ""
    sessions: dict[str, SessionReport] = field(default_factory=dict)


class HostHandle(Protocol):
    """A protocol that reaches a host, without blocking. Futures raise `HostLost` where it has died."""

    def report(self) -> Future[HostReport]:
        """Report the host and its sessions."""

    def open(self, order: SessionOrder) -> Future[str]:
        """Open a session and return where it is published."""

    def mark(self, stream: str, epoch: int) -> None:
        """Let the host remember the epoch of a session, for a directory that is restarted."""

    def close(self, stream: str) -> Future[None]:
        """Close a session; one that is not there is fine."""

    def answer(self, stream: str, request: Request) -> Future[bytes]:
        """Have a session answer a request about its wearer, and return the packed reply."""

    def is_lost(self) -> bool:
        """Return whether the host has died since the last call, as far as that is known at once."""
