import numpy as np
import pytest

from realtime.keyframes import KeyframeChooser, KeyframeSettings
from realtime.types import Frame

RNG = np.random.default_rng(3)
SCENE = RNG.integers(40, 200, (240, 320, 3), np.uint8)


def frame(index, image):
    return Frame(image, index, index / 30, index, index)


def noisy(image, sd):
    return np.clip(np.round(image + RNG.normal(0, sd, image.shape)), 0, 255).astype(np.uint8)


def test_the_first_frame_is_wanted_and_a_still_picture_is_not_wanted_again():
    chooser = KeyframeChooser()
    assert chooser.wants(frame(0, SCENE), None)
    assert not any(chooser.wants(frame(i, noisy(SCENE, 4)), 0) for i in range(1, 20))


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
    chooser = KeyframeChooser()
    smooth = np.kron(SCENE[::20, ::20], np.ones((20, 20, 1), np.uint8))
    chooser.wants(frame(0, smooth), None)
    assert chooser.wants(frame(1, change(smooth)), 0)


def test_slow_change_adds_up():
    chooser = KeyframeChooser()
    grey = np.full((240, 320, 3), 100, np.uint8)
    chooser.wants(frame(0, grey), None)
    wanted = [chooser.wants(frame(i, grey + np.uint8(i // 2)), 0) for i in range(1, 8)]
    assert wanted == [False, False, False, True, True, True, True]


def test_memory_is_bounded_and_a_forgotten_keyframe_is_replaced():
    chooser = KeyframeChooser(KeyframeSettings(remember=4))
    for i in range(6):
        chooser.wants(frame(i, SCENE), 0)
    assert chooser.wants(frame(6, SCENE), 0)
