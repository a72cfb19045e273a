"""Tests the order and the batches of requests, on a clock of its own."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.serving.batch_costs import TRIALS, BatchCosts
from realtime.serving.batch_scheduler import BatchScheduler, EngineRequest

IDLE_MS = 250
MS = 1_000_000


def make(*, ratios=None, wait_ms=0, ready=()):
    costs = BatchCosts(8, ratios)
    for shape, size in ready:
        costs.set_ready(shape, size)
        for _ in range(TRIALS):
            costs.observe(shape, 1, 10.0)
    return BatchScheduler(costs, wait_ns=wait_ms * MS, idle_delay_ns=IDLE_MS * MS), costs


def streams(batch):
    return [request.stream for request in batch]


def test_the_oldest_keyframe_is_first():
    scheduler, _ = make()
    scheduler.add(EngineRequest("young", 100, served_ns=90))
    scheduler.add(EngineRequest("old", 101, served_ns=10))
    assert streams(scheduler.next_batch(200)) == ["old"]
    assert streams(scheduler.next_batch(200)) == ["young"]
    assert scheduler.next_batch(200) == ()


def test_locked_gaze_is_before_idle_but_not_for_ever():
    scheduler, _ = make()
    scheduler.add(EngineRequest("idle", 100, served_ns=0))
    scheduler.add(EngineRequest("locked", 101, served_ns=(IDLE_MS - 1) * MS, is_locked=True))
    assert streams(scheduler.next_batch(500)) == ["locked"]
    scheduler.add(EngineRequest("locked", 101, served_ns=(IDLE_MS + 1) * MS, is_locked=True))
    assert streams(scheduler.next_batch(500)) == ["idle"]


def test_a_first_keyframe_is_before_a_newer_one():
    scheduler, _ = make()
    scheduler.add(EngineRequest("renews", 2000 * MS, served_ns=1800 * MS))
    scheduler.add(EngineRequest("begins", 2000 * MS))
    assert streams(scheduler.next_batch(2000 * MS)) == ["begins"]


def test_a_newer_request_replaces_the_older_one():
    scheduler, _ = make()
    first, second = EngineRequest("a", 1, ticket=1), EngineRequest("a", 2, ticket=2)
    assert scheduler.add(first) is None
    assert scheduler.add(second) == first
    assert scheduler.next_batch(3) == (second,)
    assert scheduler.waiting_count == 0


def test_batches_are_of_one_shape_and_of_sizes_that_pay():
    scheduler, _ = make(ratios={2: 0.6, 4: 0.6, 8: 1.2}, ready=[("x", 2), ("x", 4), ("x", 8)])
    for index in range(9):
        scheduler.add(EngineRequest(f"x{index}", index, served_ns=index, shape="x"))
    scheduler.add(EngineRequest("y", 20, served_ns=0, shape="y"))
    assert streams(scheduler.next_batch(50)) == ["x0", "x1", "x2", "x3"]
    assert streams(scheduler.next_batch(50)) == ["y"]  # it is the oldest now, and has no graphs for batches
    assert streams(scheduler.next_batch(50)) == ["x4", "x5", "x6", "x7"]
    assert streams(scheduler.next_batch(50)) == ["x8"]


def test_a_batch_waits_for_more_only_where_more_may_come():
    scheduler, _ = make(ratios={2: 0.6}, wait_ms=2, ready=[("x", 2)])
    scheduler.add(EngineRequest("a", 10 * MS, shape="x"))
    assert streams(scheduler.next_batch(10 * MS)) == ["a"]  # the only stream
    scheduler.add(EngineRequest("b", 11 * MS, shape="x"))
    assert scheduler.next_batch(11 * MS) == ()
    assert scheduler.wake_ns() == 13 * MS
    scheduler.add(EngineRequest("a", 12 * MS, served_ns=10 * MS, shape="x"))
    assert sorted(streams(scheduler.next_batch(12 * MS))) == ["a", "b"]
    scheduler.add(EngineRequest("b", 20 * MS, served_ns=11 * MS, shape="x"))
    assert streams(scheduler.next_batch(22 * MS)) == ["b"]  # after its wait


def test_a_size_is_tried_and_judged_once():
    scheduler, costs = make(ready=[("x", 2)])
    for each in "ab":
        scheduler.add(EngineRequest(each, 1, shape="x"))
    assert len(scheduler.next_batch(1)) == 2
    for _ in range(TRIALS):
        costs.observe("x", 2, 21.0)
    assert costs.ratios == {2: 1.05}
    for each in "ab":
        scheduler.add(EngineRequest(each, 1, shape="x"))
    assert scheduler.find_missing() is None
    assert len(scheduler.next_batch(1)) == 1


def test_graphs_are_missed_only_where_requests_wait_together():
    scheduler, costs = make()
    scheduler.add(EngineRequest("a", 1, shape="x"))
    assert scheduler.find_missing() is None
    for each in "bcd":
        scheduler.add(EngineRequest(each, 1, shape="x"))
    assert scheduler.find_missing() == ("x", 2)
    costs.set_ready("x", 2)
    assert scheduler.find_missing() is None  # is being tried
    costs.ratios[2] = 0.7
    assert scheduler.find_missing() == ("x", 4)
    costs.refuse(4)
    assert scheduler.find_missing() is None


def test_a_request_without_a_shape_runs_alone():
    scheduler, _ = make(ratios={2: 0.5}, ready=[("x", 2)])
    scheduler.add(EngineRequest("a", 1))
    scheduler.add(EngineRequest("b", 1))
    assert len(scheduler.next_batch(1)) == 1


def test_a_stream_that_always_asks_is_served_in_turn():
    scheduler, _ = make()
    order, served = [], {}
    for now in range(20):
        for stream in ("busy", "calm") if now % 5 == 0 else ("busy",):
            scheduler.add(EngineRequest(stream, now, served_ns=served.get(stream)))
        (request,) = scheduler.next_batch(now)
        served[request.stream] = request.arrived_ns
        order.append(request.stream)
    calm = [index for index, stream in enumerate(order) if stream == "calm"]
    assert len(calm) == 4
    assert all(index % 5 <= 1 for index in calm)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_stream_starves(data):
    """A request waits at most until its deadline, and then for two batches of each other stream."""
    count = data.draw(st.integers(2, 6))
    service = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=10))
    pause = [data.draw(st.integers(0, 120)) for _ in range(count)]
    locked = [data.draw(st.booleans()) for _ in range(count)]
    ratios = data.draw(st.sampled_from([{}, {2: 0.7}, {2: 0.7, 4: 0.7}]))
    scheduler, _ = make(ratios=ratios, ready=[("x", size) for size in ratios])
    now, served, due_at = 0, {}, dict.fromkeys(range(count), 0)
    waiting, waits = {}, defaultdict(int)
    for step in range(200):
        for index in range(count):
            if index not in waiting and due_at[index] <= now:
                waiting[index] = now
                scheduler.add(
                    EngineRequest(str(index), now * MS, served.get(index), is_locked=locked[index], shape="x")
                )
        batch = scheduler.next_batch(now * MS)
        if not batch:
            now = min(due_at[index] for index in range(count) if index not in waiting)
            continue
        now += service[step % len(service)]
        for request in batch:
            index = int(request.stream)
            waits[index] = max(waits[index], now - waiting.pop(index))
            served[index] = request.arrived_ns
            due_at[index] = now + pause[index]
    longest = max(service)
    for index, waited in waits.items():
        assert waited <= (0 if locked[index] else IDLE_MS) + (2 * count + 1) * longest
