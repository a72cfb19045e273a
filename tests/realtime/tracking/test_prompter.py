"""Boxes that go with the gaze's point, whatever finds them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import EngineSettings, load
from engines.recognition.base import RecognizedObject
from engines.recognition.detected_objects import DetectedObjects
from realtime.tracking.gaze.estimate import GazeEstimate
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.motion.optical_flow import FlowHistory
from realtime.tracking.prompt_box import PromptBox, find_mask_box
from realtime.tracking.prompter import MaskPrompter, PrompterSettings
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


class Named:
    """Finds the boxes of a word."""

    def __init__(self, *boxes_px):
        self.boxes = [np.array(box, np.float32) for box in boxes_px]

    def find_near(self, keyframe, point_px, radius_px):
        return self.boxes


def decode(source, point=None, settings=None, remembered=None, most_boxes=None, word=None):
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
    prompter = MaskPrompter(decoder, lambda: 0, settings or PrompterSettings(), source, word)
    prompter.add_sample(sample, x, y)
    estimate = GazeEstimate("fixation", (x, y), 0, sample, 0.0, 10.0)
    keyframe = Keyframe.from_frame(frame, encoder.encode(image), 1, 1)
    result = prompter.decode_gaze(estimate, keyframe, motion.chain(0), remembered, most_boxes=most_boxes)
    return prompts, result, prompter


def test_a_box_is_prompted_beside_the_point_and_its_candidates_are_hypotheses_too():
    source = Boxes((20.0, 80.0, 100.0, 160.0))
    prompts, result, prompter = decode(source)
    assert source.asked == [(0, scene.centre(0), 10.0)]
    assert [prompt.box_px is None for prompt in prompts] == [True, False]
    assert np.array_equal(prompts[1].box_px, [20, 80, 100, 160])
    assert np.array_equal(prompts[0].points_px, prompts[1].points_px)
    assert [point for point, _ in result.all_candidates] == [scene.centre(0)] * 2
    assert not prompter.has_box_left
    assert prompter.has_voted
    assert not prompter.vote(), "points round it, which are not independent, would outvote it"
    assert len(prompter.answer.all_candidates) == 2


def test_boxes_of_a_word_are_prompted_alone_one_of_them_before_the_frame_that_waits():
    word = Named((20.0, 80.0, 100.0, 160.0), (200.0, 10.0, 260.0, 60.0))
    prompts, result, prompter = decode(Boxes((30.0, 90.0, 90.0, 150.0)), most_boxes=0, word=word)
    assert [prompt.box_px is None for prompt in prompts] == [True, False]
    assert not len(prompts[1].points_px)
    assert np.array_equal(prompts[1].box_px, word.boxes[0])
    assert len(result.all_candidates) == 1
    assert [point for point, _ in result.named] == [(60.0, 120.0)]
    while prompter.has_box_left:
        assert prompter.vote()
    assert np.array_equal(prompts[2].box_px, word.boxes[1])
    assert (len(prompter.answer.named), len(prompter.answer.voters)) == (2, 1)
    assert not prompter.vote()


def test_a_box_is_left_for_idle_time_while_a_frame_waits():
    prompts, result, prompter = decode(Boxes((20.0, 80.0, 100.0, 160.0)), most_boxes=0)
    assert [prompt.box_px for prompt in prompts] == [None]
    assert len(result.all_candidates) == 1
    assert prompter.has_box_left
    assert prompter.vote()
    assert np.array_equal(prompts[1].box_px, [20, 80, 100, 160])
    assert not prompter.has_box_left
    assert not prompter.vote()


def test_a_box_is_cut_to_the_picture():
    prompts, _, _ = decode(Boxes((-50.0, -9.0, 900.0, 700.0)))
    assert np.array_equal(prompts[1].box_px, [0, 0, scene.SIZE[0] - 1, scene.SIZE[1] - 1])


@pytest.mark.parametrize(
    "source",
    [
        None,
        Boxes((20.0, 80.0, 100.0, 160.0), confidence=0.2),
        Boxes((200.0, 80.0, 300.0, 160.0)),
        Boxes((20.0, 160.0, 100.0, 80.0)),
        Boxes((20.0, float("nan"), 100.0, 160.0)),
        Boxes((400.0, 300.0, 500.0, 400.0)),
    ],
)
def test_without_a_confident_box_round_the_point_the_point_is_prompted_alone(source):
    prompts, result, _ = decode(source)
    assert [prompt.box_px for prompt in prompts] == [None]
    assert result.box_px is None
    assert result.all_candidates == [(result.keyframe_px, result.candidates)]


def test_the_box_of_the_remembered_mask_is_prompted_where_no_source_finds_one():
    remembered = np.zeros((240, 320), bool)
    remembered[90:150, 30:90] = True
    use = PrompterSettings(memory_box=True)
    prompts, result, _ = decode(None, remembered=remembered, settings=use)
    assert np.allclose(prompts[1].box_px, [29.5, 89.5, 89.5, 149.5])
    assert result.box_px is not None
    prompts, _, _ = decode(Boxes((20.0, 80.0, 100.0, 160.0)), remembered=remembered, settings=use)
    assert np.array_equal(prompts[1].box_px, [20, 80, 100, 160])
    elsewhere = np.roll(remembered, 150, axis=1)
    for mask in (np.zeros_like(remembered), elsewhere):
        assert len(decode(None, remembered=mask, settings=use)[0]) == 1
    assert len(decode(None, remembered=remembered, settings=PrompterSettings(memory_box=False))[0]) == 1


@given(st.integers(0, 39), st.integers(0, 29), st.integers(1, 40), st.integers(1, 30))
def test_the_box_of_a_mask_holds_all_of_its_pixels(x, y, w, h):
    motion = FlowHistory()
    motion.push(Frame(np.zeros((60, 80, 3), np.uint8), 0, 0.0, 0, 0))
    mask = np.zeros((30, 40), bool)
    mask[y : y + h, x : x + w] = True
    box = find_mask_box(mask, motion.chain(0)).box_px
    rows, columns = np.nonzero(mask)
    assert np.allclose(
        box, [2 * columns.min() - 0.5, 2 * rows.min() - 0.5, 2 * columns.max() + 1.5, 2 * rows.max() + 1.5]
    )
    assert find_mask_box(np.zeros_like(mask), motion.chain(0)) is None


@pytest.mark.parametrize("frame_time", [True, False])
def test_a_tracker_prompts_the_box_of_a_recognized_object(frame_time):
    encoder, decoder = load(EngineSettings(backend="fake"), None)
    prompts, answer = [], decoder.decode
    decoder.decode = lambda embedding, given: (prompts.extend(given), answer(embedding, given))[1]
    now = [0]
    tracker = Tracker(decoder, lambda: now[0], frame_time=frame_time)
    objects = (RecognizedObject((20.0, 80.0, 100.0, 160.0), ("cup",), np.array([0.9], np.float32)),)
    keyframe = None
    for index in range(8):
        frame = Frame(scene.picture(0), index, index / 24, now[0], now[0])
        x, y = scene.centre(0)
        result = tracker.step(frame, [GazeSample(x, y, "px", 1.0, index / 24, now[0], now[0])], keyframe).result
        tracker.refine()
        found = DetectedObjects(("cup",), objects, frame.size) if index == 0 else None
        keyframe = Keyframe.from_frame(frame, encoder.encode(frame.image), 1, now[0], found) if index < 5 else None
        now[0] += 41_666_667
    boxes = [tuple(prompt.box_px) for prompt in prompts if prompt.box_px is not None]
    assert len(boxes) >= 3
    assert np.allclose(boxes, (20, 80, 100, 160), atol=1)  # the later keyframes were not searched
    assert scene.iou(result.mask, scene.truth(0)) > 0.8
