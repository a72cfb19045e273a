"""The stand-in for eyes, on pictures whose motion is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines import Image
from realtime.simulation.wandering_gaze import FIXATION_S, WanderingGaze

FPS = 24
WIDTH, HEIGHT = 480, 320


def texture(seed: int, width: int, height: int) -> Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_it_follows_what_it_fixates_as_the_picture_moves() -> None:
    wide, wander = texture(0, 2 * WIDTH, HEIGHT), WanderingGaze(seed=1)
    errors, before = [], None
    for i in range(72):
        shift = 3 * i  # the camera pans by 3 px a frame
        aim = wander.choose_aim(wide[:, shift : shift + WIDTH], i / FPS)
        if before is not None and not aim.jumped:
            errors.append(abs(aim.x + shift - before[0]) + abs(aim.y - before[1]))
        before = aim.x + shift, aim.y
    assert len(errors) > 40
    assert np.percentile(errors, 90) < 0.7  # against the 3 px that a gaze at rest would be off


def test_fixations_last_as_long_as_they_should() -> None:
    image, wander = texture(0, WIDTH, HEIGHT), WanderingGaze(seed=2)
    jumps = [i / FPS for i in range(FPS * 25) if wander.choose_aim(image, i / FPS).jumped]
    lasts = np.diff(jumps)
    assert len(lasts) > 12
    assert lasts.min() >= FIXATION_S[0]
    assert lasts.max() <= FIXATION_S[1] + 1 / FPS


def test_different_motion_attracts_the_eyes() -> None:
    ground, moving, wander = texture(0, WIDTH, HEIGHT), texture(1, 96, 96), WanderingGaze(seed=3)
    inside = []
    for i in range(120):
        image, x = ground.copy(), 40 + 2 * i
        image[110:206, x : x + 96] = moving
        aim = wander.choose_aim(image, i / FPS)
        inside.append(x - 5 <= aim.x <= x + 101 and 105 <= aim.y <= 211)
    share = 96 * 96 / (WIDTH * HEIGHT)
    assert np.mean(inside[24:]) > 5 * share


def test_same_seed_same_path() -> None:
    paths = []
    for seed in (4, 4, 5):
        wander = WanderingGaze(seed)
        paths.append([wander.choose_aim(texture(0, WIDTH, HEIGHT), i / FPS) for i in range(30)])
    assert paths[0] == paths[1] != paths[2]


@pytest.mark.parametrize("size", [(64, 48), (1, 1), (2000, 10), (10, 400)])
def test_pictures_without_corners(size: tuple[int, int]) -> None:
    wander = WanderingGaze()
    for i in range(40):
        aim = wander.choose_aim(np.full((size[1], size[0], 3), 90, np.uint8), i / FPS)
        assert 0 <= aim.x <= size[0]
        assert 0 <= aim.y <= size[1]


def test_change_of_size_and_cuts_are_survived() -> None:
    wander = WanderingGaze()
    for i in range(40):
        width, height = ((WIDTH, HEIGHT), (200, 300))[i // 7 % 2]
        aim = wander.choose_aim(texture(i // 5, width, height), i / FPS)
        assert 0 <= aim.x <= width
        assert 0 <= aim.y <= height
