"""Holds the sessions of a host, which are opened and closed at any time, and publishes the host's own `health`."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from realtime.comms.messages import HealthMessage
from realtime.comms.requests import Request
from realtime.comms.session_requests import HostedStream
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.config.schema import RunConfig
from realtime.errors import SessionRefused
from realtime.infra.clock import now_ns, wall_ns
from realtime.infra.machine import measure_memory_mib
from realtime.infra.progress import ProgressReporter
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.session_requests import Reply
from realtime.serving.host_config import HostSettings, check_session
from realtime.serving.host_engine import HostEngine
from realtime.serving.hosted_session import HostedSession

CLOSE_S = 5.0
"""How long the end of a host waits for sessions whose sources hang."""
SETTLE_S = 0.3
"""The time after a file's last frame in which its mask is published."""
HEALTH_S, CHECK_S = 1.0, 0.1
MAX_ENDED = 64
"""Sessions that ended by themselves and are still listed."""
FAULTY = ("degraded", "failed")
log = logging.getLogger(__name__)


class SessionHost:
    """A host of sessions from its construction to `close`; every method from any thread.

    A session that ends by itself is stopped and stays listed, until another takes its name.
    """

    def __init__(
        self,
        settings: HostSettings,
        socket: PublisherSocket,
        engine: HostEngine,
        progress: ProgressReporter,
        *,
        observe_health: Callable[[HealthMessage], None] = lambda health: None,
    ) -> None:
        """Make a host without sessions, which publishes nothing before `start`.

        observe_health: receives the host's.
        """
        self._settings, self._socket, self._engine, self._progress = settings, socket, engine, progress
        self._observe_health = observe_health
        self._publisher = MessagePublisher(socket, settings.name, now_ns)
        self._lock = threading.Lock()
        self._names: dict[str, RunConfig] = {}  # of sessions that are open, being opened or being closed
        self._sessions: dict[str, HostedSession] = {}
        self._ended: dict[str, HostedStream] = {}
        self.access = {"publish": socket.access.kind}
        """Who may connect by output, for `health`."""
        self.drop_counts: Callable[[], dict[str, int]] = dict
        """Counts the drops of the host's other outputs, for `health`."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="gazecast-host", daemon=True)

    def start(self) -> None:
        """Begin to publish `health`, and to stop sessions that have ended."""
        self._thread.start()

    def open_session(self, config: RunConfig, *, is_admitted: bool = False) -> None:
        """Open a session, which starts on threads of its own.

        is_admitted: another host has run it, so that it is not refused.
        Raises `SessionRefused` where the engine is too slow for one more, `SettingsError` where it cannot run beside
        the others, and the errors of its inputs and outputs.
        """
        stream = config.publish.stream
        with self._lock:
            if stream in self._names and stream not in self._sessions:
                raise SessionRefused(f"session {stream} is being opened or closed; ask again later")
            check_session(config, list(self._names.values()), self._settings)
            if self._stopping.is_set():
                raise SessionRefused("the host is stopping")
            admission = self._engine.share.admit(len(self._names))
            if not (is_admitted or admission.is_admitted):
                raise SessionRefused(f"the host has no room for one more: {admission.reason}")
            self._names[stream] = config
        try:
            session = HostedSession(
                config, self._progress, self._socket, self._engine, max_fps=self._settings.max_fps,
            )  # fmt: skip
        except BaseException:
            self._forget(stream)
            raise
        with self._lock:
            self._ended.pop(stream, None)
            self._sessions[stream] = session
        session.start()
        if self._stopping.is_set():  # `close` may have missed it
            session.stop()

    def close_session(self, stream: str) -> None:
        """Close a session, after which nothing is published under its name; raises `SessionRefused` for none."""
        with self._lock:
            if stream in self._names and not (stream in self._sessions or stream in self._ended):
                raise SessionRefused(f"session {stream} is being opened or closed; ask again later")
            session = self._sessions.pop(stream, None)
            was_ended = self._ended.pop(stream, None) is not None
        if session is None and not was_ended:
            raise SessionRefused(f"no session is called {stream!r}; there are {self._describe_names()}")
        if session is not None:
            self._stop(session)

    def find_session(self, stream: str | None) -> HostedSession:
        """Return the open session of a stream, the only one for None; raises `SessionRefused`."""
        sessions = self.sessions()
        if stream is None and len(sessions) == 1:
            return sessions[0]
        found = next((session for session in sessions if session.stream == stream), None)
        if found is None:
            problem = "name a stream" if stream is None else f"no session is called {stream!r}"
            raise SessionRefused(f"{problem}; there are {self._describe_names()}")
        return found

    def submit(self, stream: str | None, request: Request, reply: Reply) -> None:
        """Have the session of a stream answer a request, see `SessionRequests.submit`; raises `SessionRefused`."""
        self.find_session(stream).requests.submit(request, reply)

    def sessions(self) -> list[HostedSession]:
        """Return the open sessions."""
        with self._lock:
            return list(self._sessions.values())

    def list_streams(self) -> list[HostedStream]:
        """Return the states of all sessions, and of those that ended by themselves."""
        with self._lock:
            ended = list(self._ended.values())
        return [session.status() for session in self.sessions()] + ended

    def add_failure(self, config: RunConfig, source: str, reason: str) -> None:
        """List a session that could not be opened."""
        with self._lock:
            self._ended[config.publish.stream] = HostedStream(config.publish.stream, source, "failed", reason)

    def describe_engine(self) -> dict[str, Any]:
        """Return the engine, what it is used for, and how many wearers fit."""
        return self._engine.share.describe()

    def close(self) -> None:
        """Close all sessions at once, within a second where no source hangs; idempotent."""
        self._stopping.set()
        stops = [
            threading.Thread(target=session.stop, name=f"gazecast-close {session.stream}", daemon=True)
            for session in self.sessions()
        ]
        for thread in stops:
            thread.start()
        until_ns = now_ns() + round(CLOSE_S * 1e9)
        for thread in [*stops, *([self._thread] if self._thread.ident is not None else [])]:
            thread.join(max(0.0, (until_ns - now_ns()) / 1e9))
        if self._thread.ident is not None:
            self._report("stopping")

    def _forget(self, stream: str) -> None:
        with self._lock:
            self._names.pop(stream, None)

    def _describe_names(self) -> str:
        with self._lock:
            return ", ".join(self._sessions) or "none"

    # -- the host's thread --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        reported_ns = 0
        while not self._stopping.wait(CHECK_S):
            self._engine.share.check_engine()
            if ended := [session for session in self.sessions() if session.has_ended]:
                self._stopping.wait(SETTLE_S)
            for session in ended:
                self._end(session)
            if now_ns() - reported_ns >= HEALTH_S * 1e9:
                reported_ns = now_ns()
                try:
                    self._report()
                except Exception:  # of one report; sessions that end must be stopped all the same
                    log.exception("the host cannot report its health")

    def _end(self, session: HostedSession) -> None:
        """List a session as ended, and stop it on a thread of its own: its source may hang."""
        with self._lock:
            if self._sessions.get(session.stream) is not session:
                return  # closed meanwhile
            del self._sessions[session.stream]
            self._ended[session.stream] = session.status()
            while len(self._ended) > MAX_ENDED:
                self._ended.pop(next(iter(self._ended)))
        threading.Thread(target=self._stop, args=(session,), name="gazecast-end", daemon=True).start()

    def _stop(self, session: HostedSession) -> None:
        session.stop()
        self._forget(session.stream)

    def _count_drops(self) -> dict[str, int]:
        refused = self._socket.refused_peers
        return {**self.drop_counts(), **({"publish.refused_peers": refused} if refused else {})}

    def _report(self, state: str = "") -> None:
        """Publish the host's `health`."""
        streams, sessions = self.list_streams(), self.sessions()
        state, reason = (state, "") if state else assess_host(streams, self._engine.share.find_overload())
        rates: Counter[str] = Counter()
        for health in (session.health for session in sessions):
            rates.update(health.rates if health is not None else {})
        health = HealthMessage.from_fields({
            "state": state, "reason": reason, "rates": {name: round(rate, 1) for name, rate in rates.items()},
            "latency_ms": {}, "dropped": self._count_drops(), "memory_mib": measure_memory_mib(),
            "engine": self.describe_engine(), "wall_ns": wall_ns(), "access": self.access,
            "sessions": {each.stream: each.state for each in streams},
        })  # fmt: skip
        self._publisher.publish("health", health.to_fields())
        self._observe_health(health)


def assess_host(streams: Sequence[HostedStream], overload: str) -> tuple[str, str]:
    """Return the state of a host and its reason, from those of its sessions and an overload of its engine. Pure."""
    faulty = [f"{each.stream}: {each.reason or each.state}" for each in streams if each.state in FAULTY]
    if overload or faulty:
        return "degraded", "; ".join([*filter(None, [overload]), *faulty])
    states = {each.state for each in streams}
    if "running" in states:
        return "running", ""
    if states & {"starting", "preparing"}:
        return "starting", ""
    return "idle", "" if streams else "no session"
