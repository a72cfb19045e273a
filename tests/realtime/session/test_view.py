"""Tests `--view` on the command line: refused combinations, and the address that is printed."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from realtime.commands.main import main
from tests.realtime import scene

ANY = ("--publish", "tcp://127.0.0.1:0", "--engine", "fake")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("run", "--source", "browser:", *ANY), "browser: has no gaze of its own; add --gaze"),
        (("run", "--source", "browser:", "--gaze", "browser:", *ANY), "browser: is what the page sends; add --view"),
        (("run", "--source", "camera:0", "--gaze", "browser:", *ANY), "add --view to serve it"),
        (
            ("run", "--view", "--set", "view.host=0.0.0.0", *ANY),
            "can be reached from other machines, which needs token",
        ),
        (("run", "--view", "--set", "view.port=99999", *ANY), "view.port must be 0 to 65535"),
        (("run", "--view", "--source", "carrier:pigeon", *ANY), "browser: and whip: (with --view)"),
    ],
)
def test_refused_arguments_are_explained_in_one_line(capsys, argv, expected):
    assert main(list(argv)) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_config_shows_that_the_view_is_disabled_by_default(capsys):
    assert main(["config", "--source", "pupil://h:1"]) == 0
    assert "enabled = false" in capsys.readouterr().out


def wait_for_page(process):
    """Read the printed address and check that the page is served there."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"open (http://\S+)", line):
            with urllib.request.urlopen(found[1], timeout=60) as response:
                assert b"<title>gazecast</title>" in response.read()
            return found[1]
    pytest.fail(f"no address in {lines}")


@pytest.mark.parametrize("verb", ["run", "demo"])
def test_one_address_is_printed_and_ctrl_c_ends_it(tmp_path, verb):
    clip, _ = scene.write_clip(tmp_path, 24)
    # A run that waits for a page's camera opens its engine only when it has waited long enough for a frame's size.
    more = ("--video", str(clip), "--gaze", "wander") if verb == "demo" else ("--source", f"file:{clip}?loop=1")
    command = [sys.executable, "-m", "realtime", verb, "--view", "--set", "view.port=0", *ANY, *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            address = wait_for_page(process)
            for line in process.stderr:
                if "Ctrl-C stops" in line:
                    break
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the demo's other process receives it too
            assert "Traceback" not in process.stderr.read()
            assert process.wait(60) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=300)
