"""A supervised cluster for tests: hosts that hold no engine, on a clock of their own."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from itertools import count

from realtime.config.schema import RunConfig
from realtime.serving.cluster.hosts import HostLost, HostReport, SessionOrder, SessionReport
from realtime.serving.cluster.stream_directory import StreamDirectory
from realtime.serving.cluster.supervisor import ClusterSupervisor

COST, CONFIG = 0.1, RunConfig()
_numbers = count()


def done(value=None, error=None):
    future = Future()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)
    return future


class FakeHost:
    """A host that does at once what it is asked for; while it hangs, later."""

    def __init__(self, name, capacity=1.0):
        self.name, self.capacity = name, capacity
        self.is_dead = self.is_hung = False
        self.refuses = set()  # sessions that it cannot open
        self._held = []
        self.start()

    def start(self):
        self.incarnation, self.sessions, self.is_dead, self.was_lost = str(next(_numbers)), {}, False, False

    def kill(self):
        self.sessions, self.is_dead, self.was_lost = {}, True, True
        for future, _ in self._held:
            future.set_exception(HostLost("died"))
        self._held.clear()

    def resume(self):
        self.is_hung = False
        for future, execute in self._held:
            future.set_result(execute())
        self._held.clear()

    def _do(self, execute):
        if self.is_dead:
            return done(error=HostLost(f"{self.name} is dead"))
        if not self.is_hung:
            return done(execute())
        self._held.append((Future(), execute))
        return self._held[-1][0]

    def report(self):
        return self._do(lambda: HostReport(self.incarnation, self.capacity, COST, sessions=dict(self.sessions)))

    def open(self, order):
        def execute():
            endpoint = f"tcp://10.0.0.1:{1000 + next(_numbers) % 60000}"
            known = order if order.is_requested else None
            self.sessions[order.stream] = SessionReport(endpoint, cost=COST, order=known)
            return endpoint

        if order.config.source == "file:missing.mp4":
            return done(error=RuntimeError("Traceback\nrealtime.errors.SourceError: there is no missing.mp4"))
        if order.stream in self.refuses:
            return done(error=RuntimeError(f"Traceback\nSourceError: {self.name} has no such camera"))
        return self._do(execute)

    def mark(self, stream, epoch):
        def execute():
            if (found := self.sessions.get(stream)) is not None:
                self.sessions[stream] = replace(found, epoch=epoch, masks=1)

        self._do(execute)

    def close(self, stream):
        return self._do(lambda: self.sessions.pop(stream, None) and None)

    def answer(self, stream, request):
        return self._do(lambda: f"{stream} by {self.name}".encode())

    def is_lost(self):
        was_lost, self.was_lost = self.was_lost, False
        return was_lost


class Cluster:
    def __init__(self, hosts=2, sessions=4, capacity=1.0, spares=(), exclusive=()):
        self.hosts = {name: FakeHost(name, capacity) for name in "abcdefgh"[:hosts]}
        self.orders = [SessionOrder(f"s{number}", CONFIG, f"s{number}" in exclusive) for number in range(sessions)]
        self.now_s = 1000.0
        self.directory = StreamDirectory(lambda: int(self.now_s * 1e9))
        self.supervisor = ClusterSupervisor(self.hosts, self.orders, self.directory, spares=spares)

    def run(self, seconds):
        for _ in range(int(seconds / 0.1)):
            self.now_s += 0.1
            self.supervisor.step(self.now_s)

    def holders(self):
        """By session, the hosts that run it."""
        return {
            order.stream: [name for name, host in self.hosts.items() if order.stream in host.sessions]
            for order in self.orders
        }

    def is_consistent(self):
        """Whether each session runs on one host, which the directory names."""
        for stream, holders in self.holders().items():
            location = self.directory.find(stream)
            if len(holders) != 1 or location is None:
                return False
            if self.hosts[holders[0]].sessions[stream].endpoint != location.endpoint:
                return False
        return True


def counts(cluster):
    return {name: len(host.sessions) for name, host in cluster.hosts.items()}
