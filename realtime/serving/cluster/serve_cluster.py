"""Runs `gazecast serve --ray`: starts hosts and a directory on a cluster, and ends them again."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from realtime.comms.directory import format_stream_address
from realtime.comms.messages import HealthMessage
from realtime.config.cluster import ClusterSettings
from realtime.errors import ClusterError, RunFailed
from realtime.infra.clock import wall_ns
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.machine import measure_memory_mib
from realtime.pipeline.prometheus import HostsExporter, MetricsServer
from realtime.serving.cluster.hosts import SessionOrder
from realtime.serving.cluster.ray_actors import CALLS, DirectoryActor, HostActor
from realtime.serving.cluster.ray_runtime import LOCAL, join_cluster
from realtime.serving.host_config import HostConfig
from realtime.session.view import RunView

POLL_S, DESCRIBE_S = 0.1, 1.0
ANSWER_S = 5.0
"""How long an actor may take to answer; the directory while Ray restarts it, too."""
START_S = 60.0
"""How long the process of the directory may take to start."""
CLOSE_S = 3.0


def serve_cluster(config: HostConfig, view: RunView, address: str, *, stop: threading.Event | None = None) -> None:
    """Serve on a cluster until an interrupt, until `stop` is set, or until all sessions of one without requests ended.

    address: local for a cluster of this process alone, else HOST:PORT of a cluster that this machine is part of.
    Raises `ClusterError` or `SettingsError` when it cannot start, `RunFailed` where no host could be opened.
    """
    settings, stop = config.cluster, stop or threading.Event()
    cpus = max(os.cpu_count() or 1, math.ceil((settings.hosts + settings.spares) * settings.cpus))
    with contextlib.ExitStack() as stack:
        view.progress.show_line(f"{'starting Ray' if address == LOCAL else f'joining Ray at {address}'}")
        ray = stack.enter_context(join_cluster(address, cpus=cpus, timeout_s=settings.connect_s))
        interrupts = stack.enter_context(InterruptHandler())
        cluster = stack.enter_context(_start_actors(ray, config))
        if config.defaults.metrics:
            is_open = "metrics" in config.defaults.access.insecure
            server = MetricsServer(config.defaults.metrics, HostsExporter(cluster.render_metrics), is_open=is_open)
            stack.callback(server.close)
            view.progress.show_line(f"metrics of all hosts at {server.address}")
        described = cluster.describe(START_S)
        endpoint = described["directory"]
        if described["requests"]:
            view.progress.show_line(f"opening and closing sessions at {described['requests']}")
        for order in cluster.orders:
            view.progress.show_line(f"{order.stream}: {format_stream_address(endpoint, order.stream)}")
        view.on_ready(f"{len(cluster.orders)} sessions", f"the directory {endpoint}")
        _watch(cluster, view, interrupts, stop)


class RunningCluster:
    """The actors of a cluster, by their handles."""

    def __init__(self, ray: Any, hosts: dict[str, Any], directory: Any, orders: list[SessionOrder]) -> None:
        self._ray, self.hosts, self.directory, self.orders = ray, hosts, directory, orders

    def describe(self, timeout_s: float = ANSWER_S) -> dict[str, Any]:
        """Describe hosts and sessions; raises `ClusterError` where the directory does not answer."""
        try:
            described: dict[str, Any] = self._ray.get(self.directory.describe.remote(), timeout=timeout_s)
        except self._ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ClusterError(
                f"the directory does not answer: {lines[-1] if lines else type(error).__name__}"
            ) from None
        return described

    def render_metrics(self) -> dict[str, bytes]:
        """Return the figures of all hosts that answer, as Prometheus' text by host."""
        asked = {actor.render_metrics.remote(): name for name, actor in self.hosts.items()}
        done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=DESCRIBE_S)
        texts = {}
        for each in done:
            with contextlib.suppress(self._ray.exceptions.RayError):  # of a host that has just died
                texts[asked[each]] = self._ray.get(each)
        return texts

    def close(self) -> None:
        """End the directory, then the hosts with their sessions."""
        calls = [self.directory.close.remote(), *(actor.shut_down.remote() for actor in self.hosts.values())]
        self._ray.wait(calls, num_returns=len(calls), timeout=CLOSE_S)
        for actor in (self.directory, *self.hosts.values()):
            self._ray.kill(actor)


