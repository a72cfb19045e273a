"""Encodes that fail are counted, except that which the end of a run leaves behind."""

from types import SimpleNamespace

import numpy as np
import pytest

from engines import EngineUnavailable
from realtime.pipeline.context import PipelineContext, PipelineOptions
from realtime.pipeline.encode_worker import EncodeWorker
from realtime.pipeline.publisher import MessagePublisher
from realtime.types import Frame

FRAME = Frame(np.zeros((4, 6, 3), np.uint8), 0, 0.0, 0, 0)


@pytest.mark.parametrize(("is_stopping", "dropped"), [(False, {"encode.failed": 1}), (True, {})])
def test_an_encode_that_the_end_of_a_run_leaves_behind_is_no_failure(is_stopping, dropped, caplog):
    publisher = MessagePublisher(SimpleNamespace(send=lambda topic, payload: True), "test", lambda: 0)
    context = PipelineContext(PipelineOptions(open_recognizer=lambda encoder: None), publisher)

    def encode(image):
        context.to_encode.close()
        if is_stopping:
            context.stopping.set()
        raise EngineUnavailable("left behind")

    context.to_encode.put(FRAME)
    EncodeWorker(context).run(SimpleNamespace(encode=encode))
    assert context.metrics.snapshot(0).dropped == dropped
    assert ("left behind" in caplog.text) != is_stopping
