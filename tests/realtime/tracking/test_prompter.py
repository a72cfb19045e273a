"""Boxes that go with the gaze's point, whatever finds them."""

import numpy as np
import pytest

from engines import EngineSettings, load
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompter import MaskPrompter, PromptBox, PrompterSettings
from realtime.tracking.tracker import Tracker
from realtime.types import Frame, GazeSample
from tests.realtime import scene


class Boxes:
    """Finds one box in every keyframe, and remembers what it was asked."""

    def __init__(self, box_px, confidence=0.9):
        self.box = PromptBox(box_px, "test", confidence)
        self.asked = []

    def find_box(self, keyframe, point_px, radius_px):
        self.asked.append((keyframe.index, point_px, radius_px))
        return self.box


def decode(source, point=None, settings=None):
    """The prompts that reach the decoder for one fixation, and the result."""
    encoder, decoder = load(EngineSettings(backend="fake"), None)
    prompts, decode = [], decoder.decode
    decoder.decode = lambda embedding, given: (prompts.extend(given), decode(embedding, given))[1]
    image = scene.picture(0)
    frame = Frame(image, 0, 0.0, 0, 0)
    motion = FlowHistory()
    motion.push(frame)
    x, y = point or scene.centre(0)
    sample = GazeSample(x, y, "px", 1.0, 0.0, 0, 0)
    prompter = MaskPrompter(decoder, lambda: 0, settings or PrompterSettings(), source)
    prompter.add_sample(sample, x, y)
    estimate = GazeEstimate("fixation", (x, y), 0, sample, 0.0, 10.0)
    keyframe = Keyframe.from_frame(frame, encoder.encode(image), 1, 1)
    return prompts, prompter.decode_gaze(estimate, keyframe, motion.chain(0)), prompter


def test_a_box_is_prompted_beside_the_point_and_its_candidates_are_hypotheses_too():
    source = Boxes((20.0, 80.0, 100.0, 160.0))
    prompts, result, prompter = decode(source)
    assert source.asked == [(0, scene.centre(0), 10.0)]
    assert [prompt.box_px is None for prompt in prompts] == [True, False]
    assert np.array_equal(prompts[1].box_px, [20, 80, 100, 160])
    assert np.array_equal(prompts[0].points_px, prompts[1].points_px)
    assert [candidates for _, candidates in result.all_candidates] == [result.candidates, result.boxed]
    assert [prompter.vote() for _ in range(5)] == [True] * 4 + [False]
    assert prompter.answer.boxed is result.boxed
    assert len(prompter.answer.all_candidates) == 6


def test_a_box_is_cut_to_the_picture():
    prompts, _, _ = decode(Boxes((-50.0, -9.0, 900.0, 700.0)))
    assert np.array_equal(prompts[1].box_px, [0, 0, scene.SIZE[0] - 1, scene.SIZE[1] - 1])


@pytest.mark.parametrize(
    "source",
    [
        None,
        Boxes((20.0, 80.0, 100.0, 160.0), confidence=0.4),
        Boxes((200.0, 80.0, 300.0, 160.0)),
        Boxes((20.0, 160.0, 100.0, 80.0)),
        Boxes((20.0, float("nan"), 100.0, 160.0)),
        Boxes((400.0, 300.0, 500.0, 400.0)),
    ],
)
def test_without_a_confident_box_round_the_point_the_point_is_prompted_alone(source):
    prompts, result, _ = decode(source)
    assert [prompt.box_px for prompt in prompts] == [None]
    assert result.boxed is None
    assert result.all_candidates == [(result.keyframe_px, result.candidates)]


def test_a_tracker_asks_its_source_of_boxes_once_a_keyframe():
    encoder, decoder = load(EngineSettings(backend="fake"), None)
    now, source = [0], Boxes((20.0, 80.0, 100.0, 160.0))
    tracker = Tracker(decoder, lambda: now[0], box_source=source)
    keyframe = None
    for index in range(8):
        frame = Frame(scene.picture(0), index, index / 24, now[0], now[0])
        x, y = scene.centre(0)
        result = tracker.step(frame, [GazeSample(x, y, "px", 1.0, index / 24, now[0], now[0])], keyframe).result
        keyframe = Keyframe.from_frame(frame, encoder.encode(frame.image), 1, now[0]) if index == 0 else None
        now[0] += 41_666_667
    assert [index for index, _, _ in source.asked] == [0]
    assert scene.iou(result.mask, scene.truth(0)) > 0.8
