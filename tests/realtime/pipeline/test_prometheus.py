"""Prometheus' own parser reads the figures of a run."""

import socket
import struct
import sys
import threading
import urllib.error
import urllib.request

import pytest

from realtime.comms.messages import HealthMessage, StreamHealth
from realtime.errors import AccessError, SettingsError, TransportError
from realtime.infra.metrics import MetricsRegistry
from realtime.pipeline import prometheus
from realtime.pipeline.prometheus import MetricsServer, PrometheusExporter, parse_address
from tests.realtime.waiting import eventually

parser = pytest.importorskip("prometheus_client.parser")

HEALTH = HealthMessage(
    "degraded", "encode: one frame takes longer than 5.0 s", {}, {}, {"frames.superseded": 7}, 100.0,
    {"backend": "fake", "model": 'a "name"\n', "precision": "f32"},
    streams={"gaze": StreamHealth(180.0, 200.0, 4.0, True, True), "masks": StreamHealth(9.0, 30.0, -1.0, False, False)},
    hung=("encode",),
)  # fmt: skip


@pytest.fixture
def exporter():
    metrics = MetricsRegistry()
    for value_ms in (0.5, 1.0, 30.0, 9000.0):
        metrics.observe("frame_to_mask", value_ms, 1)
    metrics.count_event("frames", 1)
    metrics.count_event("frames", 2)
    exporter = PrometheusExporter(metrics)
    exporter.on_health(HEALTH)
    return exporter


def read(text):
    """Return the values by (name, labels), as Prometheus reads them."""
    families = parser.text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_figures_are_those_of_the_run(exporter):
    found = read(exporter.render().decode())
    assert found["gazecast_events_total", (("stream", "frames"),)] == 2
    assert found["gazecast_dropped_total", (("reason", "frames.superseded"),)] == 7
    assert found["gazecast_memory_bytes", ()] == 100 * 2**20
    assert found["gazecast_thread_hung", (("thread", "encode"),)] == 1
    states = {labels[0][1]: value for (name, labels), value in found.items() if name == "gazecast_state"}
    assert [state for state, value in states.items() if value] == ["degraded"]
    assert len(states) == 6
    assert found["gazecast_stream_rate_hertz", (("stream", "gaze"),)] == 180
    assert found["gazecast_stream_steady", (("stream", "masks"),)] == 0
    assert ("gazecast_stream_age_seconds", (("stream", "masks"),)) not in found


def test_latencies_are_a_histogram_in_seconds(exporter):
    found = read(exporter.render().decode())
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "gazecast_latency_seconds_bucket"
    }
    assert (buckets["0.001"], buckets["0.02"], buckets["0.035"], buckets["5"], buckets["+Inf"]) == (2, 2, 3, 3, 4)
    assert list(buckets.values()) == sorted(buckets.values())
    name = (("name", "frame_to_mask"),)
    assert found["gazecast_latency_seconds_count", name] == 4
    assert found["gazecast_latency_seconds_sum", name] == pytest.approx(9.0315)


def test_the_server_answers_and_frees_its_port(exporter):
    server = MetricsServer("127.0.0.1:0", exporter)
    with urllib.request.urlopen(server.address, timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert read(answer.read().decode())["gazecast_memory_bytes", ()] > 0
    for host in ("evil.example", "[x"):  # a site whose name was made to lead here; no host at all
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(server.address, headers={"Host": host}), timeout=60)
    server.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.address, timeout=60)


def test_clients_that_send_nonsense_or_nothing_leave_no_traceback_and_no_thread(exporter, monkeypatch, capfd):
    monkeypatch.setattr(prometheus, "CLIENT_S", 0.1)
    server = MetricsServer("127.0.0.1:0", exporter)
    address = ("127.0.0.1", int(server.address.rpartition(":")[2].partition("/")[0]))
    before = threading.active_count()
    with socket.create_connection(address) as silent, socket.create_connection(address) as noisy:
        noisy.sendall(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200)
        noisy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed with a reset
        noisy.close()
        assert silent.recv(1) == b""
    eventually(lambda: threading.active_count() <= before)
    server.close()
    assert "Traceback" not in capfd.readouterr().err


def test_addresses_that_cannot_be_used_are_refused(exporter):
    with pytest.raises(AccessError, match=r"metrics at 0\.0\.0\.0:0 could be reached .* --insecure metrics"):
        MetricsServer("0.0.0.0:0", exporter)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(TransportError, match=r"metrics at 127.* choose another"),
    ):
        MetricsServer(f"127.0.0.1:{taken.getsockname()[1]}", exporter)
    assert parse_address("9464") == ("127.0.0.1", 9464)
    assert parse_address("[::1]:0") == ("::1", 0)
    for text in ("", "localhost", "127.0.0.1:70000", "a:b"):
        with pytest.raises(SettingsError, match="metrics wants HOST:PORT"):
            parse_address(text)


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SettingsError, match=r"pip install 'gazecast\[metrics\]'"):
        PrometheusExporter(MetricsRegistry())
