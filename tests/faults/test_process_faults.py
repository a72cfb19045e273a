"""A run ends by a signal in every state, frees its port and leaves a recording that opens."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.process_faults import STATES, EndReport, end_run

AT_ONCE = 3
"""Runs that start at a time, which mostly wait."""
Ends = dict[tuple[str, signal.Signals], "Future[EndReport]"]


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    cases = [*((state, signal.SIGTERM) for state in STATES), ("recording", signal.SIGKILL)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(end_run, *case, tmp_path_factory.mktemp("end")) for case in cases}


@pytest.mark.parametrize("state", STATES)
def test_sigterm_ends_a_run(ends: Ends, state: str) -> None:
    report = ends[state, signal.SIGTERM].result()
    assert report.is_port_free
    assert report.exit_code in ({0, 143, -signal.SIGTERM} if state == "started" else {0, 143})
    if state == "recording":
        assert report.is_complete
        assert report.frames_lost == 0


def test_a_killed_recording_opens_and_lacks_the_last_second_at_most(ends: Ends) -> None:
    report = ends["recording", signal.SIGKILL].result()
    assert report.is_complete is False
    assert report.frames_lost is not None
    assert report.frames_lost <= 30
