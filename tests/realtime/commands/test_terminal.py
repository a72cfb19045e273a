import json

from realtime.commands.terminal import format_json_line, format_status_line
from realtime.comms.messages import HealthMessage
from realtime.infra import machine


def health(**change):
    values = dict(
        state="running", reason="", rates={"frames": 24.0, "gaze": 200.0, "masks": 23.6, "keyframes": 4.2},
        latency_ms={"gaze_to_mask": {"p50": 40.1, "p95": 61.0, "p99": 80.2}, "keyframe_age": {"p50": 130.0}},
        dropped={"a": 1, "b": 2}, memory_mib=300.0, engine={"backend": "fake"},
    )  # fmt: skip
    return HealthMessage(**{**values, **change})


def test_the_line_has_rates_latency_age_and_drops():
    line = format_status_line(health())
    for part in (
        "running",
        "frames 24/s",
        "gaze 200/s",
        "masks 24/s",
        "keyframes 4.2/s",
        "40/61/80 ms",
        "130 ms",
        "dropped 3",
    ):
        assert part in line


def test_the_line_of_a_start_has_dashes_and_the_reason():
    line = format_status_line(health(state="starting", reason="frames: none yet", rates={}, latency_ms={}))
    assert line.startswith("starting: frames: none yet")
    assert "gaze to mask -" in line


def test_json_has_everything():
    assert json.loads(format_json_line(health()))["latency_ms"]["gaze_to_mask"]["p99"] == 80.2


def test_memory_grows_when_memory_is_taken():
    before = machine.measure_memory_mib()
    taken = bytearray(b"x" * (64 << 20))
    assert machine.measure_memory_mib() - before > 50
    del taken
