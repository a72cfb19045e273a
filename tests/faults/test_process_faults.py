"""A run ends by a signal in every state, frees its port and leaves a recording that opens."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.process_faults import STATES, end_run


@pytest.mark.parametrize("state", STATES)
def test_sigterm_ends_a_run(state: str, tmp_path: Path) -> None:
    report = end_run(state, signal.SIGTERM, tmp_path)
    assert report.is_port_free
    assert report.exit_code in ({0, 143, -signal.SIGTERM} if state == "started" else {0, 143})
    if state == "recording":
        assert report.is_complete
        assert report.frames_lost == 0


def test_a_killed_recording_opens_and_lacks_the_last_second_at_most(tmp_path: Path) -> None:
    report = end_run("recording", signal.SIGKILL, tmp_path)
    assert report.is_complete is False
    assert report.frames_lost is not None
    assert report.frames_lost <= 30
