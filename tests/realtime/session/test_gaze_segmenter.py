"""A program's own loop: plain arrays and tuples in, a mask per frame out, and clear errors."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from engines import EngineSettings
from realtime.errors import CommandRejected, GazecastError, InputError
from realtime.session.gaze_segmenter import GazeSegmenter
from tests.realtime import scene
from tests.realtime.waiting import eventually

FPS = 30
IMAGE = scene.picture(0)


@pytest.fixture
def segmenter():
    with GazeSegmenter(EngineSettings(backend="fake")) as opened:
        yield opened


def play(segmenter, frames, start_s=0.0, speed=2.0, first=0):
    return [
        segmenter.step(scene.picture(n, speed), start_s + n / FPS, scene.centre(n, speed))
        for n in range(first, first + frames)
    ]


@pytest.mark.parametrize("start_s", [0.0, -5.0, -0.1, 1e6], ids=str)
def test_masks_fit_from_any_time_on(segmenter, start_s):
    results = play(segmenter, 60, start_s)
    shown = [n for n, result in enumerate(results) if result is not None and result.mask is not None]
    assert shown[0] <= 7, "0.15 s of fixation"
    assert shown == list(range(shown[0], 60))
    assert np.mean([scene.iou(results[n].mask, scene.truth(n)) for n in shown]) > 0.85
    assert {results[n].object for n in shown} == {1}
    assert results[-1].state == "locked"
    assert results[-1].frame.timestamp == start_s + 59 / FPS


def test_a_video_gives_the_same_masks_every_time():
    runs = []
    for start_s in (0.0, 100.0):
        with GazeSegmenter(EngineSettings(backend="fake")) as segmenter:
            runs.append(play(segmenter, 30, start_s))
    for one, other in zip(*runs, strict=True):
        assert (one is None) == (other is None)
        assert one is None or (one.mask is None and other.mask is None) or np.array_equal(one.mask, other.mask)


def test_an_encoder_on_its_own_thread_gives_masks_too():
    with GazeSegmenter(EngineSettings(backend="fake"), background=True) as segmenter:
        play(segmenter, 1, speed=0.0)
        eventually(lambda: segmenter._encoding.done(), "the first keyframe")
        results = play(segmenter, 30, speed=0.0, first=1)
    assert scene.iou(results[-1].mask, scene.truth(0)) > 0.85


def test_several_samples_per_frame_are_spread_over_its_time(segmenter):
    for n in range(20):
        x, y = scene.centre(n)
        result = segmenter.step(scene.picture(n), n / FPS, [(x, y, 0.9)] * 4)
    assert result.mask is not None
    assert segmenter._tracker._gaze.counts["used"] == 80


@pytest.mark.parametrize("gaze", [(), None, [], np.zeros((0, 2))], ids=["tuple", "None", "list", "array"])
def test_without_gaze_nothing_is_shown(segmenter, gaze):
    assert segmenter.step(IMAGE, 0.0) is None
    assert segmenter.step(IMAGE, 0.1, gaze) is None


def test_another_video_begins_after_reset_at_another_time_and_size(segmenter):
    before = play(segmenter, 30)[-1]
    segmenter.reset()
    assert segmenter.step(np.ascontiguousarray(IMAGE[:120, :160]), -3.0) is None
    segmenter.reset()
    assert play(segmenter, 30)[-1].object > before.object


def test_a_user_holds_clears_and_steps(segmenter):
    with pytest.raises(CommandRejected):
        segmenter.hold()
    play(segmenter, 30)
    assert segmenter.hold() == 1
    segmenter.step_level(1)
    held = segmenter.step(scene.picture(30), 30 / FPS, (10.0, 230.0))
    assert (held.state, held.object) == ("held", 1)
    segmenter.hold(False)
    segmenter.clear()
    assert segmenter.step(scene.picture(31), 31 / FPS, (10.0, 230.0)).state == "lost"
    with pytest.raises(InputError, match="-1"):
        segmenter.step_level(2)
    with pytest.raises(InputError, match="-1"):
        segmenter.step_alternative(0)
    with pytest.raises(CommandRejected, match="nothing is on show"):
        segmenter.step_alternative(1)


def test_clear_before_the_first_frame_changes_nothing(segmenter):
    segmenter.clear()
    assert play(segmenter, 20)[-1].mask is not None


@pytest.mark.parametrize(
    ("image", "time_s", "gaze", "message"),
    [
        (IMAGE.astype(np.float32), 1.0, (), r"uint8 and shape \(height, width, 3\), got float32 \(240, 320, 3\)"),
        (IMAGE[..., 0], 1.0, (), r"got uint8 \(240, 320\); for grey images use"),
        ("frame.png", 1.0, (), "got str"),
        (np.zeros((0, 5, 3), np.uint8), 1.0, (), "at least one pixel"),
        (
            np.ascontiguousarray(IMAGE[:100]),
            1.0,
            (),
            r"size of the frame before \(320 x 240\), got 320 x 100; call reset",
        ),
        (IMAGE, 0.0, (), r"above that of the frame before \(0.0\), got 0.0; call reset"),
        (IMAGE, -1.0, (), "got -1.0; call reset"),
        (IMAGE, float("nan"), (), "number of seconds up to .*, got nan"),
        (IMAGE, "1", (), "number of seconds up to .*, got '1'"),
        (IMAGE, 10**400, (), "number of seconds up to .*, got 1000"),
        (IMAGE, np.complex64(1), (), "number of seconds up to .*, got"),
        (IMAGE, 1e308, (), r"number of seconds up to 9\.2e\+09, got 1e\+308"),
        (IMAGE, 1764414000000, (), "number of seconds up to .*, got 1764414000000"),
        (IMAGE, 1.0, (float("nan"), 2.0), "gaze must be finite numbers, got .*; leave out the samples of a blink"),
        (IMAGE, 1.0, (1.0,), r"gaze must be \(x, y\) or \(x, y, confidence\) .*; got an array of shape \(1,\)"),
        (IMAGE, 1.0, [(1.0, 2.0), (1.0, 2.0, 0.5)], r"gaze must be \(x, y\) or .*; got \["),
        (IMAGE, 1.0, (1.0, 2.0, 95.0), r"confidence of gaze must be within 0..1, got \[95.0\]"),
    ],
)
def test_wrong_input_is_named_and_changes_nothing(segmenter, image, time_s, gaze, message):
    play(segmenter, 1)
    with pytest.raises(InputError, match=message) as error:
        segmenter.step(image, time_s, gaze)
    assert isinstance(error.value, GazecastError)
    assert all(result is None or result.mask is None for result in play(segmenter, 2, first=1))
    assert play(segmenter, 30, first=3)[-1].mask is not None


def test_an_encoder_on_its_own_thread_reads_a_copy_of_the_picture():
    """OpenCV's `read(image)` writes each frame into the same array."""
    with GazeSegmenter(EngineSettings(backend="fake"), background=True) as segmenter:
        begin, encoded = threading.Event(), []
        encode = segmenter._encoder.encode

        def encode_late(image):
            begin.wait()
            encoded.append(image.copy())
            return encode(image)

        segmenter._encoder.encode = encode_late
        image = IMAGE.copy()
        segmenter.step(image, 0.0)
        image[:] = 0
        begin.set()
        eventually(lambda: segmenter._encoding.done(), "the keyframe")
    assert np.array_equal(encoded[0], IMAGE)


@pytest.mark.parametrize("background", [False, True])
def test_a_closed_segmenter_refuses_frames(background):
    with GazeSegmenter(EngineSettings(backend="fake"), background=background) as segmenter:
        play(segmenter, 1)
    with pytest.raises(InputError, match="closed"):
        segmenter.step(IMAGE, 1.0)


def test_without_opencv_the_error_names_the_extra():
    code = "import sys, realtime; sys.modules['cv2'] = None; realtime.GazeSegmenter"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert "ModuleNotFoundError: realtime.GazeSegmenter needs cv2, which is not installed" in done.stderr
    assert "pip install -e '.[run]'" in done.stderr


def test_importing_the_package_stays_light():
    code = (
        "import sys, realtime; assert sorted(realtime.__all__) == sorted(set(realtime.__all__));"
        "heavy = {'cv2', 'zmq', 'torch', 'openvino', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
