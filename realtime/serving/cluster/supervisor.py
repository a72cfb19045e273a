"""Supervises a cluster: places sessions, publishes where they are, and moves them when hosts die or are drained."""

from __future__ import annotations

import math
import os
import statistics
import threading
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from realtime.comms.directory import StreamLocation
from realtime.errors import ClusterError
from realtime.serving.cluster.hosts import HostHandle, HostReport, SessionOrder, SessionReport
from realtime.serving.cluster.placement import ClusterFull, Placement
from realtime.serving.cluster.stream_directory import StreamDirectory

REPORT_EVERY_S = 0.25
SILENCE_S = 3.0
"""A host that has not reported for so long is lost; one that hangs, or a machine without network."""
START_S = 60.0
"""How long a host may take until its first report, before sessions are placed without it."""
RETRY_S = 1.0
"""The time before a session that failed to open is tried again."""
FIRST_MASK_S = 2.0
"""How long a moved session stays where it was, until the new host has its first mask."""

SessionState = Literal["waiting", "opening", "running", "moving", "ended"]
HostState = Literal["starting", "up", "draining", "lost"]


@dataclass(slots=True)
class _Host:
    handle: HostHandle
    is_spare: bool
    state: HostState = "starting"
    reason: str = ""
    report: HostReport | None = None
    asked_s: float = -math.inf
    pending: Future[HostReport] | None = None


@dataclass(slots=True)
class _Session:
    """A session, which the placement has on its host, or on the next one while it moves.

    source: the host that it moves away from. settled_s: when it came to its host; reports asked for earlier lack it.
    """

    order: SessionOrder
    state: SessionState = "waiting"
    reason: str = "not placed yet"
    retry_s: float = 0.0
    source: str = ""
    closing: Future[None] | None = None
    opening: Future[str] | None = None
    endpoint: str = ""
    settled_s: float = math.inf


