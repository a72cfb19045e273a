"""Objects are recognized in a bounded share of the time of encoding, and a run goes on without them."""

from types import SimpleNamespace

import numpy as np
import pytest

from engines import EngineUnavailable
from engines.recognition.detected_objects import DetectedObjects
from engines.recognition.name_words import encode_name
from realtime.comms.requests import SetWordRequest
from realtime.errors import CommandRejected
from realtime.pipeline import recognition, request_handler
from realtime.pipeline.context import PipelineContext, PipelineOptions
from realtime.pipeline.publisher import MessagePublisher
from realtime.pipeline.recognition import RecognitionWorker
from realtime.pipeline.words import MAX_WORDS_WAITING, WordAnswer, WordRequest
from realtime.tracking.word_search import WordState
from realtime.types import Frame

FOUND = DetectedObjects(("cup", "book"), (), (6, 4))
FRAME = Frame(np.zeros((4, 6, 3), np.uint8), 0, 0.0, 0, 0)


class Recognizer:
    """Takes `cost_ns` of a clock that stands still otherwise."""

    def __init__(self, clock, cost_ns=20, fails=False):
        self.clock, self.cost_ns, self.fails, self.closed = clock, cost_ns, fails, 0

    def recognize(self, image):
        if self.fails:
            raise RuntimeError("broken")
        self.clock[0] += self.cost_ns
        return FOUND

    def encode_word(self, text):
        return encode_name(text, FOUND.names)

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
    assert [worker.recognize(FRAME, 100) for _ in range(5)] == [FOUND] * 5


def test_nothing_is_searched_before_the_recognizer_is_open_or_without_one(clock):
    worker = make_worker(None)
    assert worker.recognize(FRAME, 100) is None
    worker.open_now(None)
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
    assert worker.recognize(FRAME, 100) == FOUND
    worker.close()
    assert recognizer.closed == 1


def test_a_stop_before_the_first_keyframe_opens_nothing(clock):
    opened = []
    publisher = MessagePublisher(SimpleNamespace(send=lambda topic, payload: True), "test", lambda: 0)
    context = PipelineContext(PipelineOptions(open_recognizer=opened.append), publisher)
    worker = RecognitionWorker(context)
    context.stopping.set()
    worker.release()
    worker.run(None)
    assert not opened


def give_word(worker, text, **options):
    """Give a word, and return its answer and the tracker's command; the tracker accepts it."""
    answers = []
    worker._context.options.words.put(WordRequest(text, reply=answers.append, **options))
    worker.set_words()
    commands = worker._context.options.commands.drain()
    for command in commands:
        command.reply(None)
    return answers, commands


def test_a_word_opens_a_recognizer_that_searches_only_for_words(clock):
    recognizer = Recognizer(clock)
    worker = make_worker(None, open_word_recognizer=lambda: recognizer, recognizer_share=1.0)
    worker.open_now(None)
    assert worker.recognize(FRAME, 100) is None
    answers, (command,) = give_word(worker, "  Cups ", seconds=4.0)
    assert answers == [WordAnswer("Cups", True)]
    assert (command.verb, command.text, command.seconds, command.query.is_known) == ("word", "Cups", 4.0, True)
    assert worker.recognize(FRAME, 100) == FOUND  # at once
    worker.observe_word(WordState("Cups", True))
    assert worker.recognize(FRAME, 1000) == FOUND
    worker.observe_word(None)
    assert worker.recognize(FRAME, 1000) is None


def test_words_are_searched_for_more_often(clock):
    worker = make_worker(Recognizer(clock, cost_ns=20), recognizer_share=0.05, word_share=0.1)
    worker.open_now(None)
    for word, every in ((None, 4), (WordState("cup", True), 2), (WordState("unicorn", False), 4)):
        worker.observe_word(word)
        found = [worker.recognize(FRAME, 100) is not None for _ in range(40)]
        assert set(np.diff(np.flatnonzero(found))[1:]) == {every}


@pytest.mark.parametrize(("cost_ms", "every_ms"), [(20, 1000), (300, 3000)])
def test_a_word_is_searched_for_again_however_fast_the_engine_is(clock, cost_ms, every_ms):
    worker = make_worker(Recognizer(clock, cost_ns=cost_ms * 1_000_000))
    worker.open_now(None)
    worker.observe_word(WordState("cup", True))
    times_ms = []
    for _ in range(200):
        begun_ns = clock[0]
        if worker.recognize(FRAME, 1) is not None:
            times_ms.append(begun_ns // 1_000_000)
        clock[0] = begun_ns + 100_000_000 * max(1, cost_ms // 100)
    assert len(times_ms) > 5
    assert all(every_ms <= apart <= every_ms + 700 for apart in np.diff(times_ms)[1:])


def test_an_unknown_word_has_near_names_and_no_word_no_code(clock):
    worker = make_worker(Recognizer(clock), every_frame=True)
    worker.open_now(None)
    worker.recognize(FRAME, 100)
    (answer,) = give_word(worker, "cup holder")[0]
    assert not answer.is_known
    assert "cup" in answer.near
    answers, (command,) = give_word(worker, " ")
    assert (answers, command.query) == ([WordAnswer("", False)], None)


@pytest.mark.parametrize("error", [EngineUnavailable("no weights"), RuntimeError("broken")])
def test_a_word_without_a_recognizer_is_refused_with_the_reason(clock, error):
    def fail():
        raise error

    worker = make_worker(None, open_word_recognizer=fail)
    answers, commands = give_word(worker, "cup")
    assert not commands
    assert str(error) in str(answers[0])
    assert isinstance(answers[0], CommandRejected)


def test_a_word_that_nobody_waits_for_any_more_never_comes_into_force(clock):
    worker = make_worker(Recognizer(clock))
    worker.open_now(None)
    words, commands = worker._context.options.words, worker._context.options.commands
    early, late, wanted = (WordRequest(text) for text in ("cup", "book", "cups"))
    for request in (early, late, wanted):
        words.put(request)
    early.withdrawn.set()
    worker.set_words()
    late.withdrawn.set()  # while it waits for the next frame
    assert [command.text for command in commands.drain()] == ["cups"]


def test_a_refused_request_for_a_word_is_withdrawn(clock, monkeypatch):
    monkeypatch.setattr(request_handler, "WORD_S", 0.0)
    worker = make_worker(Recognizer(clock))
    options = worker._context.options
    handler = request_handler.RequestHandler("test", options.commands, options.words, lambda: 0)
    with pytest.raises(request_handler.RequestRefused, match="is the source running"):
        handler.reply(SetWordRequest("cup"))
    worker.open_now(None)
    worker.set_words()
    assert not options.commands.drain()


def test_too_many_words_at_once_are_refused(clock):
    worker, answers = make_worker(Recognizer(clock)), []
    for _ in range(MAX_WORDS_WAITING + 1):
        worker._context.options.words.put(WordRequest("cup", reply=answers.append))
    assert ["too many words" in str(answer) for answer in answers] == [True]
