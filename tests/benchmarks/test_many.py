"""Tests the simulator of many wearers."""

import numpy as np
import pytest

from benchmarks.many.__main__ import build_parser
from benchmarks.many.planning import find_capacity, plan_building
from benchmarks.many.simulator import MachineModel, SimulatedClock, WearerModel, simulate

WEARER = WearerModel(fps=15.0, decodes_per_frame=0.3, decodes_per_keyframe=1.0)


def machine(**more):
    usual = {"name": "test", "encode_ms": [20.0], "decode_ms": [4.0], "frame_ms": [3.0], "cores": 4.0}
    return MachineModel(**(usual | more))


def test_work_shares_the_cores():
    clock, done = SimulatedClock(1.0), []
    clock.work(10.0, 1.0, lambda: done.append(("long", clock.now_ms)))
    clock.work(5.0, 1.0, lambda: done.append(("short", clock.now_ms)))
    clock.at(30.0, lambda: done.append(("event", clock.now_ms)))
    clock.run(100.0)
    assert [name for name, _ in done] == ["short", "long", "event"]
    assert [at for _, at in done] == pytest.approx([10.0, 15.0, 30.0])


def test_a_thread_has_one_core_at_most():
    clock, done = SimulatedClock(4.0), []
    clock.work(10.0, 1.0, lambda: done.append(clock.now_ms))
    clock.run(100.0)
    assert done == pytest.approx([10.0])


def test_the_same_seed_gives_the_same_times():
    first, second = (simulate(machine(), 3, WEARER, seconds=2.0, seed=4) for _ in range(2))
    assert first.frame_to_mask == second.frame_to_mask
    assert first.frame_to_mask != simulate(machine(), 3, WEARER, seconds=2.0, seed=5).frame_to_mask


def test_one_wearer_gets_every_frame_and_young_keyframes():
    times = simulate(machine(), 1, WEARER, seconds=4.0)
    assert len(times.frame_to_mask) == pytest.approx(4 * 15, abs=2)
    assert np.percentile(times.frame_to_mask, 50) < 10
    assert np.percentile(times.keyframe_age, 95) <= 2 * 1000 / 15 + 1


@pytest.mark.parametrize("count", [0, -1])
def test_nobody_is_not_simulated(count):
    with pytest.raises(ValueError, match="a simulation has 1 wearer or more, got"):
        simulate(machine(), count, WEARER)
    with pytest.raises(ValueError, match="a building has 1 wearer or more, got"):
        plan_building(machine(), WEARER, (1, count))


def test_a_machine_without_measured_times_is_not_simulated():
    with pytest.raises(ValueError, match="test: measure its times"):
        simulate(machine(encode_ms=[]), 1, WEARER)


@pytest.mark.parametrize("arguments", [("--wearers", "2", "0"), ("--fps", "0"), ("--seconds", "nan"), ("--turns", "0")])
def test_a_benchmark_of_nothing_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(arguments)
    assert "expected" in capsys.readouterr().err


def test_keyframes_age_evenly_with_more_wearers():
    few, many = (simulate(machine(encode_ms=[60.0]), count, WEARER, seconds=6.0) for count in (2, 8))
    assert np.median(many.keyframe_age) > 1.5 * np.median(few.keyframe_age)
    each = [np.median(late) for late in many.by_wearer.values()]
    assert len(each) == 8
    assert max(each) < 1.5 * min(each)


def test_batches_that_pay_serve_more_wearers():
    gpu = machine(engine_on_cpu=False, cores=64.0)
    batching = machine(engine_on_cpu=False, cores=64.0, encode_ratios={2: 0.6, 4: 0.6}, decode_ratios={2: 0.6, 4: 0.6})
    assert find_capacity(batching, WEARER, seconds=2.0) > find_capacity(gpu, WEARER, seconds=2.0)


def test_a_building_needs_devices_in_proportion():
    rows = plan_building(machine(encode_ms=[100.0]), WEARER, (1, 10, 20), seconds=1.0)
    assert [row["devices"] for row in rows] == [1, -(-10 // rows[0]["fits"]), -(-20 // rows[0]["fits"])]
