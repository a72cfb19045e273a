"""A call that takes too long is a problem, from its first moment on."""

import pytest

from realtime.infra import heartbeat
from realtime.pipeline import watched_calls
from realtime.pipeline.watched_calls import DEADLINE_S, FIRST_DEADLINE_S, WatchedCalls

S = 1_000_000_000
FAST, SLOW = [S // 10] * 4, [S // 10, S, S // 2]


@pytest.mark.parametrize(
    ("durations", "size", "limit_s"),
    [
        ([], (6, 4), FIRST_DEADLINE_S),
        ([S // 10], (6, 4), FIRST_DEADLINE_S),  # which compiled the graph
        (FAST, (6, 4), DEADLINE_S),
        (SLOW, (6, 4), 4.0),
        (FAST, (8, 4), FIRST_DEADLINE_S),  # pictures of another size need another graph
    ],
)
def test_an_encode_may_take_some_times_the_usual(monkeypatch, durations, size, limit_s):
    now, problems = [0], []
    for module in (watched_calls, heartbeat):
        monkeypatch.setattr(module, "now_ns", lambda: now[0])
    calls = WatchedCalls("encode", "frame", lambda: False)
    beat = calls.heartbeat

    def last(*_):
        problems.extend(beat.problem(now[0] + round(limit_s * S) + more_ns) for more_ns in (0, 1))

    assert beat.problem(9 * S) == ""
    for duration in durations:
        calls.run(lambda more_ns=duration: now.__setitem__(0, now[0] + more_ns), (6, 4), can_abandon=False)
    calls.run(last, size, can_abandon=False)
    assert problems == ["", f"encode: one frame takes longer than {limit_s:.1f} s"]
    assert beat.problem(99 * S) == ""
