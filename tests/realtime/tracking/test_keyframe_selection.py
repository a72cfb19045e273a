import cv2
import numpy as np
import pytest

from realtime.tracking.keyframe_selection import KeyframeSelector, KeyframeSettings

RNG = np.random.default_rng(3)
SCENE = RNG.integers(40, 200, (240, 320, 3), np.uint8)


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def noisy(image, sd):
    return np.clip(np.round(image + RNG.normal(0, sd, image.shape)), 0, 255).astype(np.uint8)


def test_the_first_frame_is_wanted_and_a_still_picture_is_not_wanted_again():
    selector = KeyframeSelector()
    assert selector.should_encode(0, grey(SCENE), None)
    assert not any(selector.should_encode(i, grey(noisy(SCENE, 4)), 0) for i in range(1, 20))


@pytest.mark.parametrize(
    "change",
    [
        lambda image: np.roll(image, 12, 1),
        lambda image: np.clip(image.astype(int) + 6, 0, 255).astype(np.uint8),
        lambda image: np.where(np.indices(image.shape[:2]).sum(0)[..., None] < 60, 255 - image, image).astype(np.uint8),
    ],
    ids=["moved", "brighter", "a corner changed"],
)
def test_another_picture_is_wanted(change):
    selector = KeyframeSelector()
    smooth = np.kron(SCENE[::20, ::20], np.ones((20, 20, 1), np.uint8))
    selector.should_encode(0, grey(smooth), None)
    assert selector.should_encode(1, grey(change(smooth)), 0)


def test_slow_change_adds_up():
    selector = KeyframeSelector()
    plain = np.full((240, 320, 3), 100, np.uint8)
    selector.should_encode(0, grey(plain), None)
    wanted = [selector.should_encode(i, grey(plain + np.uint8(i // 2)), 0) for i in range(1, 8)]
    assert wanted == [False, False, False, True, True, True, True]


def test_memory_is_bounded_and_a_forgotten_keyframe_is_replaced():
    selector = KeyframeSelector(KeyframeSettings(remember=4))
    for i in range(6):
        selector.should_encode(i, grey(SCENE), 0)
    assert selector.should_encode(6, grey(SCENE), 0)
