import codecs
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from rich.cells import cell_len

from realtime.commands.terminal import JsonView, format_json_line, format_status_line
from realtime.comms.messages import HealthMessage
from tests.realtime import scene


def health(**change):
    values = dict(
        state="running", reason="", rates={"frames": 24.0, "gaze": 200.0, "masks": 23.6, "keyframes": 4.2},
        latency_ms={"gaze_to_mask": {"p50": 40.1, "p95": 61.0, "p99": 80.2}, "keyframe_age": {"p50": 130.0}},
        dropped={"a": 1, "b": 2}, memory_mib=300.0, engine={"backend": "fake"},
    )  # fmt: skip
    return HealthMessage(**{**values, **change})


def test_the_line_has_rates_latency_age_and_drops():
    line = format_status_line(health())
    for part in (
        "running",
        "frames 24/s",
        "gaze 200/s",
        "masks 24/s",
        "keyframes 4.2/s",
        "40/61/80 ms",
        "130 ms",
        "dropped 3",
    ):
        assert part in line


def test_the_line_of_a_start_has_dashes_and_the_reason():
    line = format_status_line(health(state="starting", reason="frames: none yet", rates={}, latency_ms={}))
    assert line.startswith("starting: frames: none yet")
    assert "gaze to mask -" in line


def test_the_line_shows_how_far_the_preparation_is():
    step = {"state": "preparing", "reason": "", "doing": "building the encoder"}
    line = format_status_line(health(**step, progress=0.25, remaining_s=12.4))
    assert line.startswith("preparing: building the encoder, 25 %, about 12 s left  |")
    assert format_status_line(health(**step)).startswith("preparing: building the encoder  |")


REASON = "frames: stopped (no answer from tcp://192.168.100.200:50020; start the device there)"


@pytest.mark.parametrize("width", [20, 40, 79, 100, 119, 200])
@pytest.mark.parametrize("reason", ["", REASON, "Gerät 見つかりません " * 9, "two\nlines"])
def test_the_line_fits_the_width_and_drops_whole_parts_only(width, reason):
    of = health(state="degraded" if reason else "running", reason=reason)
    line = format_status_line(of, width)
    assert cell_len(line) <= width
    assert "\n" not in line
    parts = re.split(r" +\| +", line)
    assert parts[0].startswith(of.state)
    whole = format_status_line(of)
    assert all(part in whole for part in parts[1:])


def test_eighty_columns_have_rate_and_latency():
    line = format_status_line(health(), 79)
    assert "masks 24/s" in line
    assert "gaze to mask 40/61/80 ms" in line


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, columns, *command):
        self._main, side = pty.openpty()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.resize(columns)
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command, stdin=side, stdout=side, stderr=side, env={**environment, "TERM": "xterm"}, start_new_session=True
        )
        os.close(side)

    def resize(self, columns):
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read_until(self, *parts):
        """All that is printed until some parts have come, one after the other."""
        text, wanted = "", re.compile(".*?".join(map(re.escape, parts)), re.S)
        while not wanted.search(text):
            text += self._decoder.decode(os.read(self._main, 65536))
        return text

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._main)


def read_rows(text):
    """What a redraw puts on the screen, each from the row's start on, without control codes."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return [row for row in re.split(r"[\r\n]+", plain) if row]


def test_the_live_line_follows_the_width_of_the_terminal_and_never_wraps(tmp_path):
    clip, trace = scene.write_clip(tmp_path, 24)
    terminal = Terminal(90, sys.executable, "-m", "realtime", "run", "--engine", "fake", "--publish",
                        "tcp://127.0.0.1:0", "--source", f"file:{clip}?loop=1", "--gaze", f"trace:{trace}")  # fmt: skip
    try:
        text = terminal.read_until("Ctrl-C stops", "\x1b[J", "running | masks", "\r")
        rows = read_rows(text.rpartition("Ctrl-C stops")[2])
        assert rows
        assert all(cell_len(row) < 90 for row in rows)
        for columns in (44, 24, 12, 160):
            terminal.resize(columns)
            for _ in range(20):  # on a busy machine some of the next lines were drawn before the change
                rows = read_rows(terminal.read_until("\x1b[J", "runn", "\r"))
                if all(cell_len(row) < columns for row in rows):
                    break
            assert all(cell_len(row) < columns for row in rows)
        assert "keyframe age" in rows[-1]
        terminal.process.terminate()
        assert "\x1b[?25h" in terminal.read_until("stopping", "\x1b[?25h"), "the cursor is visible again"
        assert terminal.process.wait(300) == 0
    finally:
        terminal.close()


def test_a_reason_that_has_no_room_is_printed_above_the_line_once():
    terminal = Terminal(60, sys.executable, "-m", "realtime", "run", "--engine", "fake", "--publish",
                        "tcp://127.0.0.1:0", "--source", "pupil://127.0.0.1:1")  # fmt: skip
    whole = "frames: none yet (no answer from tcp://127.0.0.1:1; start the device there); gaze: none yet"
    try:
        terminal.read_until("Ctrl-C stops", whole, "\x1b[J", "degraded: frames: none yet", "…", "\r")
        later = terminal.read_until("…", "…", "\r")
        assert "; gaze" not in later
        assert all(cell_len(row) < 60 for row in read_rows(later))
    finally:
        terminal.close()


def test_json_has_everything():
    assert json.loads(format_json_line(health()))["latency_ms"]["gaze_to_mask"]["p99"] == 80.2


def test_json_is_written_line_by_line_because_several_threads_report(monkeypatch):
    class Pipe:
        def __init__(self):
            self.writes = []
            self.write, self.flush = self.writes.append, lambda: None

    pipe = Pipe()
    monkeypatch.setattr("sys.stdout", pipe)
    JsonView().on_health(health())
    assert [text for text in pipe.writes if text] == [f"{format_json_line(health())}\n"]


MEASURE_MEMORY = """
from realtime.infra.machine import measure_memory_mib
before = measure_memory_mib()
taken = bytearray(b"x" * (64 << 20))
print(measure_memory_mib() - before)
"""


def test_memory_grows_when_memory_is_taken():
    # In a process of its own: what other tests left to be freed would count against it here.
    command = [sys.executable, "-c", MEASURE_MEMORY]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert float(run.stdout) > 50
