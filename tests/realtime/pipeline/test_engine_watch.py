"""An engine that hangs or keeps failing is replaced while running, in the order of the fallbacks."""

import contextlib
import threading

import numpy as np
import pytest

from engines import EngineError, EngineUnavailable, Prompt, PromptError
from engines.base import InvalidOutput
from engines.fake import open_fake
from realtime.infra.abandonable import AbandonableThread, CallAbandoned
from realtime.pipeline import engine_watch, watched_calls
from realtime.pipeline.engine_watch import EngineWatch, FallbackEngine
from tests.realtime.waiting import eventually

PICTURE = np.zeros((40, 60, 3), np.uint8)
CLICK = [Prompt.click(9, 9)]


class Broken:
    """A fake engine that, while it is broken, calls `fault` in place of its work."""

    def __init__(self, fault):
        encoder, self._decoder = open_fake()
        self._encode, self.info, self._fault = encoder.encode, encoder.info, fault
        self.is_broken = True
        self.closed = threading.Event()

    def encode(self, image):
        return self._fault() if self.is_broken else self._encode(image)

    def decode(self, embedding, prompts):
        return self._decoder.decode(embedding, prompts)

    def close(self):
        self.closed.set()


def fail():
    raise EngineError("the device was lost")


@pytest.fixture
def make_watch(monkeypatch):
    for name, value in {"FIRST_HANG_S": 600.0, "DEADLINE_S": 600.0, "FAILING_S": 0.0}.items():
        monkeypatch.setattr(watched_calls, name, value)
    monkeypatch.setattr(engine_watch, "BACKOFF_S", (0.0,))
    stopping, watches = threading.Event(), []

    def make(broken, *openers):
        fallbacks = [FallbackEngine(f"fallback {number}", opener) for number, opener in enumerate(openers)]
        watches.append(EngineWatch((broken, broken), fallbacks, stopping))
        return watches[-1]

    yield make
    stopping.set()
    for watch in watches:
        watch.close()


def encode_until(watch, condition):
    """Encode again and again, as the encode thread does."""

    def is_met():
        with contextlib.suppress(EngineError):
            watch.encode(PICTURE)
        return condition()

    eventually(is_met, "a replaced engine")


def test_an_engine_that_hangs_is_left_behind(make_watch, monkeypatch):
    resume = threading.Event()
    broken = Broken(resume.wait)
    watch = make_watch(broken, lambda size: open_fake(masks=1))
    monkeypatch.setattr(watched_calls, "FIRST_HANG_S", 0.3)
    with pytest.raises(EngineUnavailable, match="has not returned"):
        watch.encode(PICTURE)
    monkeypatch.setattr(watched_calls, "FIRST_HANG_S", 600.0)
    eventually(lambda: not watch.problem(), "another engine")
    assert watch.needs_keyframe
    with pytest.raises(EngineUnavailable, match="was replaced"):
        watch.decode(open_fake()[0].encode(PICTURE), CLICK)
    found = watch.decode(watch.encode(PICTURE), CLICK)
    assert len(found[0].predicted_iou) == 1  # by the fallback
    assert not watch.needs_keyframe
    health = watch.describe()
    assert (health["replaced"], health["masks"]) == (1, 1)
    assert health["reason"] == "fake f32: encode hangs; replaced by fallback 0"
    assert not broken.closed.is_set()  # which might hang, too
    resume.set()
    assert broken.closed.wait(60)


def test_an_engine_that_hung_is_used_again_if_no_other_is_open_yet(make_watch, monkeypatch):
    resume, opened, other = threading.Event(), threading.Event(), Broken(fail)
    broken = Broken(lambda: resume.wait() and open_fake()[0].encode(PICTURE))
    other.is_broken = False

    def open_slowly(size):
        assert opened.wait(60)
        return other, other

    watch = make_watch(broken, open_slowly)
    monkeypatch.setattr(watched_calls, "FIRST_HANG_S", 0.3)
    with pytest.raises(EngineUnavailable, match="has not returned"):
        watch.encode(PICTURE)
    assert watch.problem() == "engine: fake f32: encode hangs"
    assert watch.encoder is None
    monkeypatch.setattr(watched_calls, "FIRST_HANG_S", 600.0)
    resume.set()
    eventually(lambda: not watch.problem(), "the end of the call")
    watch.encode(PICTURE)
    opened.set()
    assert other.closed.wait(60)
    assert watch.encoder is broken
    assert watch.describe()["replaced"] == 0


