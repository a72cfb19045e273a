import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.infra.metrics import WINDOW_NS, MetricsRegistry, percentiles

S = 1_000_000_000


def test_a_rate_is_events_per_second_of_the_window():
    metrics = MetricsRegistry()
    for i in range(300):
        metrics.count_event("frames", i * S // 30)
    assert metrics.snapshot(10 * S).rates["frames"] == pytest.approx(30, rel=0.02)


def test_old_events_leave_the_window():
    metrics = MetricsRegistry()
    metrics.count_event("frames", 0)
    metrics.observe("ms", 3.0, 0)
    later = metrics.snapshot(2 * WINDOW_NS)
    assert later.rates == {"frames": 0.0}
    assert later.latency_ms == {}


def test_a_slow_stream_keeps_its_period_and_values_of_the_window_only():
    metrics = MetricsRegistry()
    for second in range(100):
        metrics.count_event("frames", second * S)
        metrics.observe("ms", float(second), second * S)
    assert metrics.measure_period_ns("frames") == S
    found = metrics.snapshot(99 * S)
    assert found.rates == {"frames": 1.0}
    assert found.latency_ms["ms"]["p50"] == 97.0


def test_drops_add_up_from_the_start():
    metrics = MetricsRegistry()
    metrics.count_drop("late")
    metrics.count_drop("late", 4)
    assert metrics.snapshot(99 * S).dropped == {"late": 5}


def test_age_is_since_the_last_tick():
    metrics = MetricsRegistry()
    assert metrics.age_ns("gaze", 5) is None
    metrics.count_event("gaze", 5)
    assert metrics.age_ns("gaze", 12) == 7


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=50))
def test_percentiles_are_ordered_and_within_the_values(values):
    p = percentiles(values)
    assert min(values) - 0.06 <= p["p50"] <= p["p95"] <= p["p99"] <= max(values) + 0.06
    assert p["p50"] == pytest.approx(float(np.median(values)), abs=0.06)
