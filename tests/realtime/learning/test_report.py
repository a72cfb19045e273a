"""The report shows looks before and after, what changed most first."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from realtime.correction.loop_metrics import LoopMetrics
from realtime.learning.adapter import AdapterInfo
from realtime.learning.gate import GateVerdict, measure_choice
from realtime.learning.report import (
    CONTEXT,
    GAP_PX,
    PANEL_PX,
    ChangedLook,
    compare_masks,
    draw_change,
    write_report,
)
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


def make_change(right):
    masks = np.zeros((2, 60, 80), np.bool_)
    masks[0, 20:30, 10:20] = masks[1, 20:40, 10:30] = True
    picture = cv2.imencode(".png", np.full((120, 160, 3), 128, np.uint8))[1].tobytes()
    (look,) = make_looks(1, 1, helpful="support")
    choice = replace(look.choice, masks=masks, picture=picture)
    overlap = np.array([0.25, 1.0], np.float32)
    return ChangedLook(replace(look, choice=choice, overlap=overlap, right=masks[1] if right else None), 0, 1)


def test_the_masks_are_drawn_side_by_side_and_large_enough():
    drawn = draw_change(make_change(right=False)).astype(int)
    assert drawn.shape == (PANEL_PX, 2 * PANEL_PX + GAP_PX, 3)
    before, after = drawn[:, :PANEL_PX], drawn[:, PANEL_PX + GAP_PX :]
    tinted = [np.abs(panel - 128).sum(2) > 30 for panel in (before, after)]
    sizes = [tint.sum() / PANEL_PX**2 for tint in tinted]
    assert sizes[1] == pytest.approx(1 / CONTEXT**2, rel=0.1), "it fills the panel but for some context"
    assert sizes[0] == pytest.approx(sizes[1] / 4, rel=0.2)
    assert before[tinted[0]][:, 2].mean() > 150 > before[tinted[0]][:, 0].mean(), "vermillion"
    assert after[tinted[1]][:, 0].mean() > 140 > after[tinted[1]][:, 2].mean(), "blue"
    white = (draw_change(make_change(right=True)) > 240).all(2)
    assert white[:, :PANEL_PX].any()
    assert white[:, PANEL_PX + GAP_PX :].any()


@pytest.mark.parametrize("masks", [np.zeros((2, 6, 8), np.bool_), np.ones((2, 6, 8), np.bool_)])
def test_empty_and_full_masks_are_drawn_too(masks):
    change = make_change(right=False)
    change = replace(change, look=replace(change.look, choice=replace(change.look.choice, masks=masks)))
    assert draw_change(change).shape[0] == PANEL_PX


def test_the_page_names_what_chance_does_and_what_the_loop_took():
    (look,) = make_looks(1, 1, helpful="support")
    figures = measure_choice([look], [np.arange(4.0)])
    verdict = GateVerdict({"own": figures}, {"own": figures}, "it is <no> better", 0.25)
    info = AdapterInfo("decoder", "m", looks=1, visits=1, answers={"corrected": 1}, sources={"a & b.mcap": "0123"})
    changes = [make_change(right=True), make_change(right=True)]
    metrics = LoopMetrics(accepted=1, corrected=1, corrections=4, seconds=12.0)
    page = write_report(info, verdict, changes, metrics, None)
    assert "in 0.250 of cases, and 0.05 are" in page
    assert "it is &lt;no&gt; better" in page
    assert "a &amp; b.mcap" in page
    assert page.count("<img") == 1, "one picture of an answer"
    assert "better: IoU 0.25 to 1.00 (corrected)" in page
    for row in ("seconds a mask<td>6.0", "corrections a mask<td>2.00", "share accepted as it was<td>0.50"):
        assert row in page
    assert "No mask of a recording" in write_report(info, verdict, [], LoopMetrics(), None)
