"""Learning by the command, with the fake engine: from a recording that was reviewed, and from a data set."""

from __future__ import annotations

import json

import cv2
import pytest

from engines import EngineSettings, load
from realtime.commands.export.coco_json import CocoAnnotation, CocoImage, build_dataset
from realtime.commands.learn import look_reader
from realtime.commands.main import main
from realtime.commands.replay import read_recorded_config
from realtime.correction.editor import ReviewEditor, load_answers
from realtime.correction.events import AcceptEvent, CorrectionEvent, pack_mask
from realtime.learning.adapter import AdapterInfo, load_adapter, save_adapter
from realtime.learning.recording_looks import (
    RecordingAnswers,
    ReplayedChoices,
    identify_recording,
    list_corrected_pictures,
)
from realtime.recording.labels import ObjectLabel
from realtime.recording.reader import RecordingReader
from realtime.tracking.candidate_ranker import CandidateRanker
from realtime.tracking.mask_selection import SelectionSettings, make_ranker
from tests.realtime import scene

QUICKLY = ("--engine", "fake", "--publish", "tcp://127.0.0.1:0")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recording of a clip, whose masks another choice than the program's selected."""
    folder = tmp_path_factory.mktemp("learn")
    clip, trace = scene.write_clip(folder, 30, draw=scene.ringed)
    rule = make_ranker(SelectionSettings())
    adapter = folder / "smaller.adapter"
    ranker = CandidateRanker((*rule.weights[:2], -3.0, *rule.weights[3:]), rule.slope, rule.offset)
    save_adapter(adapter, AdapterInfo("ranker", "mobile_sam", ranker=ranker.to_text()))
    source = ("--source", f"file:{clip}?realtime=0", "--gaze", f"trace:{trace}")
    out = folder / "look.mcap"
    flags = ("--record", str(out), "--set", "record.frames=png", "--adapter", str(adapter))
    assert main(["run", *source, *QUICKLY, *flags]) == 0
    adapter.unlink()
    return out, ranker


def collect(path):
    recording = RecordingReader(path)
    engine = load(EngineSettings(backend="fake"), None)
    settings = read_recorded_config(recording).tracker
    return ReplayedChoices(recording, engine, settings).collect(lambda at_ns: True)


def test_a_recording_repeats_what_was_learned_without_the_adapter(recorded, capsys):
    path, ranker = recorded
    assert read_recorded_config(RecordingReader(path)).tracker.choice.ranker == ranker.to_text()
    assert main(["replay", str(path), "--exact", *QUICKLY]) == 0
    text = "".join(capsys.readouterr())
    count, same = text.split(" masks again")[0].split()[-1], text.split("s, ")[1].split()[0]
    assert count == same
    assert int(count) > 10


def test_answers_become_looks(recorded):
    path, _ = recorded
    choices = collect(path)
    assert choices
    assert all(choice.picture for choice in choices)
    number = choices[0].object
    assert list(RecordingAnswers(*load_answers(path)).label(choices)) == []  # nothing was answered
    editor = ReviewEditor(path)
    editor.set_label(number, ObjectLabel("disc", True))
    kept = list(RecordingAnswers(*load_answers(path)).label(choices))
    assert {look.answer for look in kept} == {"kept"}
    assert all(look.overlap[0] == 1 for look in kept)
    assert {look.group for look in kept} == {identify_recording(RecordingReader(path))}
    editor.set_label(number, ObjectLabel("disc", False))
    dropped = list(RecordingAnswers(*load_answers(path)).label(choices))
    assert {look.answer for look in dropped} == {"dropped"}
    assert all(look.reward[0] == 0 for look in dropped)
    editor.undo()
    editor.undo()
    keys = [frame.key for frame in RecordingReader(path).read_frames()]
    editor.accept(AcceptEvent(object=number, first=keys[0], last=keys[-1], seconds=2.0))
    accepted = list(RecordingAnswers(*load_answers(path)).label(choices))
    assert {look.answer for look in accepted} == {"kept"}


def write_data_set(folder, count):
    """A data set in which the disc is meant, not the ring inside that the gaze is on."""
    images, annotations = [], []
    for k in range(1, count + 1):
        cv2.imwrite(str(folder / f"{k}.png"), scene.ringed(k * 7))
        images.append(CocoImage(k, f"{k}.png", *scene.SIZE))
        annotations.append(CocoAnnotation(k, k, scene.truth(k * 7)))
    file = folder / "annotations.json"
    file.write_text(json.dumps(build_dataset(images, annotations)))
    return file


