"""Clips side by side, the gaze that goes between them, and clips that are not there."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.streaming_eval.clips import Clip, back_and_forth, load_clips, pair_neighbours, side_by_side
from benchmarks.streaming_eval.gaze import DWELL_S, GAZE_HZ, is_blink, simulate_gaze
from tests.benchmarks.drawn import SHAPE, disc

FPS = 24.0


def moving(name: str, count: int = 20, step: float = 3.0) -> Clip:
    """A white disc that crosses a grey picture."""
    truths = [disc(40 + step * i, 45, 15) for i in range(count)]
    pictures = [np.repeat(np.where(t, 255, 90).astype(np.uint8)[..., None], 3, 2) for t in truths]
    jpegs = tuple(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for p in pictures)
    return Clip(name, jpegs, (tuple(truths),))


@given(st.integers(1, 30), st.integers(1, 100))
def test_back_and_forth_never_cuts(length: int, count: int) -> None:
    order = back_and_forth(length, count)
    assert len(order) == count
    assert set(order) <= set(range(length))
    assert all(abs(a - b) == (1 if length > 1 else 0) for a, b in pairwise(order))


def test_side_by_side_keeps_size_and_puts_each_object_into_its_half() -> None:
    both = side_by_side(moving("a"), moving("b", 12, -1.0), 50)
    assert both.name == "a+b"
    assert both.size == SHAPE[::-1]
    assert len(both) == len(both.pictures) == 50
    assert all(picture.shape[:2] == SHAPE for picture in both.pictures)
    for a, b, picture in zip(*both.objects, both.pictures, strict=True):
        assert a[:, :80].sum() > 500  # in view, as the window follows it
        assert b[:, 80:].sum() > 500
        assert not a[:, 80:].any()
        assert not b[:, :80].any()
        assert picture[a | b].mean() > 230  # the masks fit the pictures
        assert picture[~(a | b)].mean() < 110


def test_every_clip_is_once_left_and_once_right() -> None:
    names = [clip.name for clip in pair_neighbours([moving(name) for name in "abc"], 10)]
    assert names == ["a+b", "b+c", "c+a"]
    assert [clip.name for clip in pair_neighbours([moving(name) for name in "ab"], 10)] == ["a+b"]


def test_one_clip_has_no_neighbour() -> None:
    with pytest.raises(SystemExit, match="two objects need two clips"):
        pair_neighbours([moving("a")], 10)


def test_the_gaze_alternates_and_rests_on_the_objects() -> None:
    both = side_by_side(moving("a"), moving("b"), 240)
    found = simulate_gaze(both, FPS, 0.0, 1)
    assert len(found.points_px) == len(found.object_index) == 10 * GAZE_HZ
    at_s = [s for s, _ in found.saccade_ends]
    assert at_s[0] == 0.0
    assert 6 <= len(at_s) <= 10
    assert all(DWELL_S[0] <= b - a <= DWELL_S[1] + 0.1 for a, b in pairwise(at_s))
    assert all(a != b for (_, a), (_, b) in pairwise(found.saccade_ends))
    x = found.points_px[:, 0]
    on = (x >= 80).astype(int)
    assert (on == found.object_index).mean() > 0.97  # all but the second halves of saccades
    for landing_s, number in found.saccade_ends:
        sample = round(landing_s * GAZE_HZ)
        frame = int(landing_s * FPS)
        px, py = np.round(found.points_px[sample]).astype(int)
        assert both.objects[number][frame][py, px]
        assert found.object_at(landing_s + 1e-6) == number


def test_gaze_depends_on_seed_and_name_alone() -> None:
    a, b = simulate_gaze(moving("a"), FPS, 10.0, 1), simulate_gaze(moving("a"), FPS, 10.0, 1)
    np.testing.assert_array_equal(a.points_px, b.points_px)
    assert not np.array_equal(a.points_px, simulate_gaze(moving("b"), FPS, 10.0, 1).points_px)
    assert not np.array_equal(a.points_px, simulate_gaze(moving("a"), FPS, 10.0, 2).points_px)


def test_eyes_close_for_150_ms_every_two_seconds() -> None:
    shut = [is_blink(sample) for sample in range(4 * GAZE_HZ)]
    assert sum(shut) == 60
    assert not shut[0]
    assert all(shut[370:400])


def test_a_folder_of_clips(tmp_path: Path) -> None:
    clip = moving("a", 3)
    for number, (jpeg, mask) in enumerate(zip(clip.jpegs, clip.objects[0], strict=True)):
        for folder, ending, content in (
            ("frames", "jpg", jpeg),
            ("masks", "png", cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()),
        ):
            path = tmp_path / "one" / folder / f"{number:05}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (found,) = load_clips(tmp_path)
    assert found.name == "one"
    assert found.jpegs == clip.jpegs
    np.testing.assert_array_equal(found.objects[0], clip.objects[0])
    with pytest.raises(SystemExit, match="no clips named two below"):
        load_clips(tmp_path, ["two"])
