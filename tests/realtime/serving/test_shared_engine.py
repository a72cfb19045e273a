"""Tests an engine that several clients share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import EngineClosed, EngineError, Prompt, PromptError
from engines.fake import open_fake
from realtime.config.sharing import SharingSettings
from realtime.serving import engine_lane, shared_engine
from realtime.serving.batch_costs import TRIALS
from realtime.serving.shared_engine import SharedEngine, StreamTaken
from tests.realtime.waiting import eventually

SIZE = 64, 36


def picture_of(number):
    """Draw a picture whose only rectangle is elsewhere for every number."""
    picture = np.full((SIZE[1], SIZE[0], 3), 30, np.uint8)
    x, y = 2 + number % 10 * 6, 2 + number // 10 % 4 * 8
    picture[y : y + 6, x : x + 5] = 220, 90, 40 + number % 200
    return picture, Prompt.click(x + 2, y + 2)


class BatchingFake:
    """A fake encoder, or decoder, that takes batches and refuses bad items.

    gate: while it is not set, a call waits.
    """

    def __init__(self, inside, *, is_bad=lambda item: False, fails_together=False):
        self.inside, self.info, self.is_bad, self.fails_together = inside, inside.info, is_bad, fails_together
        self.gate = threading.Event()
        self.gate.set()
        self.batches = []
        self.prepared = []
        self.is_closed = False

    def stage(self, *args):
        staged = self.looped().stage(*args)
        object.__setattr__(staged, "shape", "x")
        return staged

    def looped(self):
        from engines.batching import as_batch_decoder, as_batch_encoder

        return (as_batch_encoder if hasattr(self.inside, "encode") else as_batch_decoder)(self.inside)

    def prepare_batch(self, shape, size):
        self.prepared.append((shape, size))

    def _run(self, run, items):
        self.batches.append(len(items))
        assert self.gate.wait(60)
        if (len(items) > 1 and self.fails_together) or any(self.is_bad(item) for item in items):
            raise EngineError("a bad item")
        return run(items)

    def encode_batch(self, items):
        return self._run(self.looped().encode_batch, items)

    def decode_batch(self, items):
        return self._run(self.looped().decode_batch, items)

    def encode(self, image):
        return self.inside.encode(image)

    def decode(self, embedding, prompts):
        return self.inside.decode(embedding, prompts)

    def close(self):
        self.is_closed = True
        self.inside.close()


@pytest.fixture
def shared():
    engine = SharedEngine(*open_fake())
    yield engine
    engine.close()


def expect(number):
    encoder, decoder = open_fake()
    picture, prompt = picture_of(number)
    return decoder.decode(encoder.encode(picture), [prompt])[0]


def ask(client, number):
    picture, prompt = picture_of(number)
    return client[1].decode(client[0].encode(picture), [prompt])[0]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.integers(0, 39), min_size=1, max_size=4), min_size=2, max_size=6), st.booleans())
def test_each_client_gets_the_masks_of_its_own_picture(numbers, batches):
    pair = open_fake()
    engine = SharedEngine(*(BatchingFake(part) for part in pair) if batches else pair)
    try:
        clients = [engine.open_client(str(index)) for index in range(len(numbers))]
        with ThreadPoolExecutor(len(clients)) as pool:
            found = pool.map(lambda index: [ask(clients[index], each) for each in numbers[index]], range(len(clients)))
        for wanted, got in zip(numbers, found, strict=True):
            for number, mask in zip(wanted, got, strict=True):
                np.testing.assert_array_equal(mask.logits, expect(number).logits)
    finally:
        engine.close()


def start(call, *args):
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call, *args)
    pool.shutdown(wait=False)
    return future


def hold(fake, client, number=0):
    """Have the engine's thread wait inside of a call."""
    fake.gate.clear()
    before = len(fake.batches)
    future = start(client[0].encode, picture_of(number)[0])
    eventually(lambda: len(fake.batches) > before)
    return future


def encode_together(engine, fake, clients):
    """Let the first client's picture hold the engine until those of all others wait, and encode all."""
    held = hold(fake, clients[0])
    others = [start(client[0].encode, picture_of(1)[0]) for client in clients[1:]]
    eventually(lambda: engine._encoding._scheduler.waiting_count == len(others))
    fake.gate.set()
    for future in (held, *others):
        future.result(60)


