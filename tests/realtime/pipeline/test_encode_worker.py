"""How long an encode lasts is known from its first moment on."""

from types import SimpleNamespace

import numpy as np

from realtime.pipeline import encode_worker
from realtime.pipeline.context import PipelineContext, PipelineOptions
from realtime.pipeline.encode_worker import EncodeWorker
from realtime.pipeline.publisher import MessagePublisher
from realtime.types import Frame


def test_an_encode_that_began_at_time_0_is_busy(monkeypatch):
    monkeypatch.setattr(encode_worker, "now_ns", lambda: 0)
    publisher = MessagePublisher(SimpleNamespace(send=lambda topic, payload: True), "test", lambda: 0)
    context = PipelineContext(PipelineOptions(), publisher)
    worker, seen = EncodeWorker(context), []

    def encode(image):
        seen.append(worker.busy_ns(6_000_000_000))
        context.to_encode.close()

    context.to_encode.put(Frame(np.zeros((4, 6, 3), np.uint8), 0, 0.0, 0, 0))
    assert worker.busy_ns(1) == 0
    worker.run(SimpleNamespace(encode=encode))
    assert seen == [6_000_000_000]
    assert worker.busy_ns(1) == 0
