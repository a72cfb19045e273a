"""Each mask is drawn in its own colour at its place."""

import numpy as np

from engines import Prompt
from engines.automatic_masks import AutomaticMask
from engines.automatic_masks.packed_mask import pack_mask
from realtime.commands.segment.instance_overlay import draw_instances, draw_names, instance_color


def found(box, size=(60, 40)):
    x, y, width, height = box
    placed, area, packed = pack_mask(np.ones((height, width), bool), (x, y))
    return AutomaticMask(size, placed, area, 0.9, 0.9, (), (0, 0, *size), packed)


def test_every_mask_has_its_colour_and_small_ones_lie_on_top():
    image = np.full((40, 60, 3), 100, np.uint8)
    out = draw_instances(image, [found((15, 15, 5, 5)), found((10, 10, 30, 20))])
    np.testing.assert_allclose(out[17, 17], (np.array(instance_color(0)) + 100) / 2, atol=1)
    np.testing.assert_allclose(out[25, 35], (np.array(instance_color(1)) + 100) / 2, atol=1)
    np.testing.assert_array_equal(out[5, 5], (100, 100, 100))
    np.testing.assert_allclose(out[10, 20], instance_color(1, light=True), atol=30)  # lines are smoothed
    assert (image == 100).all()


def test_colours_differ():
    assert len({instance_color(index) for index in range(200)}) == 200


def test_a_prompt_is_marked():
    image = np.full((40, 60, 3), 100, np.uint8)
    prompt = Prompt(np.array([[30, 20], [50, 10]], np.float32), np.array([1, 0], np.int8), np.array([4, 4, 20, 30]))
    out = draw_instances(image, [], prompt)
    np.testing.assert_array_equal(out[20, 30], (255, 255, 255))
    np.testing.assert_array_equal(out[10, 50], (100, 100, 100))
    assert out[4, 12].min() > 220


def test_names_are_written_where_no_other_is_or_not_at_all():
    out = np.zeros((200, 300, 3), np.uint8)
    draw_names(out, [(found((100, 60, 80, 20), (300, 200)), "cup")])
    rows, columns, _ = np.nonzero(out)
    assert 60 <= rows.min() < rows.max() < 76
    assert 110 < columns.min() < columns.max() < 170
    once = out.copy()
    draw_names(out, [(found((100, 60, 80, 20), (300, 200)), "cup")] * 9)
    rows, _, _ = np.nonzero(out)
    assert 44 <= rows.min() < rows.max() < 96
    assert (out != once).any()
