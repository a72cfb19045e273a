"""Places the sessions of a cluster on its hosts, opens them there, and moves them."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

from realtime.serving.cluster.placement import ClusterFull, Placement, SessionMove
from realtime.serving.cluster.stream_directory import StreamDirectory
from realtime.serving.cluster.supervised import SupervisedHost, SupervisedSession, read_last_line

RETRY_S, MOVE_RETRY_S = 1.0, 5.0
"""The time before a session that failed to open is tried again, and one that failed to move; others move meanwhile."""
FIRST_MASK_S = 2.0
"""How long a moved session stays where it was, until the new host has its first mask."""
RELIEVE_EVERY_S = 5.0
"""The time between two looks for a crowded host, which is relieved when it is found so twice: a measured cost may be
that of a busy second."""
REST_S = 30.0
"""How long a session stays on a host before it may leave it for having less to share: measured costs vary by half, and
no wearer shall be moved to and fro by that."""


class SessionMover:
    """Takes the steps of sessions between hosts, for a `ClusterSupervisor`, which holds the lock.

    A session is on one host; while it moves, the next host runs it too unless its source is exclusive, and only the
    host that the directory names is read.
    """

    def __init__(self, hosts: dict[str, SupervisedHost], directory: StreamDirectory) -> None:
        self.hosts, self.directory = hosts, directory
        self.sessions: dict[str, SupervisedSession] = {}
        self.placement = Placement()
        self.moves = 0
        """How often a session moved while its host lived."""
        self._relief_s = -math.inf  # the next time to look for a crowded host
        self._crowded = ""  # the host that was crowded the last time

    def expect_cost(self) -> float:
        """Return the mean cost of the sessions that were measured, else what the hosts expect."""
        measured = [self.placement.cost_of(stream) for stream in self.placement.sessions]
        measured = [cost for cost in measured if cost > 0]
        expected = [host.report.expected_cost for host in self.hosts.values() if host.report is not None]
        return statistics.fmean(measured or expected or [0.0])

    def place(self, session: SupervisedSession, now_s: float) -> None:
        """Open a session on the host that is then loaded least; a new one that no host has room for waits."""
        stream = session.order.stream
        if now_s < session.retry_s:
            return
        if not self.placement.cost_of(stream):
            self.placement.set_cost(stream, self.expect_cost())
        try:
            name = self.placement.place(stream, beyond_capacity=session.order.is_admitted, avoided=session.failed_on)
        except ClusterFull as full:
            if session.failed_on:
                session.failed_on.clear()  # all that could take it could not open it: the next step begins anew
            else:
                session.reason = str(full)
            return
        session.state, session.reason = "opening", f"opening on {name}"
        session.opening = self.hosts[name].handle.open(session.order)

    def advance(self, session: SupervisedSession, now_s: float) -> None:
        """Take the next step of a session that opens or moves, once what it waits for is done."""
        if session.closing is not None and session.closing.done():
            session.closing = None
            session.source = ""
            session.opening = self.hosts[self.placement.sessions[session.order.stream]].handle.open(session.order)
        if session.opening is not None and session.opening.done():
            opening, session.opening = session.opening, None
            if (error := opening.exception()) is None:
                self._receive_opened(session, opening.result(), now_s)
            else:
                session.failure = read_last_line(error)
                if session.source:
                    session.settled_s = now_s  # a crowded host lets another one go first
                    self.give_up_move(session, now_s + MOVE_RETRY_S)
                else:
                    session.failed_on.add(self.placement.sessions[session.order.stream])
                    self.wait(session, session.failure, now_s + RETRY_S)
        elif session.state == "moving" and session.endpoint and now_s > session.settled_s + FIRST_MASK_S:
            self.finish_move(session, now_s)

    def _receive_opened(self, session: SupervisedSession, endpoint: str, now_s: float) -> None:
        session.endpoint, session.settled_s = endpoint, now_s
        if not session.source:
            self.moves += session.state == "moving"
            self.publish(session, now_s)

    def publish(self, session: SupervisedSession, now_s: float) -> None:
        """Let the directory name the session's host."""
        stream = session.order.stream
        host = self.hosts[self.placement.sessions[stream]]
        location = self.directory.publish(stream, session.endpoint, host.server_key)
        host.handle.mark(stream, location.epoch)
        self.settle(session, session.endpoint, now_s)

    def settle(self, session: SupervisedSession, endpoint: str, now_s: float) -> None:
        """Record that a session runs where it is published."""
        session.state, session.reason, session.failure = "running", "", ""
        session.endpoint, session.settled_s = endpoint, now_s
        session.failed_on.clear()
        session.order = replace(session.order, is_admitted=True)

    def wait(self, session: SupervisedSession, reason: str, retry_s: float) -> None:
        """Let a session wait until it is placed."""
        self.placement.unplace(session.order.stream)
        session.state, session.reason, session.retry_s = "waiting", reason, retry_s
        session.source, session.endpoint, session.settled_s = "", "", math.inf
        session.opening = session.closing = None

    def end(self, session: SupervisedSession, reason: str) -> None:
        """End a session, wherever it runs."""
        stream = session.order.stream
        self.directory.withdraw(stream)
        for name in {self.placement.sessions.get(stream, ""), session.source} - {""}:
            self.hosts[name].handle.close(stream)
        self.placement.release(stream)
        session.state, session.reason, session.source = "ended", reason, ""
        session.opening = session.closing = None

    def drain(self, name: str, now_s: float) -> None:
        """Begin the next move from a host that is drained, after the last one is done."""
        if self.placement.is_draining(name) and not self._is_moving():
            self._begin(self.placement.next_move(name, self._list_movable(now_s)))

    def explain_stay(self, name: str) -> str:
        """Explain why sessions are still on a host that is drained; empty where they move, or none is left."""
        streams = self.placement.streams_of(name)
        if not streams or not self.placement.is_draining(name):
            return ""
        if self.placement.next_move(name, streams) is None:
            return "no other host that takes sessions has room for them"
        failed = [f"{stream} cannot move: {self.sessions[stream].failure}" for stream in streams
                  if self.sessions[stream].failure]  # fmt: skip
        return "; ".join(failed)

    def relieve(self, now_s: float) -> None:
        """Begin to move one session from a host that holds more than its capacity to one that has room.

        That is how sessions spread again that a full host took over, once the lost one is back. What is within capacity
        stays: each move costs a wearer a part of a second and its object ids. So does a source that one host can read
        at a time: it would be away for as long as it takes to open, and may be there on its machine only.
        """
        if now_s < self._relief_s:
            return
        self._relief_s = now_s + RELIEVE_EVERY_S
        movable = {
            stream for stream in self._list_movable(now_s)
            if now_s >= self.sessions[stream].settled_s + REST_S and not self.sessions[stream].order.is_exclusive
        }  # fmt: skip
        move = self.placement.next_relief(movable)
        if move is not None and move.source == self._crowded and not self._is_moving():
            self._begin(move)
        self._crowded = "" if move is None else move.source

    def _list_movable(self, now_s: float) -> set[str]:
        """List the sessions that run, and whose last move has not just failed."""
        return {stream for stream, each in self.sessions.items() if each.state == "running" and now_s >= each.retry_s}

    def _is_moving(self) -> bool:
        return any(each.state == "moving" for each in self.sessions.values())

    def _begin(self, move: SessionMove | None) -> None:
        """Begin a move, if there is one."""
        if move is None:
            return
        session = self.sessions[move.stream]
        self.placement.move(move.stream, move.target)
        session.state, session.source, session.endpoint = "moving", move.source, ""
        if session.order.is_exclusive:
            session.closing = self.hosts[move.source].handle.close(move.stream)
        else:
            session.opening = self.hosts[move.target].handle.open(session.order)

    def finish_move(self, session: SupervisedSession, now_s: float) -> None:
        """Let the directory name the next host, and close the session where it was."""
        source = self.hosts[session.source].handle
        self.publish(session, now_s)
        source.close(session.order.stream)
        session.source = ""
        self.moves += 1

    def give_up_move(self, session: SupervisedSession, retry_s: float) -> None:
        """Give up a move; the session is still where it was."""
        self.placement.move(session.order.stream, session.source)
        session.state, session.source, session.retry_s, session.opening = "running", "", retry_s, None
