"""Tests that foreground calls go first, and that calls do not overlap."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from engines import EngineSettings, Prompt, SharedDecoder, load
from engines.base import InvalidOutput
from tests.realtime.waiting import eventually


class Slow:
    """A decoder that records its calls; each lasts until its gate is opened."""

    info = None

    def __init__(self):
        self.calls, self.inside, self.most = [], 0, 0
        self.gates = []
        self._lock = threading.Lock()
        self.closed = False

    def decode(self, embedding, prompts):
        gate = threading.Event()
        with self._lock:
            self.calls.append(embedding)
            self.gates.append(gate)
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert gate.wait(60)
        with self._lock:
            self.inside -= 1
        if embedding == "bad":
            raise ValueError("bad")
        return ()

    def close(self):
        self.closed = True


def test_foreground_calls_precede_background_calls_and_none_overlap():
    slow = Slow()
    shared = SharedDecoder(slow)
    answers = []

    def aside(name):
        try:
            answers.append(shared.background.decode(name, []))
        except ValueError as error:
            answers.append(str(error))

    threads = [threading.Thread(target=aside, args=(name,)) for name in ("bad", "aside 2")]
    threads[0].start()
    eventually(lambda: slow.calls == ["bad"])
    threads[1].start()
    threads.append(threading.Thread(target=lambda: answers.append(shared.decode("first", []))))
    threads[2].start()
    eventually(lambda: shared._waiting == 1)
    for count in range(1, 4):
        eventually(lambda count=count: len(slow.gates) == count)
        slow.gates[count - 1].set()
    for thread in threads:
        thread.join(60)
    assert slow.calls == ["bad", "first", "aside 2"]
    assert slow.most == 1
    assert "bad" in answers
    assert () in answers
    shared.background.close()
    assert not slow.closed
    shared.close()
    assert slow.closed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_masks_that_are_no_numbers_are_refused(value):
    encoder, inside = load(EngineSettings(backend="fake"), None)
    embedding = encoder.encode(np.zeros((40, 60, 3), np.uint8))
    (found,) = inside.decode(embedding, [Prompt.click(10, 10)])
    found.logits[0, 3, 4] = value
    shared = SharedDecoder(SimpleNamespace(info=inside.info, decode=lambda embedding, prompts: (found,)))
    for decoder in (shared, shared.background):
        with pytest.raises(InvalidOutput, match="NaN"):
            decoder.decode(embedding, [Prompt.click(10, 10)])