@contextlib.contextmanager
def _start_actors(ray: Any, config: HostConfig) -> Iterator[RunningCluster]:
    settings = _choose_hosts(ray, config.cluster)
    options = {"max_restarts": -1, "max_concurrency": CALLS}
    host_type = ray.remote(
        num_cpus=settings.cpus, num_gpus=settings.gpus, scheduling_strategy="SPREAD", **options
    )(HostActor)  # fmt: skip
    names = [f"host-{number}" for number in range(1, settings.hosts + 1)]
    spares = [f"spare-{number}" for number in range(1, settings.spares + 1)]
    hosts = {name: host_type.options(name=name).remote(config, settings) for name in (*names, *spares)}
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    orders = [SessionOrder.of(each) for each in config.sessions]
    directory = ray.remote(num_cpus=0, scheduling_strategy=here, **options)(DirectoryActor).remote(
        list(hosts), spares, orders, config, settings
    )
    cluster = RunningCluster(ray, hosts, directory, orders)
    try:
        yield cluster
    finally:
        cluster.close()


def _choose_hosts(ray: Any, settings: ClusterSettings) -> ClusterSettings:
    """Choose the number of hosts, where the settings leave it open: by GPU, else by machine."""
    if settings.hosts:
        return settings
    gpus = ray.cluster_resources().get("GPU", 0.0)
    if gpus:
        each = settings.gpus or 1.0
        return replace(settings, gpus=each, hosts=max(1, int(gpus / each) - settings.spares))
    machines = sum(node["Alive"] for node in ray.nodes())
    return replace(settings, hosts=max(1, machines))


def _watch(cluster: RunningCluster, view: RunView, interrupts: InterruptHandler, stop: threading.Event) -> None:
    """Report the state once a second until the end."""
    described_s, failures = -math.inf, 0
    while not (stop.is_set() or interrupts.is_requested):
        if time.monotonic() - described_s >= DESCRIBE_S:
            described_s = time.monotonic()
            try:
                described, failures = cluster.describe(), 0
            except ClusterError as error:  # while Ray restarts it
                failures += 1
                view.on_health(_make_health({}, "degraded", str(error)))
            else:
                view.on_health(_make_health(described, *assess_cluster(described)))
                reasons = [host["reason"] for host in described["hosts"]]
                if all(reasons) and all(host["state"] == "starting" for host in described["hosts"]):
                    raise RunFailed(f"no host could be opened: {reasons[0]}")
                if described["has_ended"]:
                    return
        stop.wait(POLL_S)


def assess_cluster(described: dict[str, Any]) -> tuple[str, str]:
    """Return the state of a cluster and its reason, from what the directory describes. Pure."""
    problems = [
        f"{host['name']} {'is lost' if host['state'] == 'lost' else 'does not start'}: {host['reason']}"
        for host in described["hosts"]
        if host["state"] == "lost" or (host["state"] == "starting" and host["reason"])
    ]
    problems += [f"{stream}: {reason}" for stream, reason in described["waiting"].items()]
    if any(host["state"] == "starting" for host in described["hosts"]):
        return "starting", "; ".join(problems)
    return ("degraded", "; ".join(problems)) if problems else ("running", "")


def _make_health(described: dict[str, Any], state: str, reason: str) -> HealthMessage:
    hosts = {host["name"]: f"{host['state']}, {len(host['streams'])} sessions" for host in described.get("hosts", ())}
    sessions = {stream: "running" for host in described.get("hosts", ()) for stream in host["streams"]}
    sessions.update(dict.fromkeys(described.get("waiting", ()), "waiting"))
    return HealthMessage.from_fields({
        "state": state, "reason": reason, "rates": {}, "latency_ms": {},
        "dropped": described.get("dropped", {}), "access": described.get("access", {}),
        "memory_mib": measure_memory_mib(), "engine": hosts, "wall_ns": wall_ns(), "sessions": sessions,
    })  # fmt: skip
