"""Tests the limit of threads that work at a time."""

import threading

import pytest

from realtime.infra import work_slots
from realtime.infra.work_slots import WorkSlots
from tests.realtime.waiting import eventually


def start(body):
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


def test_no_more_threads_work_than_there_are_slots():
    slots, lock, working, most = WorkSlots(2), threading.Lock(), 0, 0

    def work():
        nonlocal working, most
        for _ in range(50):
            with slots.hold():
                with lock:
                    working += 1
                    most = max(most, working)
                with lock:
                    working -= 1

    threads = [start(work) for _ in range(6)]
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert most <= 2
    assert not slots.has_waiting


def test_they_work_in_the_order_in_which_they_asked():
    slots, order, threads = WorkSlots(1), [], []

    def work(number):
        with slots.hold():
            order.append(number)

    with slots.hold():
        for number in range(4):
            threads.append(start(lambda number=number: work(number)))
            eventually(lambda number=number: len(slots._queue) == number + 1)
        assert slots.has_waiting
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3]


def test_one_that_has_worked_longer_waits_for_the_others(monkeypatch):
    now_ns, order, may_ask = [0], [], threading.Event()
    monkeypatch.setattr(work_slots, "now_ns", lambda: now_ns[0])
    slots = WorkSlots(1)

    def work_twice():
        with slots.hold():
            now_ns[0] += 100
        may_ask.wait(60)
        with slots.hold():
            order.append("long")

    def work_once():
        with slots.hold():
            order.append("short")

    threads = [start(work_twice)]
    eventually(lambda: now_ns[0] == 100 and slots._free == 1)
    with slots.hold():
        may_ask.set()
        eventually(lambda: len(slots._queue) == 1)
        threads.append(start(work_once))
        eventually(lambda: len(slots._queue) == 2)
    for thread in threads:
        thread.join(60)
    assert order == ["short", "long"]


def test_a_slot_is_lent_while_its_thread_waits():
    slots, waiting_over, worked = WorkSlots(1), threading.Event(), threading.Event()
    order = []

    def wait_inside():
        with slots.hold():
            with slots.lend():
                waiting_over.wait(60)
            order.append("waited")

    def work():
        with slots.hold():
            order.append("worked")
            worked.set()

    first = start(wait_inside)
    eventually(lambda: slots._free == 1)
    second = start(work)
    assert worked.wait(60)
    waiting_over.set()
    first.join(60)
    second.join(60)
    assert order == ["worked", "waited"]


def test_a_thread_without_a_slot_lends_none():
    slots = WorkSlots(1)
    with slots.lend():
        pass
    with slots.hold():
        assert slots._free == 0
    assert slots._free == 1


def test_an_error_gives_the_slot_back():
    slots = WorkSlots(1)
    try:
        with slots.hold():
            raise ValueError
    except ValueError:
        pass
    assert slots._free == 1


def test_a_thread_that_has_no_memory_for_its_turn_keeps_no_slot(monkeypatch):
    slots = WorkSlots(1)

    def fail(self, timeout=None):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(threading.Event, "wait", fail)
        for _ in range(2):
            with pytest.raises(MemoryError), slots.hold():
                pass
    assert not slots.has_waiting
    with slots.hold():
        assert slots._free == 0
    assert slots._free == 1
