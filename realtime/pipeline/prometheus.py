"""Exports the run's figures to Prometheus: as the page's `/metrics`, or from a server of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, get_args

from realtime.comms.hosts import is_loopback, split_url
from realtime.comms.keys import explain_exposure
from realtime.comms.messages import HealthMessage
from realtime.errors import AccessError, SettingsError, TransportError
from realtime.infra.metrics import BUCKETS_MS, LatencyHistogram, MetricsRegistry
from realtime.pipeline.health import HealthState
from realtime.pipeline.observers import PipelineObserver

JOIN_S = 1.0
CLIENT_S = 10.0
"""How long a client may take to send its request, or to read the answer; each has a thread."""
log = logging.getLogger(__name__)
PROCESS_FIGURES = ("gazecast_memory_bytes", "gazecast_engine")
"""Figures that the sessions of a process have in common."""


class PrometheusExporter(PipelineObserver):
    """An observer that keeps the newest `health`, and writes it and the totals of a registry as Prometheus' text."""

    name = "metrics"

    def __init__(self, metrics: MetricsRegistry, health: HealthMessage | None = None) -> None:
        """health: the newest so far. Raises `SettingsError` where the library is not installed."""
        try:
            import prometheus_client
            from prometheus_client import core
        except ImportError as error:
            raise SettingsError(
                "metrics need prometheus-client, which is not installed; pip install 'gazecast[metrics]'"
            ) from error
        self._client, self._families = prometheus_client, core
        self._metrics = metrics
        self._health = health
        self.registry = prometheus_client.CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def on_health(self, health: HealthMessage) -> None:
        """Keep the newest."""
        self._health = health

    def render(self) -> bytes:
        """Return all figures as text; from any thread."""
        return self._client.generate_latest(self.registry)

    def collect(self) -> Iterator[Any]:
        """Yield the families of figures, for the library."""
        totals, families = self._metrics.totals(), self._families
        events = families.CounterMetricFamily(
            "gazecast_events", "Frames, gaze samples, masks, keyframes and more since the start.", labels=["stream"]
        )
        for name, count in totals.events.items():
            events.add_metric([name], count)
        yield events
        latency = families.HistogramMetricFamily(
            "gazecast_latency_seconds",
            "Latencies, the age of the keyframe behind a mask, and durations of stages.",
            labels=["name"],
        )
        for name, histogram in totals.latencies.items():
            latency.add_metric([name], _cumulate(histogram), histogram.sum_ms / 1e3)
        yield latency
        if self._health is not None:
            yield from self._collect_health(self._health)

    def _collect_health(self, health: HealthMessage) -> Iterator[Any]:
        dropped = self._families.CounterMetricFamily(
            "gazecast_dropped", "Data that was lost or skipped since the start, by reason.", labels=["reason"]
        )
        for name, count in health.dropped.items():
            dropped.add_metric([name], count)
        yield dropped
        states = {state: float(state == health.state) for state in get_args(HealthState)}
        yield self._gauges("gazecast_state", "1 for the present state of the run.", "state", states)
        streams = health.streams.items()
        seen = [(key, row) for key, row in streams if row.age_ms >= 0]
        for name, text, values in (
            ("rate_hertz", "Rate over the last five seconds.", {key: row.rate for key, row in streams}),
            ("usual_rate_hertz", "Rate that is expected; 0 for none.", {key: row.usual for key, row in streams}),
            (
                "age_seconds",
                "Time since the last message.",
                {key: row.age_ms / 1e3 for key, row in seen},
            ),
            ("alive", "1 while it is younger than ten periods.", {key: float(row.is_alive) for key, row in streams}),
            ("steady", "1 at 90 % of the usual rate.", {key: float(row.is_steady) for key, row in streams}),
        ):
            yield self._gauges(f"gazecast_stream_{name}", text, "stream", values)
        hung = dict.fromkeys(health.hung, 1.0)
        yield self._gauges("gazecast_thread_hung", "1 for each thread that has missed its deadline.", "thread", hung)
        memory = self._families.GaugeMetricFamily("gazecast_memory_bytes", "Resident memory of the process.")
        memory.add_metric([], health.memory_mib * 2**20)
        yield memory
        engine = {key: str(health.engine.get(key, "")) for key in ("backend", "model", "precision", "device")}
        yield self._families.InfoMetricFamily("gazecast_engine", "The engine.", value=engine)

    def _gauges(self, name: str, text: str, label: str, values: dict[str, float]) -> Any:
        family = self._families.GaugeMetricFamily(name, text, labels=[label])
        for key, value in values.items():
            family.add_metric([key], value)
        return family