def test_an_engine_that_keeps_failing_is_closed_and_replaced(make_watch):
    broken, sizes = Broken(fail), []

    def open_other(size):
        sizes.append(size)
        return open_fake()

    watch = make_watch(broken, open_other)
    encode_until(watch, lambda: watch.describe()["replaced"])
    assert "encode fails (the device was lost)" in watch.describe()["reason"]
    assert sizes == [(60, 40)]
    assert broken.closed.wait(60)


def test_a_single_failure_or_a_wrong_prompt_replaces_nothing(make_watch):
    broken = Broken(fail)
    watch = make_watch(broken, lambda size: open_fake())
    with pytest.raises(EngineError):
        watch.encode(PICTURE)
    broken.is_broken = False
    watch.encode(PICTURE)
    broken.is_broken = True
    for _ in range(2):
        with pytest.raises(EngineError, match="lost"):
            watch.encode(PICTURE)

    def refuse():
        raise PromptError("no picture")

    broken._fault = refuse
    for _ in range(9):
        with pytest.raises(PromptError):
            watch.encode(PICTURE)
    assert watch.encoder is broken


def test_fallbacks_are_tried_in_their_order_and_again(make_watch):
    order = []

    def refuse(size):
        order.append("refuses")
        fail()

    def open_worse(size):
        """Its masks are no numbers at first."""
        order.append("opens")
        encoder, decoder = open_fake()
        if order.count("opens") == 1:
            decoder.decode = lambda embedding, prompts: (_ for _ in ()).throw(InvalidOutput("no numbers"))
        return encoder, decoder

    watch = make_watch(Broken(fail), refuse, open_worse)
    encode_until(watch, lambda: watch.describe()["replaced"])
    assert order == ["refuses", "opens"] * 2


def test_while_there_is_no_engine_health_says_why(make_watch, monkeypatch):
    resume = threading.Event()
    watch = make_watch(Broken(resume.wait), lambda size: fail())
    monkeypatch.setattr(watched_calls, "FIRST_HANG_S", 0.3)
    encode_until(watch, lambda: "encode hangs; fallback 0: the device was lost" in watch.problem())
    assert watch.encoder is None
    with pytest.raises(EngineUnavailable, match="another engine is being opened"):
        watch.encode(PICTURE)
    resume.set()


def test_an_engine_that_works_again_is_kept(make_watch):
    opening, resume, broken, other = threading.Event(), threading.Event(), Broken(fail), Broken(fail)
    other.is_broken = False

    def open_slowly(size):
        opening.set()
        resume.wait()
        return other, other

    watch = make_watch(broken, open_slowly)
    encode_until(watch, opening.is_set)
    assert watch.problem() == "engine: fake f32: encode fails (the device was lost)"
    broken.is_broken = False
    watch.encode(PICTURE)
    resume.set()
    assert other.closed.wait(60)
    eventually(lambda: not watch.problem(), "no problem")
    assert watch.encoder is broken
    assert watch.describe()["replaced"] == 0


def test_without_fallbacks_calls_stay_on_their_thread_and_nothing_is_replaced(make_watch):
    broken = Broken(lambda: threads.append(threading.current_thread()) or fail())
    threads, watch = [], make_watch(broken)
    for _ in range(9):
        with pytest.raises(EngineError, match="lost"):
            watch.encode(PICTURE)
    assert watch.encoder is broken
    assert set(threads) == {threading.current_thread()}


def test_a_call_is_abandoned_when_its_caller_stops():
    stopping, resume = threading.Event(), threading.Event()
    thread = AbandonableThread("test", stopping.is_set)
    assert thread.call(lambda: 5, 60) == 5
    stopping.set()
    with pytest.raises(CallAbandoned):
        thread.call(resume.wait, 600)
    resume.set()


def test_a_thread_that_was_left_behind_ends_with_its_call():
    resume, left = threading.Event(), []
    thread = AbandonableThread("test")

    def hang():
        left.append(threading.current_thread())
        resume.wait()

    with pytest.raises(CallAbandoned):
        thread.call(hang, 0.1)
    assert thread.call(threading.current_thread, 60) is not left[0]
    resume.set()
    eventually(lambda: not left[0].is_alive(), "the end of the thread")
    thread.close()
