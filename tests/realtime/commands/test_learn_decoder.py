"""What new weights of the decoder are compared with: never on masks that either has learned from. Without an engine."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from engines import EngineSettings
from realtime.commands.learn.decoder import _choose_reference, _divide
from realtime.errors import LearningError
from realtime.learning.adapter import AdapterInfo, save_adapter
from realtime.learning.coco_pictures import LabelledObject, LabelledPicture
from realtime.learning.holdout import PictureIdentity


class Lines:
    def __init__(self):
        self.lines = []

    def show_line(self, line):
        self.lines.append(line)


def make_pictures(count, group=""):
    images = [np.full((4, 6, 3), k, np.uint8) for k in range(count)]
    objects = [LabelledObject(np.ones((4, 6), np.bool_), "object")]
    return [
        LabelledPicture(str(k), partial(lambda x: x, image), lambda: objects, group) for k, image in enumerate(images)
    ]


def test_what_is_held_out_is_the_same_in_each_round(tmp_path):
    file = tmp_path / "old.adapter"
    for group in ("", "kitchen"):
        first, later = _divide(make_pictures(60, group)), _divide(make_pictures(120, group))
        assert set(first.test) < set(later.test)
        assert not first.learned & {each.content for each in later.test}
        save_adapter(file, AdapterInfo("decoder", "m", groups=tuple(first.learned)))
        lines = Lines()
        settings, tested = _choose_reference(EngineSettings(adapter=file), later.test, lines)
        assert settings.adapter == file
        assert len(tested) == len(later.test)
        assert not lines.lines


def test_an_adapter_that_learned_from_the_test_is_no_reference(tmp_path):
    parts, file, lines = _divide(make_pictures(60, "kitchen")), tmp_path / "old.adapter", Lines()
    save_adapter(file, AdapterInfo("decoder", "m", groups=("kitchen",)))
    settings, tested = _choose_reference(EngineSettings(adapter=file), parts.test, lines)
    assert settings == EngineSettings()
    assert len(tested) == len(parts.test)
    (line,) = lines.lines
    assert "old.adapter learned from the masks that are kept apart" in line
    assert "compared with the model without it" in line


def test_only_masks_that_it_has_not_learned_from_are_compared(tmp_path):
    parts, file, lines = _divide(make_pictures(60)), tmp_path / "old.adapter", Lines()
    first = min(parts.test, key=lambda each: each.content)
    save_adapter(file, AdapterInfo("decoder", "m", groups=(first.content,)))
    settings, tested = _choose_reference(EngineSettings(adapter=file), parts.test, lines)
    assert settings.adapter == file
    assert parts.test[first][0] not in tested
    assert len(tested) == len(parts.test) - 1
    assert lines.lines == [f"1 of {len(parts.test)} pictures are left out of the test: old.adapter learned from them"]


def test_two_objects_of_one_picture_are_never_divided():
    pictures = make_pictures(60)
    parts = _divide([*pictures, *pictures])
    assert all(len(own) == 2 for own in parts.test.values())
    assert isinstance(next(iter(parts.test)), PictureIdentity)


def test_too_few_masks_are_refused_with_their_numbers():
    with pytest.raises(LearningError, match=r"20 right masks in 20 pictures, of which \d are kept apart.*30 or more"):
        _divide(make_pictures(20))