@pytest.fixture
def learn(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GAZECAST_CACHE", str(tmp_path / "cache"))

    def run(*argv):
        code = main(["learn", *map(str, argv), "--engine", "fake"])
        return code, "".join(capsys.readouterr())

    return run


def test_too_few_answers_are_refused_with_what_to_do(learn, tmp_path, recorded):
    code, text = learn("--coco", write_data_set(tmp_path, 3), "--out", tmp_path / "a.adapter")
    assert code == 2
    assert "answers about 3 objects" in text
    assert "gazecast review" in text
    code, text = learn("--out", tmp_path / "a.adapter")
    assert code == 2
    assert "name what to learn from" in text


def test_an_adapter_passes_the_gate_or_is_refused_with_figures(learn, tmp_path, monkeypatch):
    file, out, page = write_data_set(tmp_path, 16), tmp_path / "a.adapter", tmp_path / "report.html"
    monkeypatch.setattr(look_reader, "BUNDLED_FRAMES", (6,))
    code, text = learn("--coco", file, "--out", out, "--report", page)
    assert "your own looks: right" in text
    assert "the program's own pictures: right" in text
    assert "<h1>What was learned" in page.read_text()
    if code == 0:
        info = load_adapter(out).ranker
        assert info.visits == 16
        assert info.answers == {"corrected": 16}
        assert len(info.groups) == 16
        first = out.read_bytes()
        code, text = learn("--coco", file, "--out", out)  # it learned from all of these itself
        assert "compared with the rule before it" in text
        assert code == 0 or out.read_bytes() == first
    else:
        assert code == 1
        assert "refused, and nothing was written" in text
        assert not out.exists()


def test_a_part_is_never_lost_to_another_file(learn, tmp_path):
    one, other = tmp_path / "one.adapter", tmp_path / "other.adapter"
    save_adapter(one, AdapterInfo("ranker", "mobile_sam", ranker=make_ranker(SelectionSettings()).to_text()))
    save_adapter(other, AdapterInfo("decoder", "mobile_sam"))
    before = one.read_bytes()
    data = write_data_set(tmp_path, 2)
    code, text = learn("--coco", data, "--part", "iou", "--adapter", other, "--out", one)
    assert code == 2
    assert "would be lost: ranker; name another file with --out" in text
    assert one.read_bytes() == before


def test_an_interrupt_keeps_nothing_and_exits(learn, tmp_path, monkeypatch):
    monkeypatch.setattr(look_reader.LookReader, "_show", lambda *_: False)
    code, text = learn("--coco", write_data_set(tmp_path, 13), "--out", tmp_path / "a.adapter")
    assert code == 130
    assert "stopped: nothing was written" in text
    assert not (tmp_path / "a.adapter").exists()


def test_the_programs_own_pictures_have_their_masks():
    pictures = look_reader.load_bundled_pictures()
    assert len({picture.group for picture in pictures}) == 12
    for picture in pictures[:2]:
        (labelled,) = picture.read_objects()
        assert labelled.mask.shape == picture.load().shape[:2]
        assert labelled.mask.any()


def test_an_engine_without_a_decoder_that_learns_is_refused(learn, tmp_path):
    pytest.importorskip("torch")
    code, text = learn("--coco", write_data_set(tmp_path, 2), "--part", "decoder", "--out", tmp_path / "a.adapter")
    assert code == 2
    assert "has no decoder that learns" in text


def test_corrected_frames_are_what_the_decoder_learns_from(recorded):
    path, _ = recorded
    recording = RecordingReader(path)
    frames = list(recording.read_frames())
    mask = scene.truth(0)
    event = CorrectionEvent(
        object=1, frame=frames[3].key, size=scene.SIZE, means="brush", mask=pack_mask(mask), seconds=3.0
    )
    ReviewEditor(path).correct([event])
    _, corrections = load_answers(path)
    (picture,) = list_corrected_pictures(recording, corrections, "group")
    (labelled,) = picture.read_objects()
    assert (labelled.mask == mask).all()
    assert picture.load().shape[:2] == mask.shape
    ReviewEditor(path).undo()
