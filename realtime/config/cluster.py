"""Defines the settings of a cluster. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.comms.directory import DEFAULT_DIRECTORY


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Holds the settings of a cluster of hosts.

    hosts: number of hosts, each with an engine of its own; 0 for one for each GPU, or for each machine without GPUs.
    spares: further hosts, whose engines are open, that take sessions only after another host was lost.
    gpus: GPUs that Ray gives each host; a fraction lets hosts share one. 0 for none.
    cpus: CPU cores that Ray counts as taken by each host; it does not enforce them.
    directory: address tcp://HOST:PORT where programs ask for streams; on the machine that `serve` runs on.
    first_port, last_port: ports where hosts publish, for firewalls; 0 for any free port.
    connect_s: seconds within which the address of the cluster must take a connection. Where that is no Ray, or another
        token is needed, Ray gives up after a minute more.
    """

    hosts: int = 0
    spares: int = 0
    gpus: float = 0.0
    cpus: float = 1.0
    directory: str = DEFAULT_DIRECTORY
    first_port: int = 0
    last_port: int = 0
    connect_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what Ray cannot place, and ports that are none."""
        if not (0 <= self.hosts <= 1024 and 0 <= self.spares <= 1024):
            raise ValueError(f"hosts and spares must be 0 to 1024, got {self.hosts} and {self.spares}")
        if not (0 <= self.gpus <= 1 or (1 < self.gpus <= 1024 and self.gpus == int(self.gpus))):
            raise ValueError(f"gpus must be a fraction of one, or a whole number up to 1024, got {self.gpus}")
        if not 0 <= self.cpus <= 1024:
            raise ValueError(f"cpus must be 0 to 1024, got {self.cpus}")
        if not 0 <= self.first_port <= self.last_port <= 65535:
            raise ValueError(f"ports must be 0 to 65535, first to last, got {self.first_port} to {self.last_port}")
        if self.directory.rpartition(":")[2] == "0":
            raise ValueError(f"directory must be at a port that programs can know, 1 to 65535, got {self.directory!r}")
        if not 0 < self.connect_s <= 600:
            raise ValueError(f"connect_s must be above 0, at most 600, got {self.connect_s}")

    @property
    def ports(self) -> range:
        """The ports where hosts publish; only 0 where any will do."""
        return range(self.first_port, self.last_port + 1)
