"""Encrypted recordings: who can read them, what is left after a kill or damage, and recordings without pictures."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace

import pyrage
import pytest

from realtime.config.recording import RecordSettings
from realtime.errors import RecordingError
from realtime.infra.clock import now_ns
from realtime.recording.encryption import MAGIC, is_encrypted, make_identity
from realtime.recording.format import FRAME, GAZE, GREY, pack_frame, pack_sample
from realtime.recording.playback import RecordedFrames
from realtime.recording.reader import RecordingReader
from realtime.recording.recorder import RecordingThread
from realtime.recording.writer import RecordingFile
from tests.realtime.recording.plain_recordings import ABOUT, WALL_NS, frame, sample


@pytest.fixture
def reader_key(tmp_path, monkeypatch):
    """The identity in the folder of keys: (its file, its public key)."""
    monkeypatch.setenv("GAZECAST_KEYS", str(tmp_path / "keys"))
    return make_identity()


def write(path, settings: RecordSettings, blocks: int = 3) -> list[int]:
    """Write ten frames a block, and return the file's length after each block."""
    file, ends = RecordingFile(path, ABOUT, settings), []
    for index in range(10 * blocks):
        file.write_message(FRAME, frame(index).received_ns + WALL_NS, pack_frame(frame(index), False, 90))
        file.write_message(GAZE, sample(index).received_ns + WALL_NS, pack_sample(sample(index)))
        if index % 10 == 9:
            file.flush()
            ends.append(path.stat().st_size)
    file.close()
    return ends


def test_encrypted_recording_is_read_like_a_plain_one_and_says_nothing_without_its_key(tmp_path, reader_key) -> None:
    path, plain = tmp_path / "a.mcap", tmp_path / "plain.mcap"
    write(path, RecordSettings(recipients=(reader_key[1],)))
    write(plain, RecordSettings())
    recording, same = RecordingReader(path), RecordingReader(plain)
    assert recording.complete
    assert (recording.about, recording.span_ns, recording.topics) == (same.about, same.span_ns, same.topics)
    assert list(recording.read_entries()) == list(same.read_entries())
    middle = frame(15).received_ns + WALL_NS
    assert [one.index for one in recording.read_frames(from_ns=middle, to_ns=middle)] == [15]
    assert is_encrypted(path)
    assert not is_encrypted(plain)
    words = (b"MCAP", b"camera:0", b"gazecast ", b"source/frame", b"source/gaze", b"PNG", b"msgpack")
    assert [word for word in words if word not in plain.read_bytes()] == []
    assert [word for word in words if word in path.read_bytes()] == []
    if sys.platform != "win32":
        assert {stat.S_IMODE(each.stat().st_mode) for each in (path, plain)} == {0o600}


def test_blocks_are_age_files_that_any_implementation_reads(tmp_path, reader_key) -> None:
    path = tmp_path / "a.mcap"
    write(path, RecordSettings(recipients=(reader_key[1],)))
    content, at, plain = path.read_bytes(), len(MAGIC) + 4, b""
    identity = pyrage.x25519.Identity.from_str(reader_key[0].read_text().splitlines()[1])
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "little")
        plain += pyrage.decrypt(content[at + 8 : at + 8 + length], [identity])[8:]
        at += 8 + length
    (tmp_path / "b.mcap").write_bytes(plain)
    assert list(RecordingReader(tmp_path / "b.mcap").read_entries()) == list(RecordingReader(path).read_entries())


def test_other_identities_are_refused_by_name(tmp_path, reader_key, monkeypatch) -> None:
    path, other = tmp_path / "a.mcap", tmp_path / "other.txt"
    write(path, RecordSettings(recipients=(reader_key[1],)))
    make_identity(other)
    with pytest.raises(RecordingError, match="encrypted for another identity"):
        RecordingReader(path, other)
    broken = tmp_path / "broken.txt"
    broken.write_text("AGE-SECRET-KEY-1NO")
    broken.chmod(0o600)
    with pytest.raises(RecordingError, match="holds no identity of age"):
        RecordingReader(path, broken)
    with pytest.raises(RecordingError, match=r"missing\.txt"):
        RecordingReader(path, tmp_path / "missing.txt")
    if sys.platform != "win32":
        other.chmod(0o644)
        with pytest.raises(RecordingError, match="others can read"):
            RecordingReader(path, other)
    monkeypatch.setenv("GAZECAST_KEYS", str(tmp_path / "none"))
    with pytest.raises(RecordingError, match="--identity FILE"):
        RecordingReader(path)
    with pytest.raises(RecordingError, match="exists"):
        make_identity(other)


