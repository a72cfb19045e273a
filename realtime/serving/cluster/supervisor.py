"""Supervises a cluster: places sessions, publishes where they are, and moves them when hosts die or are drained."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from realtime.comms.directory import StreamLocation
from realtime.comms.requests import Request
from realtime.comms.session_requests import HostedStream
from realtime.config.schema import RunConfig
from realtime.errors import ClusterError, SessionRefused
from realtime.serving.cluster.hosts import HostHandle, HostReport, SessionOrder, SessionReport
from realtime.serving.cluster.placement import ClusterFull
from realtime.serving.cluster.session_mover import SessionMover
from realtime.serving.cluster.stream_directory import StreamDirectory
from realtime.serving.cluster.supervised import SupervisedHost, SupervisedSession, read_last_line
from realtime.sources.names import redact_source

REPORT_EVERY_S = 0.25
SILENCE_S = 3.0
"""A host that has not reported for so long is lost; one that hangs, or a machine without network."""
COST_AFTER_S = 10.0
"""How long a session runs on a host before that one's measurement of its cost counts; until then the earlier one does.
A host that has just opened its first sessions measures a tenth of what they take."""
MAX_ENDED = 64
"""Sessions that ended by themselves and are still listed; of more, the first ones are not."""
START_S = 60.0
"""How long a host may take until its first report, before sessions are placed without it."""


class ClusterSupervisor:
    """A supervisor that is stepped by one thread, and asked by others."""

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
        self._hosts = {name: SupervisedHost(handle, name in spares) for name, handle in hosts.items()}
        self._mover = SessionMover(self._hosts, directory)
        self._placement, self._sessions = self._mover.placement, self._mover.sessions
        self._sessions.update({order.stream: SupervisedSession(order) for order in orders})
        self._began_s: float | None = None
        self.lost_hosts = 0
        """How often a host was lost."""

    # -- asked from any thread ----------------------------------------------------------------------------------------

    def add_session(self, order: SessionOrder) -> None:
        """Add a session, which a step places; raises `ClusterError` where one is there, or there is no room."""
        with self._lock:
            known = self._sessions.get(order.stream)
            if known is not None and known.state != "ended":
                raise ClusterError(f"a session of stream {order.stream!r} is there already")
            self._placement.set_cost(order.stream, self._mover.expect_cost())
            try:
                self._placement.find_host(order.stream)
            except ClusterFull:
                self._placement.release(order.stream)
                raise
            self._sessions.pop(order.stream, None)  # it stands last
            self._sessions[order.stream] = SupervisedSession(order)

    def remove_session(self, stream: str) -> None:
        """End a session; raises `ClusterError` for an unknown one."""
        with self._lock:
            if stream not in self._sessions:
                raise ClusterError(f"there is no session of stream {stream!r:.80}")
            self._mover.end(self._sessions.pop(stream), "closed")

    def list_configs(self) -> list[RunConfig]:
        """Return the settings of the sessions that have not ended."""
        with self._lock:
            return [each.order.config for each in self._sessions.values() if each.state != "ended"]

    def list_streams(self) -> list[HostedStream]:
        """Return the states of all sessions, and of those that ended by themselves."""
        with self._lock:
            return [
                HostedStream(stream, redact_source(each.order.config.source), each.state, each.reason)
                for stream, each in sorted(self._sessions.items())
            ]

    def find_failure(self, stream: str) -> str | None:
        """Return why a session could not be opened, empty once it is; None while that is not known yet."""
        with self._lock:
            if (session := self._sessions.get(stream)) is None:
                return "it was closed"
            return "" if session.state in ("running", "moving", "ended") else session.failure or None

    def answer(self, stream: str | None, request: Request) -> Future[bytes]:
        """Have the host of a stream answer a request about its wearer, the only one for None.

        Raises `SessionRefused` where no host runs it now.
        """
        with self._lock:
            streams = [stream] if stream is not None else list(self._sessions)
            session = self._sessions.get(streams[0]) if len(streams) == 1 else None
            if session is None:
                problem = "name a stream" if stream is None else f"no session is called {stream!r:.80}"
                raise SessionRefused(f"{problem}; there are {', '.join(sorted(self._sessions)) or 'none'}")
            host = session.source or self._placement.sessions.get(streams[0])
            if session.state not in ("running", "moving") or host is None:
                raise SessionRefused(f"session {streams[0]} is {session.state}: {session.reason}; ask again later")
            return self._hosts[host].handle.answer(streams[0], request)

    def set_draining(self, host: str, is_draining: bool) -> None:
        """Begin or end draining a host; raises `ClusterError` for an unknown one."""
        with self._lock:
            if (known := self._hosts.get(host)) is None:
                raise ClusterError(f"there is no host {host!r:.80}; known: {', '.join(sorted(self._hosts))}")
            known.is_draining = is_draining
            if known.state in ("up", "draining"):
                self._apply_draining(host, known)

    def _apply_draining(self, name: str, host: SupervisedHost) -> None:
        host.state = "draining" if host.is_draining else "up"
        if name in self._placement.hosts:  # a spare is not
            self._placement.set_draining(name, host.is_draining)

    @property
    def moves(self) -> int:
        """How often a session moved while its host lived."""
        return self._mover.moves

    def describe_hosts(self) -> dict[str, Any]:
        """Return hosts, and sessions that do not run, as maps for the directory's clients."""
        with self._lock:
            hosts = [
                {
                    "name": name, "state": host.state, "spare": host.is_spare,
                    "reason": host.reason or self._mover.explain_stay(name),
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
                "pid": os.getpid(), "fitting": self._placement.count_fitting(self._mover.expect_cost()),
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
                self._mover.place(self._sessions[stream], now_s)
            for session in self._sessions.values():
                self._mover.advance(session, now_s)
            for name in self._hosts:
                self._mover.drain(name, now_s)
            self._mover.relieve(now_s)
            ended = [stream for stream, each in self._sessions.items() if each.state == "ended"]
            for stream in ended[:-MAX_ENDED]:
                del self._sessions[stream]

    def _watch(self, name: str, host: SupervisedHost, now_s: float) -> None:
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
                host.reason = read_last_line(error)
            else:
                self._receive(name, host, pending.result(), now_s)
        elif now_s > host.asked_s + SILENCE_S:
            self._lose(name, host, now_s)

    def _lose(self, name: str, host: SupervisedHost, now_s: float) -> None:
        """Let the sessions of a host that was lost wait for another one."""
        if host.state in ("starting", "lost"):
            return
        host.state, host.report = "lost", None
        self.lost_hosts += 1
        for stream in self._placement.remove_host(name):
            session = self._sessions[stream]
            if session.source and session.closing is None:  # it was to move there, and is still where it was
                self._mover.give_up_move(session, 0.0)
            else:
                self._mover.wait(session, f"its host {name} was lost", 0.0)
        for session in self._sessions.values():
            if session.source == name:
                session.source, session.state = "", "opening"
                if session.endpoint:  # it has opened where it was to move to
                    self._mover.publish(session, now_s)
        self._promote_spares()

    def _promote_spares(self) -> None:
        """Let spares take the places of hosts that are lost, which become the spares."""
        spares = [(name, host) for name, host in self._hosts.items() if host.is_spare and host.state == "up"]
        lost = [host for host in self._hosts.values() if host.state == "lost" and not host.is_spare]
        for (name, spare), host in zip(spares, lost, strict=False):
            spare.is_spare, host.is_spare = False, True
            if spare.report is not None:
                self._placement.set_host(name, spare.report.capacity)

    def _receive(self, name: str, host: SupervisedHost, report: HostReport, now_s: float) -> None:
        """Update what is known of a host and its sessions by its report."""
        if host.report is not None and host.report.incarnation != report.incarnation:
            self._lose(name, host, now_s)
        host.report, host.reason = report, ""
        is_first = host.state == "starting"
        if is_first and any(found.epoch for found in report.sessions.values()):
            host.is_spare = False  # it took another one's place before this supervisor was restarted
        if not host.is_spare:
            self._placement.set_host(name, report.capacity)
        if host.state in ("starting", "lost"):
            self._apply_draining(name, host)
            self._promote_spares()
        for stream, found in report.sessions.items():
            if is_first and found.order is not None:  # opened by a request before this supervisor was restarted
                self._sessions.setdefault(stream, SupervisedSession(found.order))
            self._receive_session(name, host, stream, found)
        for stream in self._placement.streams_of(name):
            session = self._sessions[stream]
            if session.state == "running" and session.settled_s < host.asked_s and stream not in report.sessions:
                self._mover.wait(session, f"its host {name} lost it", 0.0)

    def _receive_session(self, name: str, host: SupervisedHost, stream: str, found: SessionReport) -> None:
        session = self._sessions.get(stream)
        holder = self._placement.sessions.get(stream)
        if session is not None and session.state == "waiting" and self._is_newest(stream, found):
            # this supervisor was restarted, or the host was silent for a while
            self._directory.restore(StreamLocation(stream, found.endpoint, found.epoch, host.server_key))
            self._placement.move(stream, name)
            if not self._placement.cost_of(stream):  # which was measured before the restart
                self._placement.set_cost(stream, found.cost)
            self._mover.settle(session, found.endpoint, host.asked_s)
        elif session is None or name not in (holder, session.source):
            host.handle.close(stream)
        elif name == holder:
            if found.cost > 0 and host.asked_s >= session.settled_s + COST_AFTER_S:
                self._placement.set_cost(stream, found.cost)
            if found.ending and session.settled_s < host.asked_s:
                self._mover.end(session, found.ending)
            elif session.state == "moving" and session.endpoint and found.masks:
                self._mover.finish_move(session, host.asked_s)

    def _is_newest(self, stream: str, found: SessionReport) -> bool:
        """Return whether a session was published by its host, and by no other since."""
        known = self._directory.find(stream)
        return bool(found.epoch) and not found.ending and (known is None or known.epoch <= found.epoch)
