"""Tests that every Python block of the API's page runs unchanged, with the engine that needs no weights."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "python-api.md"
OUTPUT = {
    "segmenter.step(frame": r"0\.97 s: object 1 locked, \d{4} px",
    "except GazecastError": r"uint8 and shape \(height, width, 3\), got float32 \(240, 320\)",
    "Requester(": r"no run there: ",
}
"""Text in a block -> what the block must print."""


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def run_block(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)


BLOCKS = python_blocks(PAGE.read_text())


def test_the_page_shows_each_way_in():
    text = "".join(BLOCKS)
    assert all(name in text for name in ("GazeSegmenter(", "MaskSubscriber(", "Requester("))
    assert all(any(part in block for block in BLOCKS) for part in OUTPUT)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_runs_and_prints_its_output(code):
    done = run_block(code)
    assert done.returncode == 0, done.stderr
    for part, printed in OUTPUT.items():
        if part in code:
            assert re.search(printed, done.stdout), done.stdout


def test_a_block_that_is_wrong_fails():
    (block,) = python_blocks("text\n```python\nfrom realtime import NoSuchName\n```\n")
    assert run_block(block).returncode != 0
