"""The graphs of a first correction are compiled when the start is over, and only as long as the run lasts."""

import threading

import pytest

from engines import EngineSettings, load
from engines.graphs import CORRECTION
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.pipeline import correction_graphs
from realtime.pipeline.context import PipelineOptions
from realtime.pipeline.correction_graphs import START_S, prepare_correction
from realtime.pipeline.pipeline import Pipeline
from realtime.pipeline.publisher import MessagePublisher
from realtime.tracking.tracker import Tracker
from realtime.types import SourceStatus
from tests.realtime.waiting import eventually

SIZE = (640, 360)


class Stopping(threading.Event):
    """An event that is never waited for; it is set after so many questions."""

    def __init__(self, questions=99):
        super().__init__()
        self.questions, self.waited = questions, []

    def wait(self, timeout=None):
        self.waited.append(timeout)
        return self.is_set()

    def is_set(self):
        self.questions -= 1
        return self.questions < 0


class NotingDecoder:
    """The fake engine's decoder; notes what is compiled."""

    def __init__(self, decoder):
        self.info, self.decode, self.close = decoder.info, decoder.decode, decoder.close
        self.prepared = []

    def prepare(self, frame_size, side=None, uses=()):
        self.prepared += [(frame_size, side, use) for use in uses]


@pytest.fixture
def engine():
    encoder, decoder = load(EngineSettings(backend="fake"), None)
    return encoder, NotingDecoder(decoder)


@pytest.mark.parametrize(
    ("questions", "size", "uses"), [(99, SIZE, CORRECTION), (2, SIZE, CORRECTION[:1]), (0, SIZE, ()), (99, None, ())]
)
def test_graphs_are_compiled_after_the_start_until_the_end(questions, size, uses, engine):
    stopping = Stopping(questions)
    prepare_correction(engine[1], lambda: size, stopping)
    assert stopping.waited == [START_S]
    assert engine[1].prepared == [(SIZE, None, use) for use in uses]


class NoSource:
    """A source that gives nothing."""

    def start(self, put):
        pass

    def stop(self):
        pass

    def status(self):
        return SourceStatus("waiting")


def test_a_run_with_a_fixed_side_compiles_them(engine, monkeypatch):
    monkeypatch.setattr(correction_graphs, "START_S", 0.0)
    publisher = PublisherSocket("tcp://127.0.0.1:0")
    pipeline = Pipeline(
        NoSource(), NoSource(), lambda size: engine, Tracker,
        MessagePublisher(publisher, "a test", lambda: 0), PipelineOptions(frame_size=SIZE),
    )  # fmt: skip
    try:
        pipeline.start()
        eventually(lambda: [use for *_, use in engine[1].prepared] == list(CORRECTION), "the graphs of a correction")
    finally:
        pipeline.stop()
        publisher.close()
    assert {size for size, *_ in engine[1].prepared} == {SIZE}
