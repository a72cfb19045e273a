"""Decides which host holds which session, by measured costs and capacities. Pure.

Costs and capacities are in devices: a session of cost 0.1 keeps a tenth of a host of capacity 1 busy.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass

from realtime.errors import ClusterError

TOLERANCE = 1e-9
"""Sums of costs that differ by less are the same."""


class ClusterFull(ClusterError):
    """A session that no host has room for. fitting: how many of its cost the hosts can hold in all."""

    def __init__(self, message: str, fitting: int) -> None:
        super().__init__(message)
        self.fitting = fitting


@dataclass(frozen=True, slots=True)
class SessionMove:
    """A session that shall move from one host to another."""

    stream: str
    source: str
    target: str


class Placement:
    """A plan of sessions on hosts. The same calls in the same order give the same plan.

    A session goes to the host that is then loaded least, relative to its capacity.
    """

    def __init__(self) -> None:
        self._capacities: dict[str, float] = {}
        self._draining: set[str] = set()
        self._costs: dict[str, float] = {}
        self._hosts: dict[str, str] = {}

    @property
    def hosts(self) -> Mapping[str, float]:
        """The capacity of each host."""
        return self._capacities

    @property
    def sessions(self) -> Mapping[str, str]:
        """The host of each session."""
        return self._hosts

    def set_host(self, host: str, capacity: float) -> None:
        """Add a host, or update its capacity; what it holds stays even where that is too much now."""
        self._capacities[host] = capacity if math.isfinite(capacity) and capacity > 0 else 0.0

    def remove_host(self, host: str) -> list[str]:
        """Remove a host and return the sessions that it held, the most expensive first: they are placed nowhere now."""
        self._capacities.pop(host, None)
        self._draining.discard(host)
        lost = self.streams_of(host)
        for stream in lost:
            del self._hosts[stream]
        return self.sort_by_cost(lost)

    def set_draining(self, host: str, is_draining: bool) -> None:
        """Let a host take no new sessions, or take them again; raises `ClusterError` for an unknown one."""
        if host not in self._capacities:
            known = ", ".join(sorted(self._capacities)) or "none"
            raise ClusterError(f"there is no host {host!r:.80}; known: {known}")
        (self._draining.add if is_draining else self._draining.discard)(host)

    def is_draining(self, host: str) -> bool:
        """Return whether a host takes no new sessions."""
        return host in self._draining

    def set_cost(self, stream: str, cost: float) -> None:
        """Set the cost of a session, placed or not; what cannot be a cost counts as none."""
        self._costs[stream] = cost if math.isfinite(cost) and cost > 0 else 0.0

    def cost_of(self, stream: str) -> float:
        """Return the cost of a session; 0 where it is not known."""
        return self._costs.get(stream, 0.0)

    def find_host(self, stream: str, *, avoided: Collection[str] = ()) -> str:
        """Find the host where a session would go; raises `ClusterFull` with the reason, and how many the hosts hold."""
        cost = self.cost_of(stream)
        if (best := self._choose(cost, self._open_hosts(avoided))) is None:
            raise self._explain_full(stream, cost)
        return best

    def place(self, stream: str, *, beyond_capacity: bool = False, avoided: Collection[str] = ()) -> str:
        """Place a session and return its host; raises `ClusterFull` as `find_host`.

        beyond_capacity: where no host has room, it goes to the one that is then loaded least. avoided: hosts that it
        does not go to.
        """
        try:
            self._hosts[stream] = self.find_host(stream, avoided=avoided)
        except ClusterFull:
            usable = [host for host in self._open_hosts(avoided) if self._capacities[host] > 0]
            if not (beyond_capacity and usable):
                raise
            self._hosts[stream] = self._least_loaded(self.cost_of(stream), usable)
        return self._hosts[stream]

    def move(self, stream: str, host: str) -> None:
        """Record that a session is on a host now."""
        self._hosts[stream] = host

    def unplace(self, stream: str) -> None:
        """Take a session from its host, if it is on one."""
        self._hosts.pop(stream, None)

    def release(self, stream: str) -> None:
        """Forget a session."""
        self._hosts.pop(stream, None)
        self._costs.pop(stream, None)

    def next_relief(self, movable: Container[str]) -> SessionMove | None:
        """Choose the next session to leave a host that holds more than its capacity.

        It is the most expensive of `movable` that another host has room for, unless that one would then be the fuller
        of the two; None where there is none.
        """
        crowded = [host for host in self._open_hosts() if self._room(host) < -TOLERANCE]
        for source in sorted(crowded, key=self._room):
            others = self._open_hosts((source,))
            for stream in self.sort_by_cost(self.streams_of(source)):
                cost = self.cost_of(stream)
                if stream not in movable or (target := self._choose(cost, others)) is None:
                    continue
                if self._share(target, cost) <= self._share(source, -cost) + TOLERANCE:
                    return SessionMove(stream, source, target)
        return None

    def next_move(self, host: str, movable: Container[str]) -> SessionMove | None:
        """Choose the next session to leave a host that is drained, the most expensive of `movable` that fits."""
        targets = self._open_hosts((host,))
        for stream in self.sort_by_cost(each for each in self.streams_of(host) if each in movable):
            if (target := self._choose(self.cost_of(stream), targets)) is not None:
                return SessionMove(stream, host, target)
        return None

    def streams_of(self, host: str) -> list[str]:
        """List the sessions of a host, sorted by name."""
        return sorted(stream for stream, holder in self._hosts.items() if holder == host)

    def sort_by_cost(self, streams: Iterable[str]) -> list[str]:
        """Sort sessions by cost, the most expensive first: placed in this order they fit best."""
        return sorted(streams, key=lambda stream: (-self.cost_of(stream), stream))

    def load_of(self, host: str) -> float:
        """Return the sum of the costs on a host."""
        return math.fsum(self.cost_of(stream) for stream in self.streams_of(host))

    def count_fitting(self, cost: float) -> int:
        """Count how many more sessions of one cost would fit."""
        if cost <= TOLERANCE:
            return 0
        return sum(max(0, math.floor((self._room(host) + TOLERANCE) / cost)) for host in self._open_hosts())

    def _open_hosts(self, avoided: Collection[str] = ()) -> list[str]:
        return sorted(self._capacities.keys() - self._draining - set(avoided))

    def _room(self, host: str) -> float:
        return self._capacities[host] - self.load_of(host)

    def _choose(self, cost: float, hosts: Iterable[str]) -> str | None:
        """Choose the host that a session would load least."""
        fitting = [host for host in hosts if self._capacities[host] > 0 and cost <= self._room(host) + TOLERANCE]
        return self._least_loaded(cost, fitting) if fitting else None

    def _least_loaded(self, cost: float, hosts: Iterable[str]) -> str:
        return min(hosts, key=lambda host: (self._share(host, cost), host))

    def _share(self, host: str, more: float) -> float:
        """Return the share of a host's capacity that is taken with a further load; infinite without capacity."""
        capacity = self._capacities[host]
        return (self.load_of(host) + more) / capacity if capacity > 0 else math.inf

    def _explain_full(self, stream: str, cost: float) -> ClusterFull:
        hosts = self._open_hosts()
        if not hosts:
            drained = f"; {len(self._draining)} being drained" if self._draining else ""
            return ClusterFull(f"no room for {stream!r}: there is no host now{drained}", 0)
        most = max(0.0, *map(self._room, hosts))
        fitting = sum(math.floor((self._capacities[host] + TOLERANCE) / max(cost, TOLERANCE)) for host in hosts)
        return ClusterFull(
            f"no room for {stream!r}: by what was measured it takes {cost:.0%} of a device, and no host has more than "
            f"{most:.0%} left; in all, {len(hosts)} hosts hold {fitting} of its cost",
            fitting,
        )
