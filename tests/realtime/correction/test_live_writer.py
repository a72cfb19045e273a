"""Corrections of a run are written beside its recording, once each, and taken back."""

from types import SimpleNamespace

import numpy as np

from realtime.correction.editor import load_answers
from realtime.correction.live_writer import LiveCorrectionWriter
from realtime.pipeline.observers import FrameResult
from realtime.types import Frame, GazeRef, LiveCorrection
from tests.realtime.correction.moving_disc import draw, truth_of

CLICK, OTHER = (16.0, 24.0, 1), (30.0, 24.0, 0)


def result(index, object_id, corrected):
    frame = Frame(draw(index), index, index / 24, index, round(index * 1e9 / 24))
    mask = SimpleNamespace(
        object=object_id, corrected=corrected, mask=truth_of(index), gaze=GazeRef(0.0, 16.0, 24.0, 0.9, 8.0)
    )
    return FrameResult(frame, mask)


def test_each_correction_is_written_once_and_taken_back_with_its_number(tmp_path):
    path = tmp_path / "run.mcap"
    writer = LiveCorrectionWriter(lambda: path)

    def show(*results):
        for each in results:
            writer.handle(each)
        return [(each.object, each.frame.index, each.points) for each in load_answers(path)[1].corrections]

    first, second = LiveCorrection(1, (CLICK,)), LiveCorrection(2, (CLICK, OTHER))
    assert show(result(1, 4, None)) == []
    assert show(result(2, 4, first), result(3, 4, first)) == [(4, 2, (CLICK,))]
    assert show(result(4, 4, second)) == [(4, 2, (CLICK,)), (4, 4, (CLICK, OTHER))]
    assert show(result(5, 4, first)) == [(4, 2, (CLICK,))], "the second was taken back"
    other = LiveCorrection(3, (OTHER,))
    assert show(result(6, 7, other)) == [(4, 2, (CLICK,)), (7, 6, (OTHER,))]
    assert show(result(7, 7, LiveCorrection(0))) == [(4, 2, (CLICK,))], "of the other object all were taken back"
    event = load_answers(path)[1].corrections[0]
    assert np.array_equal(load_answers(path)[1].find_masks(event.frame)[4].unpack(), truth_of(2))
    assert (event.source, event.gaze, event.size) == ("live", (16.0, 24.0, 8.0), (64, 48))


def test_a_box_alone_is_written(tmp_path):
    path = tmp_path / "run.mcap"
    LiveCorrectionWriter(lambda: path).handle(result(2, 4, LiveCorrection(1, ())))
    (event,) = load_answers(path)[1].corrections
    assert (event.object, event.points) == (4, ())


def test_without_a_recording_nothing_is_written(tmp_path):
    writer = LiveCorrectionWriter(lambda: None)
    writer.on_mask(result(1, 4, LiveCorrection(1, (CLICK,))))
    writer.handle(result(2, 4, LiveCorrection(1, (CLICK,))))
    writer.close()
    assert list(tmp_path.iterdir()) == []
