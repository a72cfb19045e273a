import threading

from realtime.infra.channels import BoundedQueue, Latest


def test_the_newest_value_replaces_an_unread_one_that_is_counted():
    slot = Latest()
    for value in (1, 2, 3):
        slot.put(value)
    assert (slot.get(0), slot.dropped) == (3, 2)
    assert slot.get(0) is None


def test_get_waits_for_a_value_from_another_thread():
    slot, got = Latest(), []
    reader = threading.Thread(target=lambda: got.append(slot.get(60)))
    reader.start()
    slot.put("a")
    reader.join(60)
    assert got == ["a"]


def test_closing_wakes_a_waiter_and_empties_the_slot():
    slot, got = Latest(), []
    reader = threading.Thread(target=lambda: got.append(slot.get()))
    reader.start()
    slot.close()
    reader.join(60)
    assert not reader.is_alive()
    assert got == [None]
    slot.put(1)
    assert slot.get() is None


def test_a_blocking_put_drops_nothing():
    slot, taken = Latest(), []

    def read():
        while (value := slot.get()) is not None:
            taken.append(value)

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(500):
        slot.put_when_empty(value)
    slot.put_when_empty(500)  # returns only when 499 was taken
    slot.close()
    reader.join(60)
    assert taken[:500] == list(range(500))
    assert slot.dropped == 0


def test_closing_frees_a_patient_putter():
    slot = Latest()
    slot.put(1)
    putter = threading.Thread(target=lambda: slot.put_when_empty(2))
    putter.start()
    slot.close()
    putter.join(60)
    assert not putter.is_alive()


def test_with_two_threads_every_value_is_read_or_counted():
    slot, taken = Latest(), []

    def read():
        while (value := slot.get()) is not None:
            taken.append(value)

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(1, 2001):
        slot.put(value)
    while slot.get(0) is not None:  # the last one may still lie there; either side may have it
        taken.append(2000)
    slot.close()
    reader.join(60)
    assert len(taken) + slot.dropped == 2000
    assert taken == sorted(taken)


def test_a_queue_keeps_the_order_and_counts_dropped_values():
    backlog = BoundedQueue(3)
    for value in range(5):
        backlog.put(value)
    assert (backlog.drain(), backlog.dropped) == ([2, 3, 4], 2)
    assert backlog.drain() == []


def test_a_waker_lets_one_waiter_go_on_without_a_value():
    slot: Latest[int] = Latest()
    slot.wake()
    assert slot.get() is None  # would wait for ever
    assert not slot.is_closed
    slot.put(3)
    assert slot.has_value
    assert slot.get() == 3
    assert not slot.has_value
    slot.close()
    assert slot.is_closed
    assert slot.get() is None
