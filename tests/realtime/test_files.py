import stat
import sys

import pytest

from realtime.files import find_free_name, write_atomically


def test_a_name_that_is_taken_is_numbered(tmp_path):
    assert find_free_name(tmp_path, "run", ".mcap") == "run"
    (tmp_path / "run.mcap").touch()
    assert find_free_name(tmp_path, "run", ".mcap") == "run-2"
    (tmp_path / "run-2.mcap").touch()
    assert find_free_name(tmp_path, "run", ".mcap") == "run-3"


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("realtime.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(OSError, match="missing"):
        write_atomically(tmp_path / "missing" / "a.json", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="the folders of a Windows user are closed to others")
def test_a_private_file_is_closed_to_others(tmp_path):
    write_atomically(tmp_path / "key", b"secret", is_private=True)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