class ClusterSupervisor:
    """A supervisor that is stepped by one thread, and asked by others.

    A session is on one host; while it moves, the next host runs it too unless its source is exclusive, and only the
    host that the directory names is read.
    """

    def __init__(
        self,
        hosts: Mapping[str, HostHandle],
        orders: Iterable[SessionOrder],
        directory: StreamDirectory,
        *,
        spares: Collection[str] = (),
    ) -> None:
        """spares: hosts that take sessions only after another was lost."""
        self._lock = threading.RLock()
        self._directory = directory
        self._placement = Placement()
        self._hosts = {name: _Host(handle, name in spares) for name, handle in hosts.items()}
        self._sessions = {order.stream: _Session(order) for order in orders}
        self._began_s: float | None = None
        self.lost_hosts = self.moves = 0
        """How often a host was lost, and a session moved while its host lived."""

    # -- asked from any thread ----------------------------------------------------------------------------------------

    def add_session(self, order: SessionOrder) -> None:
        """Add a session, which a step places; raises `ClusterError` where one is there, or there is no room."""
        with self._lock:
            known = self._sessions.get(order.stream)
            if known is not None and known.state != "ended":
                raise ClusterError(f"a session of stream {order.stream!r} is there already")
            self._placement.set_cost(order.stream, self._expect_cost())
            self._placement.find_host(order.stream)
            self._sessions[order.stream] = _Session(order)

    def remove_session(self, stream: str) -> None:
        """End a session; raises `ClusterError` for an unknown one."""
        with self._lock:
            if stream not in self._sessions:
                raise ClusterError(f"there is no session of stream {stream!r:.80}")
            self._end(self._sessions.pop(stream), "closed")

    def set_draining(self, host: str, is_draining: bool) -> None:
        """Begin or end draining a host; raises `ClusterError` for an unknown one."""
        with self._lock:
            self._placement.set_draining(host, is_draining)
            self._hosts[host].state = "draining" if is_draining else "up"

    def describe_hosts(self) -> dict[str, Any]:
        """Return hosts, and sessions that do not run, as maps for the directory's clients."""
        with self._lock:
            hosts = [
                {
                    "name": name, "state": host.state, "reason": host.reason, "spare": host.is_spare,
                    "machine": host.report.machine if host.report else "", "pid": host.report.pid if host.report else 0,
                    "capacity": self._placement.hosts.get(name, 0.0), "load": self._placement.load_of(name),
                    "streams": self._placement.streams_of(name),
                }
                for name, host in sorted(self._hosts.items())
            ]  # fmt: skip
            waiting = {
                stream: session.reason
                for stream, session in sorted(self._sessions.items())
                if session.state not in ("running", "moving")
            }
            return {
                "hosts": hosts, "waiting": waiting, "lost_hosts": self.lost_hosts, "moves": self.moves,
                "pid": os.getpid(), "fitting": self._placement.count_fitting(self._expect_cost()),
            }  # fmt: skip

    def has_ended(self) -> bool:
        """Return whether there were sessions, and all of them have ended by themselves."""
        with self._lock:
            return bool(self._sessions) and all(each.state == "ended" for each in self._sessions.values())

    # -- the supervisor's thread --------------------------------------------------------------------------------------

    def step(self, now_s: float) -> None:
        """Receive what the hosts report, and take the next steps of all sessions; never waits."""
        with self._lock:
            self._began_s = now_s if self._began_s is None else self._began_s
            for name, host in self._hosts.items():
                self._watch(name, host, now_s)
            is_starting = any(host.state == "starting" for host in self._hosts.values())
            if is_starting and now_s < self._began_s + START_S:
                return  # a host may hold sessions that it took before this supervisor was restarted
            waiting = [stream for stream, each in self._sessions.items() if each.state == "waiting"]
            for stream in self._placement.sort_by_cost(waiting):
                self._place(self._sessions[stream], now_s)
            for session in self._sessions.values():
                self._advance(session, now_s)
            for name in self._hosts:
                self._drain(name, now_s)

    def _watch(self, name: str, host: _Host, now_s: float) -> None:
        if host.handle.is_lost():
            host.pending = None  # which may have been answered before
            self._lose(name, host, now_s)
        if host.pending is None:
            if now_s >= host.asked_s + REPORT_EVERY_S:
                host.pending, host.asked_s = host.handle.report(), now_s
        elif host.pending.done():
            pending, host.pending = host.pending, None
            if (error := pending.exception()) is not None:
                self._lose(name, host, now_s)
                host.reason = _last_line(error)
            else:
                self._receive(name, host, pending.result(), now_s)
        elif now_s > host.asked_s + SILENCE_S:
            self._lose(name, host, now_s)

    def _lose(self, name: str, host: _Host, now_s: float) -> None:
        """Let the sessions of a host that was lost wait for another one."""
        if host.state in ("starting", "lost"):
            return
        host.state, host.report = "lost", None
        self.lost_hosts += 1
        for stream in self._placement.remove_host(name):
            session = self._sessions[stream]
            if session.source and session.closing is None:  # it was to move there, and is still where it was
                self._return(session, 0.0)
            else:
                self._wait(session, f"its host {name} was lost", 0.0)
        for session in self._sessions.values():
            if session.source == name:
                session.source, session.state = "", "opening"
                if session.endpoint:  # it has opened where it was to move to
                    self._publish(session, now_s)
        self._promote_spare(host)

    def _promote_spare(self, lost: _Host) -> None:
        """Let a spare take the place of a host that was lost, which becomes the spare."""
        spare = next((each for each in self._hosts.values() if each.is_spare and each.state == "up"), None)
        if spare is not None and not lost.is_spare:
            spare.is_spare, lost.is_spare = False, True
            for name, host in self._hosts.items():
                if host is spare and host.report is not None:
                    self._placement.set_host(name, host.report.capacity)

    def _receive(self, name: str, host: _Host, report: HostReport, now_s: float) -> None:
        """Update what is known of a host and its sessions by its report."""
        if host.report is not None and host.report.incarnation != report.incarnation:
            self._lose(name, host, now_s)
        host.report, host.reason = report, ""
        if host.state in ("starting", "lost"):
            host.state = "up"
        if not host.is_spare:
            self._placement.set_host(name, report.capacity)
        for stream, found in report.sessions.items():
            self._receive_session(name, host, stream, found)
        for stream in self._placement.streams_of(name):
            session = self._sessions[stream]
            if session.state == "running" and session.settled_s < host.asked_s and stream not in report.sessions:
                self._wait(session, f"its host {name} lost it", 0.0)

    def _receive_session(self, name: str, host: _Host, stream: str, found: SessionReport) -> None:
        session = self._sessions.get(stream)
        holder = self._placement.sessions.get(stream)
        if session is not None and session.state == "waiting" and self._is_newest(stream, found):
            # this supervisor was restarted, or the host was silent for a while
            self._directory.restore(StreamLocation(stream, found.endpoint, found.epoch, _key_of(host)))
            self._placement.move(stream, name)
            self._settle(session, found.endpoint, host.asked_s)
        elif session is None or name not in (holder, session.source):
            host.handle.close(stream)
        elif name == holder:
            if found.cost > 0:
                self._placement.set_cost(stream, found.cost)
            if found.ending and session.settled_s < host.asked_s:
                self._end(session, found.ending)
            elif session.state == "moving" and session.endpoint and found.masks:
                self._finish_move(session, host.asked_s)

    def _is_newest(self, stream: str, found: SessionReport) -> bool:
        """Return whether a session was published by its host, and by no other since."""
        known = self._directory.find(stream)
        return bool(found.epoch) and not found.ending and (known is None or known.epoch <= found.epoch)

    # -- sessions -----------------------------------------------------------------------------------------------------

    def _expect_cost(self) -> float:
        """Return the mean cost of the sessions that were measured, else what the hosts expect."""
        measured = [self._placement.cost_of(stream) for stream in self._placement.sessions]
        measured = [cost for cost in measured if cost > 0]
        expected = [host.report.expected_cost for host in self._hosts.values() if host.report is not None]
        return statistics.fmean(measured or expected or [0.0])

    def _place(self, session: _Session, now_s: float) -> None:
        stream = session.order.stream
        if now_s < session.retry_s:
            return
        if not self._placement.cost_of(stream):
            self._placement.set_cost(stream, self._expect_cost())
        try:
            name = self._placement.place(stream)
        except ClusterFull as full:
            session.reason = str(full)
            return
        session.state, session.reason = "opening", f"opening on {name}"
        session.opening = self._hosts[name].handle.open(session.order)

    def _advance(self, session: _Session, now_s: float) -> None:
        """Take the next step of a session that opens or moves, once what it waits for is done."""
        if session.closing is not None and session.closing.done():
            session.closing = None
            session.source = ""
            session.opening = self._hosts[self._placement.sessions[session.order.stream]].handle.open(session.order)
        if session.opening is not None and session.opening.done():
            opening, session.opening = session.opening, None
            if (error := opening.exception()) is None:
                self._receive_opened(session, opening.result(), now_s)
            elif session.source:
                self._return(session, now_s + RETRY_S)
            else:
                self._wait(session, _last_line(error), now_s + RETRY_S)
        elif session.state == "moving" and session.endpoint and now_s > session.settled_s + FIRST_MASK_S:
            self._finish_move(session, now_s)

    def _receive_opened(self, session: _Session, endpoint: str, now_s: float) -> None:
        session.endpoint, session.settled_s = endpoint, now_s
        if not session.source:
            self.moves += session.state == "moving"
            self._publish(session, now_s)

    def _publish(self, session: _Session, now_s: float) -> None:
        """Let the directory name the session's host."""
        stream = session.order.stream
        host = self._hosts[self._placement.sessions[stream]]
        location = self._directory.publish(stream, session.endpoint, _key_of(host))
        host.handle.mark(stream, location.epoch)
        self._settle(session, session.endpoint, now_s)

    def _settle(self, session: _Session, endpoint: str, now_s: float) -> None:
        session.state, session.reason, session.endpoint, session.settled_s = "running", "", endpoint, now_s

    def _wait(self, session: _Session, reason: str, retry_s: float) -> None:
        """Let a session wait until it is placed."""
        self._placement.unplace(session.order.stream)
        session.state, session.reason, session.retry_s = "waiting", reason, retry_s
        session.source, session.endpoint, session.settled_s = "", "", math.inf
        session.opening = session.closing = None

    def _end(self, session: _Session, reason: str) -> None:
        stream = session.order.stream
        self._directory.withdraw(stream)
        for name in {self._placement.sessions.get(stream, ""), session.source} - {""}:
            self._hosts[name].handle.close(stream)
        self._placement.release(stream)
        session.state, session.reason, session.source = "ended", reason, ""
        session.opening = session.closing = None

    # -- moves --------------------------------------------------------------------------------------------------------

    def _drain(self, name: str, now_s: float) -> None:
        """Begin the next move from a host that is drained, after the last one is done."""
        if not self._placement.is_draining(name) or any(each.state == "moving" for each in self._sessions.values()):
            return
        move = self._placement.next_move(name)
        if move is None:
            return
        session = self._sessions[move.stream]
        if session.state != "running" or now_s < session.retry_s:
            return
        self._placement.move(move.stream, move.target)
        session.state, session.source, session.endpoint = "moving", name, ""
        if session.order.is_exclusive:
            session.closing = self._hosts[name].handle.close(move.stream)
        else:
            session.opening = self._hosts[move.target].handle.open(session.order)

    def _finish_move(self, session: _Session, now_s: float) -> None:
        source = self._hosts[session.source].handle
        self._publish(session, now_s)
        source.close(session.order.stream)
        session.source = ""
        self.moves += 1

    def _return(self, session: _Session, retry_s: float) -> None:
        """Give up a move; the session is still where it was."""
        self._placement.move(session.order.stream, session.source)
        session.state, session.source, session.retry_s, session.opening = "running", "", retry_s, None


def _key_of(host: _Host) -> str:
    return host.report.server_key if host.report is not None else ""


def _last_line(error: BaseException) -> str:
    """Return the last line of an error: that of a process that died holds its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
