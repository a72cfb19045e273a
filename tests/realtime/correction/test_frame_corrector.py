"""A mask is corrected by clicks, boxes, candidates and a brush, reaches the rest of its visit, and is undone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engines.fake import open_fake
from realtime.correction.editor import ReviewEditor
from realtime.correction.events import CorrectionEvent, unpack_mask
from realtime.correction.frame_corrector import CorrectionTarget
from realtime.correction.frame_segmenter import FrameSegmenter
from realtime.correction.review_tasks import list_tasks
from realtime.errors import RecordingError
from realtime.recording.labels import ObjectLabel
from realtime.tracking.correction_prompt import find_interior_point
from realtime.types import FrameKey
from tests.realtime.correction.moving_disc import (
    COUNT,
    FIRST,
    compute_iou,
    draw,
    open_corrector,
    record,
    share_of,
    truth_of,
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("disc"))


@pytest.fixture
def path(recorded: Path, tmp_path: Path) -> Path:
    (tmp_path / "disc.mcap").symlink_to(recorded)
    return tmp_path / "disc.mcap"


def carry_all(corrector) -> None:
    while corrector.carry_next(lambda done, total: True):
        pass


def mask_at(editor: ReviewEditor, timeline, number: int, object_id: int = 1):
    found = editor.state.find_masks(timeline.read_moment(number).frame.key).get(object_id)
    return None if found is None else found.unpack()


def test_a_click_corrects_the_frame_and_motion_the_rest_of_the_visit(path: Path) -> None:
    timeline, editor, corrector = open_corrector(path)
    event = corrector.click(CorrectionTarget(15, 1, 2.5), share_of(15), on=True)
    assert (event.object, event.means, event.seconds, event.gaze) == (1, "clicks", 2.5, (26.0, 24.0, 5.0))
    assert len(event.candidates) == 4
    assert event.candidates[event.chosen].mask == event.mask
    assert compute_iou(mask_at(editor, timeline, 15), truth_of(15)) > 0.75
    assert mask_at(editor, timeline, 16) is None
    carry_all(corrector)
    numbers = [n for n in range(len(timeline)) if mask_at(editor, timeline, n) is not None]
    assert numbers == list(range(FIRST, FIRST + COUNT))
    assert min(compute_iou(mask_at(editor, timeline, n), truth_of(n)) for n in numbers) > 0.7
    again = ReviewEditor(path)  # as another process reads it
    assert again.state.masks == editor.state.masks
    assert not corrector.carry_next(lambda done, total: True)


def test_a_click_on_the_background_takes_away_and_one_prompt_grows(path: Path) -> None:
    timeline, editor, corrector = open_corrector(path)
    target = CorrectionTarget(15, 1)
    corrector.draw_box(target, (0.0, 0.0), (1.0, 1.0))
    corner = 2 / 64, 2 / 48
    event = corrector.click(target, corner, on=False)
    assert event.points[-1] == (1.5, 1.5, 0)
    assert not mask_at(editor, timeline, 15)[1, 1]
    event = corrector.click(target, share_of(15), on=True)
    assert [label for *_, label in event.points] == [0, 1]
    with pytest.raises(RecordingError, match="no mask here that a click could take something from"):
        corrector.click(CorrectionTarget(1, 0), corner, on=False)


def test_a_new_object_gets_a_number_of_its_own_and_the_time_without_one(path: Path) -> None:
    timeline, editor, corrector = open_corrector(path)
    (task,) = list_tasks(timeline, editor.labels, editor.state)
    assert (task.kind, task.object) == ("doubtful", 1)
    assert list_tasks(timeline, editor.labels, editor.state, task.confidence) == []
    assert list_tasks(timeline, editor.labels, editor.state, task.confidence + 1e-6) == [task]
    event = corrector.draw_box(CorrectionTarget(2, 0), (0.1, 0.2), (0.5, 0.8))
    assert event.object == 2
    carry_all(corrector)
    assert [n for n in range(len(timeline)) if mask_at(editor, timeline, n, 2) is not None] == list(range(FIRST))
    assert corrector.paint(CorrectionTarget(2, 0), [(0.9, 0.9)], 0.02, on=True).object == 3


def test_steps_choose_among_the_candidates_and_accepting_answers_the_visit(path: Path) -> None:
    timeline, editor, corrector = open_corrector(path)
    target = CorrectionTarget(15, 1, 1.0)
    areas = {}
    for step in ("next", "next", "previous"):
        event = corrector.step_candidate(target, step)
        areas[event.chosen] = mask_at(editor, timeline, 15).sum()
        assert event.candidates[event.chosen].mask == event.mask
    assert len(areas) > 1
    before = mask_at(editor, timeline, 15).sum()
    while any(unpack_mask(each.mask, event.size).sum() >= 1.05 * before for each in event.candidates):
        assert corrector.step_candidate(target, "whole").means == "candidate"
        assert mask_at(editor, timeline, 15).sum() >= 1.05 * before
        before = mask_at(editor, timeline, 15).sum()
    with pytest.raises(RecordingError, match="there is no larger mask"):
        corrector.step_candidate(target, "whole")
    for _ in range(len(editor.state.answers)):
        editor.undo()
    assert list_tasks(timeline, editor.labels, editor.state)
    corrector.accept(target)
    assert list_tasks(timeline, editor.labels, editor.state) == []
    editor.undo()
    editor.set_label(1, ObjectLabel(keep=False))
    assert list_tasks(timeline, editor.labels, editor.state) == []


def test_a_brush_adds_and_takes_and_two_corrections_share_the_frames_between(path: Path) -> None:
    timeline, editor, corrector = open_corrector(path)
    first, second = CorrectionTarget(8, 1), CorrectionTarget(15, 1)
    for target in (first, second):
        corrector.click(target, share_of(target.number), on=True)
    stroke = [(0.02, 0.9), (0.3, 0.9)]
    area = mask_at(editor, timeline, 15).sum()
    corrector.paint(second, stroke, 0.03, on=True)
    assert mask_at(editor, timeline, 15)[43, 10]
    corrector.paint(second, stroke, 0.03, on=False)
    assert abs(int(mask_at(editor, timeline, 15).sum()) - int(area)) <= 2
    carry_all(corrector)
    state = editor.state
    owners = [state.find_masks(timeline.read_moment(n).frame.key)[1].n for n in range(FIRST, FIRST + COUNT)]
    anchors = state.list_anchors(1)
    early, late = (anchors[timeline.read_moment(t.number).frame.key].n for t in (first, second))
    assert owners == [early] * (11 + 1 - FIRST) + [late] * (FIRST + COUNT - 12)


def test_undo_and_redo_lead_back_to_the_same_state(path: Path) -> None:
    _, editor, corrector = open_corrector(path)
    rng = random.Random(4)
    states = [(dict(editor.state.masks), editor.labels)]
    for step in range(8):
        if rng.random() < 0.5:
            place = rng.random(), rng.random()
            corrector.paint(CorrectionTarget(rng.randrange(5, 20), 1), [place], 0.05, on=True)
        else:
            editor.set_label(1, ObjectLabel(f"name {step}", rng.random() < 0.5))
        states.append(({key: dict(masks) for key, masks in editor.state.masks.items()}, editor.labels))
    for masks, labels in states[-2::-1]:
        assert editor.undo() == 1
        assert (editor.state.masks, editor.labels.get_label(1)) == (masks, labels.get_label(1))
    assert editor.undo() is None
    for masks, labels in states[1:]:
        assert editor.redo() == 1
        assert (editor.state.masks, editor.labels.get_label(1)) == (masks, labels.get_label(1))
    assert editor.redo() is None
    assert ReviewEditor(path).state.masks == editor.state.masks
    editor.undo()
    corrector.paint(CorrectionTarget(6, 1), [(0.5, 0.5)], 0.05, on=True)
    assert editor.redo() is None  # a new answer ends what could be redone


def test_corrections_made_together_are_undone_together(path: Path) -> None:
    _, editor, corrector = open_corrector(path)
    one = corrector.paint(CorrectionTarget(6, 1), [(0.5, 0.5)], 0.05, on=True)
    editor.undo()
    other = CorrectionEvent(object=7, frame=one.frame, size=one.size, means="import", mask=one.mask)
    many = editor.correct([one, other])
    assert len(editor.state.find_masks(many[0].frame)) == 2
    assert editor.undo_count == 1
    editor.undo()
    assert editor.state.masks == {}


def test_carrying_that_is_interrupted_changes_nothing(path: Path) -> None:
    _, editor, corrector = open_corrector(path)
    corrector.click(CorrectionTarget(15, 1), share_of(15), on=True)
    before = len(editor.state.events)
    assert corrector.carry_next(lambda done, total: done < 3)
    assert len(editor.state.events) == before
    editor.undo()
    assert not corrector.carry_next(lambda done, total: True)


def test_a_click_continues_the_prompt_that_made_the_mask() -> None:
    image, key, asked = draw(10), FrameKey(10, 10), []
    encoder, decoder = open_fake()
    honest = decoder.decode
    decoder.decode = lambda embedding, prompts: asked.extend(prompts) or honest(embedding, prompts)
    segmenter = FrameSegmenter(lambda: (encoder, decoder))
    click, other = (30.0, 24.0, 0), (31.0, 25.0, 1)
    found = segmenter.segment(key, image, [click], before=truth_of(10), support=(26.0, 24.0))
    assert [prompt.labels.tolist() for prompt in asked] == [[1], [1, 0]]
    assert asked[1].points_px.tolist() == [[26.0, 24.0], [30.0, 24.0]]
    assert asked[1].mask_logits is not None, "a candidate is the mask before"
    again = segmenter.segment(key, image, [click, other], before=found.masks[0])
    assert [prompt.labels.tolist() for prompt in asked[2:]] == [[1, 0, 1]], "of what the decoder made just now"
    assert asked[2].mask_logits is not None
    elsewhere = truth_of(10)[::-1, ::-1].copy()
    segmenter.segment(key, image, [click], before=elsewhere)
    x, y = asked[3].points_px[0]
    assert elsewhere[round(float(y)), round(float(x))], "without gaze, its middle"
    segmenter.segment(key, image, [], (10.0, 10.0, 40.0, 40.0), before=again.masks[0])
    assert (len(asked[-1].points_px), asked[-1].mask_logits) == (0, None), "a box begins anew"


def test_an_interior_point_is_away_from_others() -> None:
    mask = truth_of(10)
    x, y = find_interior_point(mask, [find_interior_point(mask)])
    assert mask[round(y), round(x)]
