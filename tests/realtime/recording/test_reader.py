"""Files as they are left behind: whole, cut off anywhere, damaged, and not recordings at all."""

import pytest
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.reader import make_reader
from mcap.records import Chunk
from mcap.writer import Writer

from realtime.errors import RecordingError
from realtime.recording.format import FRAME, GAZE
from realtime.recording.reader import RecordingReader
from realtime.recording.writer import RecordingFile
from tests.realtime.recording import plain_recordings


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.mcap"
    return path, plain_recordings.write(path)


def test_all_entries_are_read_in_order(whole):
    recording = RecordingReader(whole[0])
    assert recording.complete
    assert recording.about == plain_recordings.ABOUT
    assert [frame.index for frame in recording.read_frames()] == list(range(30))
    assert list(recording.read_samples()) == [plain_recordings.sample(index) for index in range(90)]
    entries = list(recording.read_entries())
    assert [entry.topic for entry in entries[:5]] == [FRAME, GAZE, GAZE, GAZE, FRAME]
    assert recording.span_ns == (min(e.log_ns for e in entries), max(e.log_ns for e in entries))
    assert recording.damaged == 0


def test_the_mcap_library_reads_it(whole):
    with whole[0].open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        assert {channel.topic for channel in summary.channels.values()} == {FRAME, GAZE}
        assert summary.statistics.message_count == 120
        assert len(summary.chunk_indexes) == 3
        assert sum(1 for _ in reader.iter_messages()) == 120


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("is_cut", [True, False])
def test_a_recording_that_another_tool_rewrote_is_read(whole, tmp_path, is_chunked, is_cut):
    """Without chunks, and with other numbers of channels than the metadata have."""
    rewritten = tmp_path / "rewritten.mcap"
    with whole[0].open("rb") as source, rewritten.open("wb") as target:
        reader, writer = make_reader(source), Writer(target, use_chunking=is_chunked)
        writer.start()
        for metadata in reader.iter_metadata():
            writer.add_metadata(metadata.name, metadata.metadata)
        channels = {topic: writer.register_channel(topic, "msgpack", 0) for topic in ("other", GAZE, FRAME)}
        for _, channel, message in reader.iter_messages(log_time_order=False):
            number = channels[channel.topic]
            writer.add_message(number, message.log_time, message.data, message.publish_time, message.sequence)
        writer.finish()
    if is_cut and not is_chunked:
        rewritten.write_bytes(rewritten.read_bytes()[:-5000])
    recording, before = RecordingReader(rewritten), list(RecordingReader(whole[0]).read_entries())
    found = list(recording.read_entries())
    assert found == before[: len(found)]
    assert len(found) > (90 if is_cut else 119)
    assert recording.span_ns[0] == RecordingReader(whole[0]).span_ns[0]
    assert recording.damaged == 0


def test_a_time_range_is_read_without_the_rest(whole):
    recording = RecordingReader(whole[0])
    frames = [plain_recordings.frame(index) for index in range(30)]
    from_ns, to_ns = (frames[n].received_ns + plain_recordings.WALL_NS for n in (12, 15))
    assert [f.index for f in recording.read_frames(from_ns=from_ns, to_ns=to_ns)] == [12, 13, 14, 15]


def test_a_truncated_file_holds_all_that_was_flushed(whole, tmp_path):
    path, ends = whole
    data, cut = path.read_bytes(), tmp_path / "cut.mcap"
    for length in [*range(ends[0], len(data), 997), *ends, *(end - 1 for end in ends[1:]), len(data) - 1]:
        cut.write_bytes(data[:length])
        recording, chunks = RecordingReader(cut), sum(end <= length for end in ends)
        found = [frame.index for frame in recording.read_frames()]
        assert found == list(range(10 * len(recording._chunks)))
        assert len(found) >= 10 * chunks
        assert recording.damaged == 0


def test_truncation_before_the_first_chunk_is_reported(whole, tmp_path):
    path, ends = whole
    cut = tmp_path / "cut.mcap"
    for length in range(0, ends[0] // 2, 997):
        cut.write_bytes(path.read_bytes()[:length])
        with pytest.raises(RecordingError, match=r"no recording of gazecast|holds nothing"):
            RecordingReader(cut)


def test_a_recording_without_data_is_reported(tmp_path):
    plain_recordings.write(tmp_path / "a.mcap", 0)
    with pytest.raises(RecordingError, match="ended before any data arrived"):
        RecordingReader(tmp_path / "a.mcap")


def test_of_a_damaged_file_only_the_damaged_chunk_is_lost(whole, tmp_path):
    path, _ = whole
    data = bytearray(path.read_bytes())
    for place in (RecordingReader(path)._chunks[0], RecordingReader(path)._chunks[1]):
        hurt = bytearray(data)
        hurt[place.at + place.length // 2] ^= 0xFF
        broken = tmp_path / "broken.mcap"
        broken.write_bytes(hurt)
        recording = RecordingReader(broken)
        assert len(list(recording.read_frames())) == 20
        assert recording.damaged == 1


@pytest.mark.parametrize(
    ("compression", "data", "size"),
    [
        ("zstd", zstandard.compress(bytes(64 << 20)), 1000),  # unpacks to more than its header says
        ("zstd", zstandard.compress(bytes(64 << 20)), 64 << 20),  # records without a kind, millions of them
        ("lz4", b"no lz4", 100),
        ("", b"no record", 9),
    ],
)
def test_a_chunk_with_a_wrong_size_costs_neither_time_nor_memory(whole, tmp_path, compression, data, size):
    path, ends = whole
    built = RecordBuilder()
    Chunk(compression, data, 0, 2**62, 0, size).write(built)
    odd = tmp_path / "odd.mcap"
    odd.write_bytes(path.read_bytes()[: ends[0]] + built.end())
    recording = RecordingReader(odd)
    assert len(list(recording.read_frames())) == 10
    assert recording.damaged == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no recording of gazecast"),
        (b"RIFF" + bytes(100), "is no recording of gazecast"),
        (b"\x89MCAP0\r\n" + bytes(100), "is no recording of gazecast"),
        (b"\x89MCAP0\r\n" + b"\x06" + (2**63).to_bytes(8, "little"), "is no recording of gazecast"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=message):
        RecordingReader(path)
    with pytest.raises(RecordingError, match=r"cannot read .*: No such file"):
        RecordingReader(tmp_path / "none.mcap")
    with pytest.raises(RecordingError, match="Is a directory"):
        RecordingReader(tmp_path)


def test_an_existing_file_is_not_overwritten(whole, tmp_path):
    with pytest.raises(RecordingError, match="exists; give the recording another name"):
        RecordingFile(whole[0], plain_recordings.ABOUT)
    with pytest.raises(RecordingError, match="cannot record into"):
        RecordingFile(whole[0] / "b.mcap", plain_recordings.ABOUT)
    made_in = tmp_path / "new" / "folder" / "b.mcap"
    RecordingFile(made_in, plain_recordings.ABOUT).close()
    with pytest.raises(RecordingError, match="holds nothing"):
        RecordingReader(made_in)
