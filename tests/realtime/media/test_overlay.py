from dataclasses import replace

import numpy as np
import pytest

from realtime.comms.messages import MaskMessage
from realtime.media.overlay import COLOURS, draw_overlay
from realtime.types import Confirmation, FrameRef, GazeRef, KeyframeRef, TimingNs


def message(mask, state="locked", gaze=(5.0, 5.0)):
    return MaskMessage(
        FrameRef(0, 0.0, 120, 80), KeyframeRef(0, 0.0), GazeRef(0.0, *gaze, 1.0, 5.0), 0.0, 1, state, 0.9, 0.9, mask,
        TimingNs(0, 0, 0, 0),
    )  # fmt: skip


@pytest.mark.parametrize("state", ["preview", "locked", "held"])
def test_the_mask_is_tinted_towards_its_colour_and_the_rest_is_untouched(state):
    image = np.full((80, 120, 3), 90, np.uint8)
    mask = np.zeros((80, 120), bool)
    mask[40:70, 60:110] = True
    out = draw_overlay(image, message(mask, state), label=False)
    assert (image == 90).all()
    colour = np.array(COLOURS[state], float)
    assert np.abs(out[55, 85] - (0.58 * 90 + 0.42 * colour)).max() < 2
    assert (out[72:, 60:] == 90).all()


def test_lost_and_empty_masks_and_gaze_outside_the_frame_are_drawn():
    image = np.zeros((80, 120, 3), np.uint8)
    assert draw_overlay(image, message(None, "lost", gaze=(-500.0, 900.0))).shape == image.shape
    assert draw_overlay(image, message(np.zeros((80, 120), bool))).any()


def test_a_mask_at_the_border_stays_in_the_picture():
    mask = np.zeros((80, 120), bool)
    mask[-1, -1] = mask[0, 0] = True
    assert draw_overlay(np.zeros((80, 120, 3), np.uint8), message(mask), label=False)[79, 119].any()


def test_a_confirmed_mask_has_a_white_rim_and_the_means_are_written():
    image = np.zeros((80, 300, 3), np.uint8)
    mask = np.zeros((80, 300), bool)
    mask[40:70, 160:210] = True
    plain = message(mask)
    drawn = [draw_overlay(image, each) for each in (plain, replace(plain, confirmed=Confirmation("pinch", 1, 2)))]
    whites = [(each[35:75, 150:220].min(2) > 250).sum() for each in drawn]
    assert whites[1] > whites[0] + 100
    ends = [np.flatnonzero(each[:20].any((0, 2))).max() for each in drawn]
    assert ends[1] > ends[0] + 60


def test_the_name_of_the_object_is_written():
    image = np.zeros((80, 300, 3), np.uint8)
    written = [
        np.flatnonzero(draw_overlay(image, message(None, "lost"), name=name)[:20].any((0, 2))).max()
        for name in ("", "cup")
    ]
    assert written[1] > written[0] + 20


def test_a_name_keeps_its_umlauts_and_scripts():
    image = np.zeros((240, 400, 3), np.uint8)
    drawn = [draw_overlay(image, message(None, "lost"), name=name)[:22, :200] for name in ("Tür", "Tur", "杯")]
    assert all(part.any() for part in drawn)
    assert not np.array_equal(drawn[0], drawn[1])
