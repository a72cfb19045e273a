"""Tests that reported objects are recalled under their ids."""

import numpy as np

from realtime.tracking.dwell.mask_points import MaskPoints
from realtime.tracking.dwell.object_memory import ObjectMemory
from realtime.tracking.dwell.settings import DwellSettings

SIZE = (320, 240)


def square(x, y, side=40):
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def add_objects(memory, *masks, shown_object=None, now_ns=0):
    return memory.add_objects([MaskPoints.from_mask(mask, SIZE, 24) for mask in masks], shown_object, SIZE, now_ns)


def test_reported_objects_get_ids_and_are_recalled_by_position():
    memory = ObjectMemory(DwellSettings(), 3)
    assert add_objects(memory, square(20, 20), square(200, 100)) == [4, 5]
    memory.move(lambda points: points + np.array([10, 5]))
    tracked = memory.recall(square(210, 105), SIZE)
    assert tracked.id == 5
    assert not tracked.is_external
    assert memory.recall(square(120, 180), SIZE) is None
    assert len(memory) == 1


def test_known_objects_keep_their_ids():
    memory = ObjectMemory(DwellSettings(), 0)
    shown_object = memory.create(MaskPoints.from_mask(square(100, 100, 60), SIZE), 0)
    remembered = memory.create(MaskPoints.from_mask(square(20, 20), SIZE), 0)
    memory.add(remembered)
    assert add_objects(
        memory, square(102, 101, 58), square(22, 19), square(220, 20), shown_object=shown_object, now_ns=7
    ) == [
        1,
        2,
        3,
    ]
    assert remembered.seen_ns == 7
    assert shown_object.seen_ns == 0
    assert add_objects(memory, square(221, 21), shown_object=shown_object) == [3]


def test_reported_objects_do_not_evict_fixated_ones():
    memory = ObjectMemory(DwellSettings(remember=2, remember_told=3), 0)
    for x in (0, 50, 100):
        memory.add(memory.create(MaskPoints.from_mask(square(x, 0), SIZE), 1))
    assert add_objects(memory, *(square(x, 100) for x in range(0, 300, 60)), now_ns=1) == [4, 5, 6, 7, 8]
    memory.forget(2, broken=False)
    assert len(memory) == 5
    assert memory.recall(square(0, 0), SIZE) is None
    assert memory.recall(square(50, 0), SIZE).id == 2
    assert memory.recall(square(0, 100), SIZE) is None
    assert memory.recall(square(240, 100), SIZE).id == 8
    memory.forget(2 + 31_000_000_000, broken=False)
    assert len(memory) == 0


def test_rasterized_points_match_the_mask():
    for side in (8, 40, 120):
        mask = square(60, 50, side)
        points = MaskPoints.from_mask(mask, SIZE)
        small = points.rasterize(SIZE)
        lies = points.compare_to(small, SIZE, points)
        assert lies.inside > 0.9
        area = small.sum() * (SIZE[0] * SIZE[1] / small.size)
        assert 0.4 < area / mask.sum() < 2.5
