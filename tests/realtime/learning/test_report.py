"""The report shows looks before and after, what changed most first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from realtime.learning.report import compare_masks, draw_change
from tests.realtime.learning.made_looks import make_looks


def test_the_masks_of_two_decoders_are_compared_look_by_look():
    before = make_looks(3, 1, helpful="support")
    gains = (0.1, -0.4, 0.0)
    after = [
        replace(look, choice=replace(look.choice, masks=~look.choice.masks), overlap=look.overlap + np.float32(gain))
        for look, gain in zip(before, gains, strict=True)
    ]
    changes = compare_masks(before, after)
    assert [round(each.gain, 3) for each in changes] == [-0.4, 0.1], "an equal one is left out"
    first = changes[0].look
    assert first.visit == before[1].visit
    assert (first.choice.masks[1] == ~before[1].choice.masks[0]).all()
    assert draw_change(changes[0]).ndim == 3
