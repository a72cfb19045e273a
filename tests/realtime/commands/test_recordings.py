"""`gazecast review` from its start to its end."""

import threading
import urllib.request

import pytest

from realtime.commands.main import main
from realtime.commands.recordings import review
from realtime.config.viewer import ViewSettings
from tests.realtime.recording import object_recordings
from tests.realtime.waiting import eventually, find_threads


class ProgressLines:
    def __init__(self):
        self.lines = []

    def show_line(self, text):
        self.lines.append(text)


def test_review_prints_the_recording_and_address_and_frees_the_port(tmp_path):
    path = object_recordings.record(tmp_path / "a.mcap", object_recordings.run(20, 1), cut=True)
    progress, stop, before = ProgressLines(), threading.Event(), find_threads()
    thread = threading.Thread(target=review, args=(ViewSettings(port=0), path, progress), kwargs={"stop": stop})
    thread.start()
    eventually(lambda: len(progress.lines) == 3, "three lines")
    assert "cut off at its end" in progress.lines[0]
    assert "a.labels.json; Ctrl-C stops" in progress.lines[2]
    address = progress.lines[1].removeprefix("open ")
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert b"<title>gazecast review</title>" in answer.read()
    stop.set()
    thread.join(60)
    eventually(lambda: find_threads() <= before, "the end of all threads")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=60)


def test_a_recording_that_cannot_be_reviewed_prints_one_line_of_error(tmp_path, capsys):
    no_recording, bad_labels = (
        tmp_path / "no.mcap",
        object_recordings.record(tmp_path / "a.mcap", object_recordings.run(5, 1)),
    )
    no_recording.write_bytes(b"nothing")
    (tmp_path / "a.labels.json").write_text("{")
    for argv, message in (
        ([no_recording], "is no recording of gazecast"),
        ([tmp_path / "none.mcap"], "No such file"),
        ([bad_labels, "--set", "view.port=0"], "mend the file or remove it"),
        ([bad_labels, "--set", "view.host=0.0.0.0"], "can be reached from other machines, which needs token"),
    ):
        assert main(["review", *map(str, argv)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
