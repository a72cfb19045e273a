"""Objects are recognized in a bounded share of the time of encoding, and a run goes on without them."""

from types import SimpleNamespace

import numpy as np
import pytest

from realtime.pipeline import recognition
from realtime.pipeline.context import PipelineContext, PipelineOptions
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.recognition import RecognitionWorker
from realtime.types import Frame

FRAME = Frame(np.zeros((4, 6, 3), np.uint8), 0, 0.0, 0, 0)


class Recognizer:
    """Takes `cost_ns` of a clock that stands still otherwise."""

    def __init__(self, clock, cost_ns=20, fails=False):
        self.clock, self.cost_ns, self.fails, self.closed = clock, cost_ns, fails, 0

    def recognize(self, image):
        if self.fails:
            raise RuntimeError("broken")
        self.clock[0] += self.cost_ns
        return ("object",)

    def close(self):
        self.closed += 1


def make_worker(recognizer, **options):
    publisher = MessagePublisher(SimpleNamespace(send=lambda topic, payload: True), "test", lambda: 0)
    options = PipelineOptions(open_recognizer=lambda encoder: recognizer, **options)
    return RecognitionWorker(PipelineContext(options, publisher))


@pytest.fixture
def clock(monkeypatch):
    now = [0]
    monkeypatch.setattr(recognition, "now_ns", lambda: now[0])
    return now


@pytest.mark.parametrize(("share", "every"), [(0.1, 2), (0.05, 4), (0.2, 1), (1.0, 1)])
def test_searches_take_their_share_of_the_time_of_encoding(clock, share, every):
    worker = make_worker(Recognizer(clock, cost_ns=20), recognizer_share=share)
    worker.open_now(None)
    found = [worker.recognize(FRAME, 100) for _ in range(40)]
    searched = [index for index, objects in enumerate(found) if objects is not None]
    assert set(np.diff(searched)) == {every}


def test_every_frame_is_searched_where_every_frame_counts(clock):
    worker = make_worker(Recognizer(clock), recognizer_share=0.0, every_frame=True)
    worker.open_now(None)
    assert [worker.recognize(FRAME, 100) for _ in range(5)] == [("object",)] * 5


def test_nothing_is_searched_before_the_recognizer_is_open_or_without_one(clock):
    worker = make_worker(None)
    assert worker.recognize(FRAME, 100) is None
    worker.open(None)
    assert worker.recognize(FRAME, 100) is None
    worker.close()


def test_an_error_is_counted_and_the_run_goes_on(clock):
    recognizer = Recognizer(clock)
    worker = make_worker(recognizer, every_frame=True)
    worker.open_now(None)
    recognizer.fails = True
    assert worker.recognize(FRAME, 100) is None
    assert worker._context.metrics.snapshot(0).dropped == {"recognizer.failed": 1}
    recognizer.fails = False
    assert worker.recognize(FRAME, 100) == ("object",)
    worker.close()
    assert recognizer.closed == 1


def test_a_stop_before_the_first_keyframe_opens_nothing(clock):
    opened = []
    publisher = MessagePublisher(SimpleNamespace(send=lambda topic, payload: True), "test", lambda: 0)
    context = PipelineContext(PipelineOptions(open_recognizer=opened.append), publisher)
    worker = RecognitionWorker(context)
    context.stopping.set()
    worker.release()
    worker.open(None)
    assert not opened
