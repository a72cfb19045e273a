"""A source rests while its reader has no time, until the reader demands what waits."""

import threading

import pytest

from realtime.infra import frame_pacing
from realtime.infra.frame_pacing import FramePacing
from tests.realtime.waiting import eventually


def test_a_source_rests_until_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_pacing, "REST_S", 600.0)
    pacing = FramePacing()
    pacing.rest()  # not where the reader has time
    pacing.may_defer = lambda: True
    source = threading.Thread(target=pacing.rest, daemon=True)
    source.start()
    pacing.demand()
    source.join(60)
    assert not source.is_alive()


def test_a_source_that_is_not_needed_reads_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_pacing, "REST_S", 0.01)
    pacing, rests = FramePacing(), []
    pacing.may_defer = lambda: True
    source = threading.Thread(target=lambda: rests.append([pacing.rest() for _ in range(3)]), daemon=True)
    source.start()
    eventually(lambda: bool(rests))