def test_what_waits_together_is_encoded_together_once_that_pays(monkeypatch):
    monkeypatch.setattr(shared_engine, "SETTLE_S", 0.0)
    encoder, decoder = open_fake()
    fake = BatchingFake(encoder)
    engine = SharedEngine(fake, decoder)
    clients = [engine.open_client(str(index)) for index in range(3)]
    for _ in range(TRIALS):
        clients[0][0].encode(picture_of(0)[0])
    encode_together(engine, fake, clients)
    eventually(lambda: ("x", 2) in fake.prepared)  # since two waited at once
    eventually(lambda: engine._encoding._costs.choose_size("x", 2) == 2)
    held = hold(fake, clients[0])
    others = [start(client[0].encode, picture_of(1)[0]) for client in clients[1:]]
    eventually(lambda: engine._encoding._scheduler.waiting_count == 2)
    fake.gate.set()
    for future in (held, *others):
        future.result(60)
    assert fake.batches[-1] == 2
    assert engine.statistics().encoder.batch_sizes[2] == 1
    engine.close()


def test_a_single_wearer_compiles_no_graphs_for_batches():
    encoder, decoder = open_fake()
    fake = BatchingFake(encoder)
    engine = SharedEngine(fake, decoder)
    client = engine.open_client("alone")
    for number in range(3 * TRIALS):
        client[0].encode(picture_of(number)[0])
    assert fake.prepared == []
    engine.close()


@pytest.mark.parametrize("fails_together", [False, True])
def test_an_error_reaches_only_the_request_that_causes_it(fails_together):
    encoder, decoder = open_fake()
    fake = BatchingFake(encoder, is_bad=lambda item: item.pixels.max() == 255, fails_together=fails_together)
    engine = SharedEngine(fake, decoder)
    engine._encoding._costs.ratios[2] = 0.5
    engine._encoding._costs.set_ready("x", 2)
    clients = [engine.open_client(str(index)) for index in range(3)]
    for _ in range(TRIALS):
        clients[0][0].encode(picture_of(0)[0])
    held = hold(fake, clients[0])
    good = start(clients[1][0].encode, picture_of(1)[0])
    bad = start(clients[2][0].encode, np.full((SIZE[1], SIZE[0], 3), 255, np.uint8))
    eventually(lambda: engine._encoding._scheduler.waiting_count == 2)
    fake.gate.set()
    held.result(60)
    np.testing.assert_array_equal(good.result(60).tensors, open_fake()[0].encode(picture_of(1)[0]).tensors)
    with pytest.raises(EngineError, match="a bad item"):
        bad.result(60)
    assert fake.batches[-3:] == [2, 1, 1]
    engine.close()


def test_bad_input_never_reaches_the_engine(shared):
    encoder, decoder = shared.open_client("a")
    with pytest.raises(PromptError):
        encoder.encode(np.zeros((3, 3), np.uint8))
    with pytest.raises(PromptError):
        decoder.decode(encoder.encode(picture_of(1)[0]), [Prompt.click(900, 1)])
    assert shared.statistics().decoder.streams["a"].served == 0


def test_a_closed_client_is_woken_and_the_others_go_on():
    encoder, decoder = open_fake()
    fake = BatchingFake(encoder)
    engine = SharedEngine(fake, decoder)
    first, second, third = (engine.open_client(name) for name in ("first", "second", "third"))
    held = hold(fake, first)
    waiting = start(second[0].encode, picture_of(1)[0])
    eventually(lambda: engine._encoding._scheduler.waiting_count == 1)
    engine.close_client("second")
    with pytest.raises(EngineClosed, match="'second' was closed"):
        waiting.result(60)
    engine.close_client("first")  # its call is running
    fake.gate.set()
    held.result(60)
    np.testing.assert_array_equal(ask(third, 7).logits, expect(7).logits)
    with pytest.raises(EngineClosed, match="open the session again"):
        second[0].encode(picture_of(1)[0])
    assert engine.statistics().streams == ("third",)
    engine.open_client("second")  # the name is free again
    engine.close()


def test_an_open_name_is_refused(shared):
    shared.open_client("a")
    with pytest.raises(StreamTaken, match="'a' is open already"):
        shared.open_client("a")


def test_closing_wakes_all_and_closes_the_engine():
    pair = [BatchingFake(part) for part in open_fake()]
    engine = SharedEngine(*pair)
    first, second = engine.open_client("first"), engine.open_client("second")
    held = hold(pair[0], first)
    waiting = start(second[0].encode, picture_of(1)[0])
    eventually(lambda: engine._encoding._scheduler.waiting_count == 1)
    closing = start(engine.close)
    with pytest.raises(EngineClosed, match="shared engine was closed"):
        waiting.result(60)
    pair[0].gate.set()
    closing.result(60)
    held.result(60)
    assert all(part.is_closed for part in pair) or not engine._encoding.is_idle
    engine.close()


