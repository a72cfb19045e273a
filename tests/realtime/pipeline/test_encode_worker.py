"""An encode that takes too long is a problem, from its first moment on."""

from types import SimpleNamespace

import numpy as np
import pytest

from realtime.infra import heartbeat
from realtime.pipeline import encode_worker
from realtime.pipeline.context import PipelineContext, PipelineOptions
from realtime.pipeline.encode_worker import FIRST_LIMIT_S, LEAST_LIMIT_S, EncodeWorker
from realtime.pipeline.publisher import MessagePublisher
from realtime.types import Frame

S = 1_000_000_000
FAST, SLOW = [S // 10] * 4, [S // 10, S, S // 2]


@pytest.mark.parametrize(
    ("durations", "size", "limit_s"),
    [
        ([], (6, 4), FIRST_LIMIT_S),
        ([S // 10], (6, 4), FIRST_LIMIT_S),  # which compiled the graph
        (FAST, (6, 4), LEAST_LIMIT_S),
        (SLOW, (6, 4), 4.0),
        (FAST, (8, 4), FIRST_LIMIT_S),  # pictures of another size need another graph
    ],
)
def test_an_encode_may_take_some_times_the_usual(monkeypatch, durations, size, limit_s):
    now = [0]
    for module in (encode_worker, heartbeat):
        monkeypatch.setattr(module, "now_ns", lambda: now[0])
    publisher = MessagePublisher(SimpleNamespace(send=lambda topic, payload: True), "test", lambda: 0)
    context = PipelineContext(PipelineOptions(), publisher)
    worker, problems, left = EncodeWorker(context), [], list(durations)
    [beat] = context.heartbeats

    def put(width, height):
        context.to_encode.put(Frame(np.zeros((height, width, 3), np.uint8), 0, 0.0, 0, 0))

    def encode(image):
        if left:
            now[0] += left.pop(0)
            put(*((6, 4) if left else size))
            return
        problems.extend(beat.problem(now[0] + round(limit_s * S) + more_ns) for more_ns in (0, 1))
        context.to_encode.close()

    put(*((6, 4) if left else size))
    assert beat.problem(9 * S) == ""
    worker.run(SimpleNamespace(encode=encode, needs_keyframe=False))
    assert problems == ["", f"encode: one frame takes longer than {limit_s:.1f} s"]
    assert beat.problem(99 * S) == ""
