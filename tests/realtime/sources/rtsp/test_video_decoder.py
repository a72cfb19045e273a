"""Tests decoding without delay, and what becomes of damaged frames."""

import numpy as np
import pytest

from realtime.simulation.neon.scene_video import SceneEncoder, find_parameter_sets, split_nals
from realtime.sources.rtsp.access_units import START_CODE, AccessUnit
from realtime.sources.rtsp.video_decoder import UnitDecoder
from tests.realtime.sources.video.clips import number_in, picture

SIZE = (320, 240)


@pytest.fixture(scope="module")
def encoded():
    encoder = SceneEncoder(24.0, SIZE)
    return [encoder.encode(number / 24, picture(number, SIZE), None).picture for number in range(10)]


def unit(data, is_damaged=False):
    return AccessUnit(data, False, is_damaged, 0.0, 0)


def test_each_frame_comes_at_once(encoded):
    decoder = UnitDecoder(())
    for number, data in enumerate(encoded):
        image, is_intact = decoder.decode(unit(data))
        assert is_intact
        assert image.shape == (240, 320, 3)
        assert number_in(image) == number


def test_parameter_sets_of_the_description_are_enough(encoded):
    slices = [nal for nal in split_nals(encoded[0]) if nal[0] & 31 == 5]
    image, is_intact = UnitDecoder(find_parameter_sets(encoded[0])).decode(unit(START_CODE + slices[0]))
    assert is_intact
    assert number_in(image) == 0


def test_nothing_comes_before_a_key_frame(encoded):
    decoder = UnitDecoder(find_parameter_sets(encoded[0]))
    assert decoder.decode(unit(encoded[3]))[0] is None
    assert decoder.decode(unit(encoded[0]))[0] is not None


@pytest.mark.parametrize("damaged", [b"", START_CODE, bytes(range(256)) * 4])
def test_damaged_frames_are_not_shown_and_end_nothing(encoded, damaged):
    decoder = UnitDecoder(())
    decoder.decode(unit(encoded[0]))
    image, is_intact = decoder.decode(unit(damaged, is_damaged=True))
    assert image is None
    assert not is_intact
    for number in (1, 2, 3):
        assert number_in(decoder.decode(unit(encoded[number]))[0]) == number


def test_a_frame_that_is_not_wanted_is_decoded_for_the_next_ones(encoded):
    decoder = UnitDecoder(())
    assert decoder.decode(unit(encoded[0]), convert=False) == (None, True)
    image, _ = decoder.decode(unit(encoded[1]))
    assert image.dtype == np.uint8
    assert number_in(image) == 1


def test_frames_on_a_key_frame_that_was_mostly_lost_are_not_shown(encoded):
    decoder = UnitDecoder(find_parameter_sets(encoded[0]))
    decoder.decode(AccessUnit(b"\0\0\0\1\x65\x88\x80", True, True, 0.0, 0, lost_share=0.9))
    assert decoder.decode(unit(encoded[1]))[0] is None
    assert number_in(decoder.decode(AccessUnit(encoded[0], True, False, 0.0, 0))[0]) == 0
    assert number_in(decoder.decode(unit(encoded[1]))[0]) == 1
