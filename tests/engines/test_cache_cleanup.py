"""Tests that the cache is bounded, and that nothing is removed that is in use or expensive."""

import os

import pytest

from engines import cache
from engines.cache_cleanup import DAY_S, FRESH_S, find_unused_files, free_space
from engines.graphs import GRAPH_VERSION, TYPED_VERSION

NOW = 2_000_000_000.0
KEY = {"model": "m", "weights": "abc", "graphs": str(GRAPH_VERSION), "format": "onnx"}


def kept(root, shape, *, size=1000, idle_s=2 * FRESH_S, suffix=".onnx", **more):
    """Write a finished file of the cache, last used so long before NOW."""
    key = {**KEY, "shape": shape, **more}
    file = cache.file_path(root, f"m-{shape}", key, suffix)
    file.write_bytes(bytes(size))
    if suffix == ".xml":
        file.with_suffix(".bin").write_bytes(bytes(size))
    cache.write_note(file, shape, key)
    for part in root.glob(f"{file.stem}*"):
        os.utime(part, (NOW - idle_s, NOW - idle_s))
    return file


def reasons(root, **more):
    return {found.files[-1].name: found.why for found in find_unused_files(root, now_s=NOW, **more)}


def test_whole_files_of_this_version_stay(tmp_path):
    kept(tmp_path, "a")
    kept(tmp_path, "b", typed=TYPED_VERSION, numbers="f16")
    kept(tmp_path, "c", suffix=".xml", format="openvino-int8")
    cache.write_note(tmp_path / "verdict.json", "verdict", KEY, gate={"passed": True})
    assert reasons(tmp_path) == {}


@pytest.mark.parametrize("more", [{"graphs": "0"}, {"typed": "0", "numbers": "f16"}])
def test_files_of_another_version_are_removed_with_their_notes(tmp_path, more):
    file = kept(tmp_path, "old", **more)
    stays = kept(tmp_path, "new")
    (found,) = find_unused_files(tmp_path, now_s=NOW)
    assert "another version" in found.why
    assert found.bytes > 1000
    found.remove()
    assert sorted(tmp_path.iterdir()) == sorted([stays, cache.note_path(stays)])
    assert not file.exists()


def test_damaged_and_unfinished_files_are_removed(tmp_path):
    damaged = kept(tmp_path, "damaged")
    damaged.write_bytes(b"x")
    torn = kept(tmp_path, "torn", suffix=".xml", format="openvino-int8")
    torn.with_suffix(".bin").unlink()
    gone = kept(tmp_path, "gone")
    gone.unlink()
    for name in ("m-x-1.99.partial", "m-x-2.99.note", "m-y-3.onnx"):
        (tmp_path / name).write_bytes(b"part")
    (tmp_path / "mine.txt").write_text("not the cache's")
    for file in tmp_path.iterdir():
        os.utime(file, (NOW - DAY_S, NOW - DAY_S))
    found = reasons(tmp_path)
    assert sorted(found.values()) == ["damaged"] * 3 + ["not finished"] * 3
    for each in list(find_unused_files(tmp_path, now_s=NOW)):
        each.remove()
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_recently_touched_files_stay(tmp_path):
    kept(tmp_path, "old", graphs="0", idle_s=FRESH_S / 2)
    part = tmp_path / "m-x-1.99.partial"
    part.write_bytes(b"part")
    os.utime(part, (NOW - 60, NOW - 60))
    assert reasons(tmp_path) == {}


def test_long_unused_files_are_removed_on_request(tmp_path):
    file = kept(tmp_path, "a", idle_s=31 * DAY_S)
    kept(tmp_path, "b", idle_s=29 * DAY_S)
    assert reasons(tmp_path) == {}
    assert reasons(tmp_path, unused_days=30) == {file.name: "not used for 31 days"}


def test_finding_a_file_is_using_it(tmp_path):
    file = kept(tmp_path, "a")
    os.utime(cache.note_path(file), (1, 1))
    assert cache.find_cached(file, {**KEY, "shape": "a"}) is not None
    assert cache.note_path(file).stat().st_mtime > 1


def test_room_is_made_by_the_graphs_that_were_not_used_for_longest(tmp_path):
    files = [kept(tmp_path, f"g{number}", idle_s=(10 - number) * DAY_S) for number in range(5)]
    dear = kept(tmp_path, "plan", suffix=".plan", format="tensorrt", idle_s=50 * DAY_S)
    each = sum(part.stat().st_size for part in (files[0], cache.note_path(files[0])))
    gone = free_space(tmp_path, 3 * each, now_s=NOW)
    assert [found.files[-1] for found in gone] == files[:2]
    assert all(file.exists() is (number >= 2) for number, file in enumerate(files))
    assert dear.exists()
    assert free_space(tmp_path, 3 * each, now_s=NOW) == []


def test_graphs_in_use_are_not_removed_for_space(tmp_path):
    kept(tmp_path, "a", idle_s=60)
    assert free_space(tmp_path, 0, now_s=NOW) == []
