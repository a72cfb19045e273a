import json

import pytest

from engines import ModelError, cache
from engines.speed import NAME, SpeedRecord

KEY = {"model": "m", "weights": "abc", "shape": "s"}


@pytest.fixture
def engine_file(tmp_path):
    file = cache.file_path(tmp_path, "m-s", KEY, ".onnx")
    file.write_bytes(b"graph")
    cache.write_note(file, "s", KEY, gate={"passed": True})
    return file


def test_a_written_file_is_found(engine_file):
    note = cache.find_cached(engine_file, KEY)
    assert note is not None
    assert note.key == KEY
    assert note.gate == {"passed": True}


def test_every_part_of_the_key_changes_the_place(tmp_path):
    places = {cache.file_path(tmp_path, "m", KEY | {field: "other"}, ".onnx") for field in [*KEY, "more"]}
    assert len(places | {cache.file_path(tmp_path, "m", KEY, ".onnx")}) == 5


def test_a_file_without_a_note_does_not_count(engine_file):
    cache.note_path(engine_file).unlink()
    assert cache.find_cached(engine_file, KEY) is None


def test_a_foreign_file_is_refused_with_the_command(engine_file):
    with pytest.raises(ModelError, match=r"weights 'abc' instead of 'new'.*gazecast engine build --force"):
        cache.find_cached(engine_file, KEY | {"weights": "new"})


def test_a_damaged_file_counts_as_missing_with_a_warning(engine_file, caplog):
    engine_file.write_bytes(b"grap")
    assert cache.find_cached(engine_file, KEY) is None
    assert f"{engine_file} is damaged" in caplog.text


@pytest.mark.parametrize("text", ["", "[]", '{"name": 1}', json.dumps({"name": "x", "surprise": 2})])
def test_a_broken_note_counts_as_none(engine_file, text):
    cache.note_path(engine_file).write_text(text)
    assert cache.find_cached(engine_file, KEY) is None


def test_the_weights_of_an_xml_belong_to_it(tmp_path):
    file = cache.file_path(tmp_path, "m", KEY, ".xml")
    file.write_text("<net/>")
    file.with_suffix(".bin").write_bytes(b"weights")
    cache.write_note(file, "m", KEY)
    assert cache.find_cached(file, KEY) is not None
    file.with_suffix(".bin").write_bytes(b"others!")
    assert cache.find_cached(file, KEY) is None
    file.with_suffix(".bin").unlink()
    assert cache.find_cached(file, KEY) is None


def test_the_inventory_distinguishes_whole_and_damaged_files(engine_file, tmp_path):
    cache.write_note(tmp_path / "verdict.json", "verdict", KEY, gate={"passed": True})
    (tmp_path / "noise.json").write_text("{}")
    states = {note.name: (size, state) for note, _, size, state in cache.list_cached(tmp_path)}
    assert states == {"s": (5, "whole"), "verdict": (0, "verdict")}
    engine_file.write_bytes(b"other")
    assert {state for _, _, _, state in cache.list_cached(tmp_path)} == {"damaged", "verdict"}


@pytest.mark.parametrize(
    "change",
    [{"gate": [1]}, {"gate": "fast"}, {"gate": {}}, {"key": 3}, {"key": {"model": "other"}},
     *({"gate": {"ms_per_megapixel": value}} for value in ("5", 0, -1, float("inf"), float("nan")))],
)  # fmt: skip
def test_a_damaged_speed_record_counts_as_none(tmp_path, change):
    record = SpeedRecord(tmp_path, KEY)
    record.write(650.0)
    assert record.read() == 650.0
    file = cache.file_path(tmp_path, NAME, KEY, ".json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert record.read() is None