class SessionsExporter:
    """Writes the figures of all sessions of a host as Prometheus' text, with the label `session`."""

    name = "metrics"

    def __init__(self, read: Callable[[], Mapping[str, tuple[MetricsRegistry, HealthMessage | None]]]) -> None:
        """read: returns the registry and the newest `health` of each session by its stream; from any thread.

        Raises `SettingsError` where the library is not installed.
        """
        self._read = read
        self._process = PrometheusExporter(MetricsRegistry())
        self.registry = self._process.registry
        self.registry.unregister(self._process)
        self.registry.register(self)

    def collect(self) -> Iterator[Any]:
        """Yield the families of figures, for the library."""
        merged: dict[str, Any] = {}
        for stream, (metrics, health) in self._read().items():
            for family in PrometheusExporter(metrics, health).collect():
                known = merged.setdefault(family.name, family)
                label = {} if family.name in PROCESS_FIGURES else {"session": stream}
                samples = [sample._replace(labels={**sample.labels, **label}) for sample in family.samples]
                if known is family:
                    family.samples = samples
                elif label:
                    known.samples += samples
        yield from merged.values()

    def render(self) -> bytes:
        """Return all figures as text; from any thread."""
        return self._process.render()


class HostsExporter:
    """Writes the figures of all hosts of a cluster, with the label `host`."""

    name = "metrics"

    def __init__(self, read: Callable[[], Mapping[str, bytes]]) -> None:
        """read: returns each host's figures as text, by its name; from any thread.

        Raises `SettingsError` where the library is not installed.
        """
        self._read = read
        process = PrometheusExporter(MetricsRegistry())
        process.registry.unregister(process)
        self.registry = process.registry
        self.registry.register(self)

    def collect(self) -> Iterator[Any]:
        """Yield the families of figures, for the library."""
        from prometheus_client.parser import text_string_to_metric_families

        merged: dict[str, Any] = {}
        for host, text in self._read().items():
            for family in text_string_to_metric_families(text.decode()):
                samples = [sample._replace(labels={"host": host, **sample.labels}) for sample in family.samples]
                known = merged.setdefault(family.name, family)
                known.samples = samples if known is family else [*known.samples, *samples]
        yield from merged.values()


class MetricsServer:
    """A server of `/metrics` for runs without a page, between `__init__` and `close`."""

    def __init__(
        self, address: str, exporter: PrometheusExporter | SessionsExporter | HostsExporter, *, is_open: bool = False
    ) -> None:
        """Bind and serve. is_open: other machines may connect, without a password.

        Raises `SettingsError` for what is no address, `AccessError` for one that other machines can reach,
        `TransportError` for one that cannot be used.
        """
        from prometheus_client import start_http_server

        host, port = parse_address(address)
        if not (is_open or is_loopback(host)):
            raise AccessError(explain_exposure(address, exporter.name))
        try:
            self._server, self._thread = start_http_server(port, host, exporter.registry)
        except OSError as error:
            raise TransportError(
                f"metrics at {host}:{port}: {error.strerror or error}; choose another address, or port 0 for a free one"
            ) from error
        server: Any = self._server
        server.handle_error = _log_error
        server.RequestHandlerClass = type("MetricsHandler", (server.RequestHandlerClass,), {"timeout": CLIENT_S})
        if not is_open:
            self._server.set_app(_refuse_other_hosts(self._server.get_app()))
        bound = self._server.server_port
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{bound}/metrics"

    def close(self) -> None:
        """Free the port, within a second."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(JOIN_S)


def _log_error(request: Any, address: Any) -> None:
    """Log that an answer failed, such as of a client that has gone; the library would print a traceback."""
    log.debug("metrics: a client got no answer", exc_info=True)


def _refuse_other_hosts(app: Any) -> Callable[..., Any]:
    """Wrap an app so that it answers requests for this machine only: a site's name may be made to lead here."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if is_loopback(split_url(f"//{environ.get('HTTP_HOST', 'localhost')}")[0]):
            return app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"these figures are at this machine's own address, not at that host\n"]

    return answer


def parse_address(text: str) -> tuple[str, int]:
    """Read (host, port) of HOST:PORT or PORT, which is at the loopback address; raises `SettingsError`."""
    host, _, port = text.rpartition(":")
    if not (port.isdecimal() and int(port) < 65536):
        raise SettingsError(f"metrics wants HOST:PORT or PORT, such as 127.0.0.1:9464, got {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def _cumulate(histogram: LatencyHistogram) -> list[tuple[str, float]]:
    """Return (upper bound in seconds, number of latencies up to it) of every bucket."""
    bounds = [*(f"{bound / 1e3:g}" for bound in BUCKETS_MS), "+Inf"]
    return list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