def test_the_encoder_never_blocks_the_decoder():
    encoder, decoder = open_fake()
    fake = BatchingFake(encoder)
    engine = SharedEngine(fake, decoder)
    first, second = engine.open_client("first"), engine.open_client("second")
    picture, prompt = picture_of(3)
    embedding = first[0].encode(picture)
    held = hold(fake, second)
    assert first[1].decode(embedding, [prompt])
    assert not held.done()
    fake.gate.set()
    held.result(60)
    engine.close()


def test_no_graph_of_a_batch_is_compiled_in_the_first_half_minute(monkeypatch):
    """Each takes seconds of a core, while the graphs that every mask needs are compiled, too."""
    at_ns = [10**9]
    monkeypatch.setattr(engine_lane, "now_ns", lambda: at_ns[0])
    encoder, decoder = open_fake()
    fake = BatchingFake(encoder)
    engine = SharedEngine(fake, decoder, settings=SharingSettings(encode_wait_ms=0))  # the clock stands
    clients = [engine.open_client(str(index)) for index in range(3)]

    encode_together(engine, fake, clients)
    at_ns[0] += round((shared_engine.SETTLE_S - 0.1) * 1e9)
    encode_together(engine, fake, clients)
    assert fake.prepared == []
    at_ns[0] += 10**9
    encode_together(engine, fake, clients)
    eventually(lambda: fake.prepared == [("x", 2)])
    engine.close()


def test_health_says_how_the_engine_is_shared(shared):
    client = shared.open_client("a")
    ask(client, 1)
    described = shared.describe()
    assert described["wearers"] == 1
    assert described["backend"] == "fake"
    assert described["encode"]["served"] == 1
    assert described["decode"]["batches"] == {"1": 1}
    assert shared.admit(0).is_admitted
    assert shared.find_overload() == ""


def test_only_wearers_who_send_frames_bear_the_measured_cost(shared, monkeypatch):
    """Seven who wait for their devices would make the eighth look cheap, and admit more than fit."""
    at_ns, cpu_ns = [10**9], [0]
    monkeypatch.setattr(shared_engine, "now_ns", lambda: at_ns[0])
    monkeypatch.setattr(shared_engine.time, "process_time_ns", lambda: cpu_ns[0])
    for number in range(8):
        shared.open_client(str(number))
    shared.set_sending("0", True)
    shared.set_sending("not open", True)
    assert shared.measure_cost().wearer_cores is None
    shared.count_frames(150, 150)
    at_ns[0], cpu_ns[0] = at_ns[0] + 10 * 10**9, 4 * 10**9
    assert shared.measure_cost().wearer_cores == pytest.approx(0.4)
    shared.set_sending("0", False)
    at_ns[0] += 10 * 10**9
    shared.measure_cost()
    at_ns[0] += 10 * 10**9
    assert shared.measure_cost().wearer_cores == pytest.approx(0.4)  # none was measured since


def test_wearers_whose_frames_are_left_out_do_not_look_cheap(shared, monkeypatch):
    at_ns, cpu_ns = [10**9], [0]
    monkeypatch.setattr(shared_engine, "now_ns", lambda: at_ns[0])
    monkeypatch.setattr(shared_engine.time, "process_time_ns", lambda: cpu_ns[0])
    shared.open_client("a")
    shared.set_sending("a", True)
    shared.measure_cost()
    shared.count_frames(150, 30)  # a fifth of them
    at_ns[0], cpu_ns[0] = at_ns[0] + 10 * 10**9, 10**9
    assert shared.measure_cost().wearer_cores == pytest.approx(0.5)


def test_sessions_that_ask_for_an_overload_have_it_measured_once_a_second(shared, monkeypatch):
    at_ns, measured = [10**9], []
    monkeypatch.setattr(shared_engine, "now_ns", lambda: at_ns[0])
    monkeypatch.setattr(shared, "_measure_overload", lambda: measured.append(1) or f"measured {len(measured)} times")
    assert {shared.find_overload() for _ in range(100)} == {"measured 1 times"}
    at_ns[0] += shared_engine.OVERLOAD_NS
    assert shared.find_overload() == "measured 2 times"
