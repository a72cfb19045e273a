"""Names of files that would control a terminal or cannot be encoded, printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.infra.output import escape_controls, print_line

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("clip.mp4, süß, 猫", "clip.mp4, süß, 猫"),
        ("\x1b[31mred\nline\ttab", r"\x1b[31mred\x0aline\x09tab"),
        ("\x9b31m \x7f", r"\u009b31m \u007f"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
    ],
)
def test_controls_are_escaped(text: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert escape_controls(text) == printed
    print_line(text, "second")
    assert capsys.readouterr().out == f"{printed}\nsecond\n"


@pytest.mark.parametrize("place", ["rtsp://user:s3cret@host/live", "turn:user:s3cret@host:3478", "TURNS:a:s3cret@h"])
def test_passwords_of_addresses_are_never_printed(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_line(f'servers = ["stun:host", "{place}"]')
    printed = capsys.readouterr().out
    assert "s3cret" not in printed
    assert "host" in printed


def test_output_that_is_not_utf8_and_odd_names_end_nothing(tmp_path: Path) -> None:
    names = ["süß.png", "\x1b[31mred[bold].png", "new\nline.png", os.fsdecode(b"caf\xe9.png"), "z.png"]
    for name in names:
        (tmp_path / name).write_bytes(cv2.imencode(".png", np.full((40, 60, 3), 200, np.uint8))[1].tobytes())
    done = subprocess.run(
        [sys.executable, "-m", "realtime", "segment", "--engine", "fake", "--box", "5,5,30,30", "--out", "out", *names],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}, capture_output=True,
    )  # fmt: skip
    assert (done.returncode, b"Traceback" in done.stderr, b"\x1b" in done.stdout) == (0, False, False), done.stderr
    lines = done.stdout.decode("ascii").splitlines()
    assert [line.partition(".png:")[0] for line in lines] == [
        r"s\xfc\xdf", r"\x1b[31mred[bold]", r"new\x0aline", r"caf\xe9", "z",
    ]  # fmt: skip
    assert len(list((tmp_path / "out").glob("*.json"))) == len(names)
