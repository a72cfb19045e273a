"""Holds what a supervisor knows of the hosts and sessions of a cluster."""

from __future__ import annotations

import math
import re
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from realtime.serving.cluster.hosts import HostHandle, HostReport, SessionOrder

SessionState = Literal["waiting", "opening", "running", "moving", "ended"]
HostState = Literal["starting", "up", "draining", "lost"]


@dataclass(slots=True)
class SupervisedHost:
    """Holds the state of a host, and its last report.

    is_draining: it takes no sessions until that is ended, also where its process dies meanwhile.
    """

    handle: HostHandle
    is_spare: bool
    is_draining: bool = False
    state: HostState = "starting"
    reason: str = ""
    report: HostReport | None = None
    asked_s: float = -math.inf
    pending: Future[HostReport] | None = None

    @property
    def server_key(self) -> str:
        """The public key of its machine; empty without."""
        return self.report.server_key if self.report is not None else ""


@dataclass(slots=True)
class SupervisedSession:
    """A session, which the placement has on its host, or on the next one while it moves.

    source: the host that it moves away from. settled_s: when it came to its host; reports asked for earlier lack it.
    failure: why it could not be opened the last time, where it is or was to be. failed_on: hosts that could not open it
    since it ran last.
    """

    order: SessionOrder
    state: SessionState = "waiting"
    reason: str = "not placed yet"
    failure: str = ""
    retry_s: float = 0.0
    source: str = ""
    closing: Future[None] | None = None
    opening: Future[str] | None = None
    endpoint: str = ""
    settled_s: float = math.inf
    failed_on: set[str] = field(default_factory=set)


def read_last_line(error: BaseException) -> str:
    """Return the last line of an error, without the module and name of its type.

    That of another process holds its traceback.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^(\w+\.)+\w+: ", "", lines[-1] if lines else type(error).__name__)[:300]
