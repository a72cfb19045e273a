import pytest

from realtime.comms.messages import StreamHealth
from realtime.pipeline.health import assess_health, assess_stream
from realtime.types import SourceStatus

S = 1_000_000_000
FINE, GONE = SourceStatus("running"), SourceStatus("connecting", "asking tcp://10.0.0.1:50020")


INPUTS = dict(is_ready=True, is_stopping=False, frames=FINE, gaze=FINE, frame_age_ns=S // 30, gaze_age_ns=S // 200,
              on_picture_age_ns=S // 30)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        ({}, "running", ""),
        ({"is_ready": False, "frame_age_ns": None, "frames": GONE}, "starting", "frames: none yet (asking tcp://10.0.0.1:50020)"),
        ({"frame_age_ns": 3 * S, "frames": GONE}, "degraded", "frames: stopped (asking tcp://10.0.0.1:50020)"),
        ({"gaze_age_ns": None}, "degraded", "gaze: none yet"),
        ({"frame_age_ns": S * 7 // 10}, "running", ""),
        ({"frame_age_ns": S * 7 // 10, "frame_period_ns": S // 30}, "degraded", "frames: stopped"),
        ({"gaze_age_ns": S // 2, "gaze_period_ns": S // 200}, "running", ""),  # a blink
        ({"gaze_age_ns": S * 9 // 10, "gaze_period_ns": S // 5}, "running", ""),
        ({"gaze_age_ns": 2 * S, "frame_age_ns": 5 * S}, "degraded",
         "frames: stopped; gaze: stopped"),
        ({"frames": SourceStatus("ended")}, "degraded", "frames: ended"),
        ({"frames": SourceStatus("ended", "a.mp4 was cut off")}, "degraded", "frames: ended (a.mp4 was cut off)"),
        ({"error": "encode: out of memory"}, "degraded", "encode: out of memory"),
        ({"gaze_age_ns": 9 * S, "gaze": SourceStatus("idle", "move the mouse")}, "idle", "move the mouse"),
        ({"frame_age_ns": None, "frames": SourceStatus("idle", "start it")}, "idle", "start it"),
        ({"gaze": SourceStatus("idle", "move the mouse"), "error": "encode: busy"}, "degraded", "encode: busy"),
        ({"on_picture_age_ns": 2 * S}, "idle", "the eyes are outside the picture, or closed"),
        ({"is_stopping": True, "frame_age_ns": None}, "stopping", ""),
    ],
)  # fmt: skip
def test_state_and_reason(change, state, reason):
    assert assess_health(**{**INPUTS, **change}) == (state, reason)


@pytest.mark.parametrize(
    ("rate", "usual", "age_ns", "options", "row"),
    [
        (30.0, 30.0, S // 30, {}, (33.3, True, True)),
        (27.0, 30.0, S // 30, {}, (33.3, True, True)),
        (26.9, 30.0, S // 30, {}, (33.3, True, False)),
        (26.9, 0.0, S // 30, {}, (33.3, True, True)),  # nothing is expected yet
        (0.0, 30.0, None, {}, (-1.0, False, False)),
        (20.0, 30.0, S * 7 // 10, {}, (700.0, False, False)),
        (0.5, 0.0, 3 * S, {"is_on_demand": True}, (3000.0, True, True)),
    ],
)
def test_a_stream_is_alive_for_ten_periods_and_steady_at_nine_tenths_of_its_rate(rate, usual, age_ns, options, row):
    assert assess_stream(rate, usual, age_ns, S // 30, **options) == StreamHealth(rate, usual, *row)
