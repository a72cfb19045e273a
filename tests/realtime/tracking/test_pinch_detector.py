"""A pinch is a quick closing of an open hand, once; what a hand holds makes none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.landmarks.hand_landmarker import INDEX_TIP, LITTLE_ROOT, MIDDLE_ROOT, THUMB_TIP, HandLandmarks
from realtime.tracking.pinch_detector import PinchDetector, PinchSettings, measure_palm, measure_pinch

SIZE = (1280, 720)
STEP_NS = 100_000_000
OPEN, CLOSED, BETWEEN = 0.9, 0.15, 0.4


def hand(ratio, *, palm=100.0, presence=0.99, number=1, depth=0.0):
    """A hand with tips so far apart, in shares of its palm."""
    points = np.zeros((21, 3))
    points[MIDDLE_ROOT, 1], points[LITTLE_ROOT, 0] = -palm, 0.7 * palm
    points[INDEX_TIP], points[THUMB_TIP] = (0, -palm, depth), (ratio * palm, -palm, 0)
    return HandLandmarks(points, presence, number)


def play(ratios, detector=None, start=0, **kind):
    """Return (number of the sample, number of the sample that closed) of each pinch; None is no hand."""
    detector, found = detector or PinchDetector(), []
    for k, ratio in enumerate(ratios, start):
        hands = [] if ratio is None else [hand(ratio, **kind)]
        if (closed_ns := detector.update(hands, SIZE, k * STEP_NS)) is not None:
            found.append((k, closed_ns // STEP_NS))
    return found


@pytest.mark.parametrize(
    ("ratios", "pinches"),
    [
        ([OPEN] * 3 + [CLOSED] * 9, [(4, 3)]),  # one event for each closing
        ([OPEN] * 3 + [BETWEEN] * 2 + [CLOSED] * 3, [(6, 5)]),
        ([OPEN] * 3 + [CLOSED, BETWEEN, CLOSED], [(5, 3)]),  # as soon as a second sample is closed
        (([OPEN] * 3 + [CLOSED] * 3) * 3, [(4, 3), (10, 9), (16, 15)]),
        ([OPEN] * 3 + [CLOSED] + [OPEN] * 3, []),  # a single sample is noise
        ([OPEN] * 3 + [BETWEEN] * 8 + [CLOSED] * 9, []),  # so slow that it is a grasp
        ([OPEN] * 3 + [BETWEEN] * 8 + [CLOSED] * 3 + [BETWEEN, CLOSED] * 5, []),
        ([CLOSED] * 20, []),  # a hand that holds something, from its first sample on
        ([CLOSED, BETWEEN] * 10, []),
        ([CLOSED, CLOSED, OPEN] * 10, []),  # a single open sample opens no hand
        ([OPEN] * 3 + [None] + [CLOSED] * 9, []),  # another hand, as far as is known
        ([BETWEEN] * 20, []),
        ([], []),
    ],
)
def test_a_quick_closing_of_an_open_hand_is_a_pinch(ratios, pinches):
    assert play(ratios) == pinches


@pytest.mark.parametrize(
    ("kind", "is_found"),
    [({}, True), ({"presence": 0.6}, False), ({"palm": 70.0}, True), ({"palm": 50.0}, False)],
)
def test_only_near_and_certain_hands_count(kind, is_found):
    assert bool(play([OPEN] * 3 + [CLOSED] * 3, **kind)) is is_found


def test_each_of_two_hands_has_a_state_of_its_own():
    detector = PinchDetector()
    for k, (left, right) in enumerate([(CLOSED, OPEN)] * 3 + [(CLOSED, CLOSED)] * 3):
        found = detector.update([hand(left), hand(right, number=2)], SIZE, k * STEP_NS)
        assert (found is not None) == (k == 4)


def test_the_measure_is_of_the_picture_and_of_the_longer_side_of_the_palm():
    assert measure_pinch(hand(0.4, depth=50.0)) == pytest.approx(0.4)
    turned = hand(0.4)
    turned.points[MIDDLE_ROOT, 1] = -10.0  # seen from its end
    assert measure_palm(turned) == pytest.approx(np.linalg.norm([70.0, 0.0]))


@settings(max_examples=80)
@given(st.lists(st.sampled_from([OPEN, CLOSED, BETWEEN, None]), max_size=60))
def test_between_two_pinches_the_hand_was_open(ratios):
    found = play(ratios)
    for (_, closed), (later, reclosed) in zip([(0, -1), *found], found, strict=False):
        opened = [k for k in range(closed + 1, reclosed) if ratios[k] == OPEN]
        assert any(k + 1 in opened for k in opened), "two samples in a row"
        assert ratios[reclosed] == ratios[later] == CLOSED
        assert None not in ratios[opened[-1] : later]


@settings(max_examples=40)
@given(st.lists(st.floats(0.0, 0.49), max_size=60))
def test_fingers_that_never_open_make_no_pinch(ratios):
    assert play(ratios) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_rate_hz": 0}, {"max_rate_hz": 1000}, {"closed_ratio": 0.6}, {"open_ratio": 1.5}, {"closed_ratio": 0.0},
        {"closing_s": 0}, {"min_palm_share": -0.1}, {"max_rate_hz": float("nan")},
    ],
)  # fmt: skip
def test_settings_that_no_hand_has_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PinchSettings(**wrong)
