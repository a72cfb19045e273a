"""What others tell of is found by the eyes under the id that it was given."""

import numpy as np

from realtime.tracking.dwell import DwellSettings, MaskPoints
from realtime.tracking.dwell.object_memory import ObjectMemory

SIZE = (320, 240)


def square(x, y, side=40):
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def is_external(memory, *masks, on_show=None, now_ns=0):
    return memory.add_objects([MaskPoints.from_mask(mask, SIZE, 24) for mask in masks], on_show, SIZE, now_ns)


def test_what_is_told_gets_new_ids_and_is_recalled_by_its_place():
    memory = ObjectMemory(DwellSettings(), 3)
    assert is_external(memory, square(20, 20), square(200, 100)) == [4, 5]
    memory.move(lambda points: points + np.array([10, 5]))
    thing = memory.recall(square(210, 105), SIZE)
    assert thing.id == 5
    assert not thing.is_external
    assert memory.recall(square(120, 180), SIZE) is None
    assert len(memory) == 1


def test_what_is_known_keeps_its_id():
    memory = ObjectMemory(DwellSettings(), 0)
    on_show = memory.create(MaskPoints.from_mask(square(100, 100, 60), SIZE), 0)
    seen = memory.create(MaskPoints.from_mask(square(20, 20), SIZE), 0)
    memory.add(seen)
    assert is_external(memory, square(102, 101, 58), square(22, 19), square(220, 20), on_show=on_show, now_ns=7) == [
        1,
        2,
        3,
    ]
    assert seen.seen_ns == 7
    assert on_show.seen_ns == 0
    assert is_external(memory, square(221, 21), on_show=on_show) == [3]


def test_a_pictures_everything_does_not_drive_out_what_was_looked_at():
    memory = ObjectMemory(DwellSettings(remember=2, remember_told=3), 0)
    for x in (0, 50, 100):
        memory.add(memory.create(MaskPoints.from_mask(square(x, 0), SIZE), 1))
    assert is_external(memory, *(square(x, 100) for x in range(0, 300, 60)), now_ns=1) == [4, 5, 6, 7, 8]
    memory.forget(2, broken=False)
    assert len(memory) == 5
    assert memory.recall(square(0, 0), SIZE) is None
    assert memory.recall(square(50, 0), SIZE).id == 2
    assert memory.recall(square(0, 100), SIZE) is None
    assert memory.recall(square(240, 100), SIZE).id == 8
    memory.forget(2 + 31_000_000_000, broken=False)
    assert len(memory) == 0


def test_a_small_picture_of_a_trace_is_where_the_thing_is():
    for side in (8, 40, 120):
        mask = square(60, 50, side)
        trace = MaskPoints.from_mask(mask, SIZE)
        small = trace.rasterize(SIZE)
        lies = trace.compare_to(small, SIZE, trace)
        assert lies.inside > 0.9
        area = small.sum() * (SIZE[0] * SIZE[1] / small.size)
        assert 0.4 < area / mask.sum() < 2.5