def test_recording_may_have_several_readers(tmp_path, reader_key) -> None:
    second = make_identity(tmp_path / "second.txt")
    write(tmp_path / "a.mcap", RecordSettings(recipients=(reader_key[1], second[1])))
    for identity in (None, second[0]):
        assert len(list(RecordingReader(tmp_path / "a.mcap", identity).read_frames())) == 30


def test_passphrase_opens_a_recording(tmp_path, reader_key) -> None:
    good, bad, short = (tmp_path / name for name in ("good", "bad", "short"))
    for file, text in ((good, "correct horse battery\n"), (bad, "another long passphrase"), (short, "short")):
        file.write_text(text)
        file.chmod(0o600)
    path = tmp_path / "a.mcap"
    write(path, RecordSettings(passphrase_file=good), blocks=1)
    assert len(list(RecordingReader(path, good).read_frames())) == 10
    for identity, reason in ((bad, "another passphrase"), (short, "at least 12"), (None, "with a passphrase; name")):
        with pytest.raises(RecordingError, match=reason):
            RecordingReader(path, identity)
    with pytest.raises(RecordingError, match="at least 12"):
        RecordingFile(tmp_path / "b.mcap", ABOUT, RecordSettings(passphrase_file=short))
    with pytest.raises(RecordingError, match="expected public keys"):
        RecordingFile(tmp_path / "b.mcap", ABOUT, RecordSettings(recipients=("age1no",)))
    assert not (tmp_path / "b.mcap").exists()


def test_file_that_is_cut_off_anywhere_keeps_its_whole_blocks(tmp_path, reader_key) -> None:
    path, cut = tmp_path / "a.mcap", tmp_path / "cut.mcap"
    ends = write(path, RecordSettings(recipients=(reader_key[1],)))
    content = path.read_bytes()
    for length in (*ends, *(end + 7 for end in ends), *(end + 700 for end in ends[:2])):
        cut.write_bytes(content[:length])
        recording = RecordingReader(cut)
        assert not recording.complete
        assert len(list(recording.read_frames())) == 10 * sum(end <= length for end in ends)
    for length in (3, len(MAGIC), len(MAGIC) + 2, len(MAGIC) + 4, len(MAGIC) + 9):
        cut.write_bytes(content[:length])
        with pytest.raises(RecordingError):
            RecordingReader(cut)


def test_damaged_or_moved_block_is_counted_and_the_others_are_read(tmp_path, reader_key) -> None:
    path, changed = tmp_path / "a.mcap", tmp_path / "b.mcap"
    ends = write(path, RecordSettings(recipients=(reader_key[1],)), blocks=4)
    content = bytearray(path.read_bytes())
    content[(ends[0] + ends[1]) // 2] ^= 1
    changed.write_bytes(content)
    recording = RecordingReader(changed)
    assert [one.index // 10 for one in recording.read_frames()] == [0] * 10 + [2] * 10 + [3] * 10
    assert recording.damaged >= 1
    content = bytearray(path.read_bytes())
    content[len(MAGIC) + 100] ^= 1  # of the first block, which has nothing but metadata
    changed.write_bytes(content)
    with pytest.raises(RecordingError, match="is no recording of gazecast"):
        RecordingReader(changed)
    content = path.read_bytes()
    first, second, third = ends[0], ends[1], ends[2]
    changed.write_bytes(content[:first] + content[second:third] + content[first:second] + content[third:])
    assert {one.index // 10 for one in RecordingReader(changed).read_frames()} == {0, 3}


def test_recording_without_pictures_has_times_gaze_and_masks_only(tmp_path) -> None:
    about = replace(ABOUT, pictures=False)
    recorder = RecordingThread(tmp_path / "a.mcap", about, RecordSettings(frames="none"), now_ns)
    for index in range(3):
        recorder.put_frame(frame(index))
        recorder.put_sample(sample(index))
        recorder.put_message("overlay", b"a picture")
    recorder.close()
    recording = RecordingReader(recorder.path)
    frames = list(recording.read_frames())
    assert [(one.index, one.timestamp) for one in frames] == [(index, index / 30) for index in range(3)]
    assert not any(one.exact for one in frames)
    assert {int(value) for one in frames for value in (one.decode().image.min(), one.decode().image.max())} == {GREY}
    assert frames[0].decode().size == frame(0).size
    assert recording.topics == {FRAME, GAZE}
    assert len(list(recording.read_samples())) == 3
    with pytest.raises(RecordingError, match="recorded without pictures and cannot be segmented again"):
        RecordedFrames(recorder.path)


def test_missing_library_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(RecordingError, match=r"pip install -e '\.\[encryption\]'"):
        RecordingFile(tmp_path / "a.mcap", ABOUT, RecordSettings(recipients=("age1",)))
