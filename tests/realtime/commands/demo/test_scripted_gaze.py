"""The scripted gaze moves as eyes do, over the whole clip, and stays in the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime.commands.demo.scripted_gaze import (
    CUTS,
    FPS,
    RATE_HZ,
    SACCADE_S,
    STREET,
    ScriptedFixation,
    generate_gaze,
    list_settled_spans,
    write_trace,
)
from realtime.sources.gaze_files.trace import read_trace

TWO = (
    ScriptedFixation("left", ((0, 10, 20), (10, 30, 20))),
    ScriptedFixation("right", ((20, 200, 120), (30, 200, 120))),
)


def test_follows_evenly_rests_and_jumps() -> None:
    samples = {round(at_s, 4): (x, y) for at_s, x, y, _ in generate_gaze(TWO)}
    assert samples[0.2] == pytest.approx((20, 20))
    assert samples[0.6] == pytest.approx((30, 20))
    assert samples[0.755] == pytest.approx((30, 20))
    x, y = samples[0.78]
    assert 30 < x < 200
    assert 20 < y < 120
    assert samples[0.8] == pytest.approx((200, 120))


def test_the_street_is_covered_and_inside_the_picture() -> None:
    samples = np.array(generate_gaze(STREET))
    assert len(samples) == 250 / FPS * RATE_HZ
    assert np.diff(samples[:, 0]) == pytest.approx(1 / RATE_HZ)
    assert (samples[:, 1] >= 0).all()
    assert (samples[:, 1] < 640).all()
    assert (samples[:, 2] >= 0).all()
    assert (samples[:, 2] < 272).all()


def test_the_street_has_as_many_saccades_as_fixations() -> None:
    samples = np.array(generate_gaze(STREET))
    speed = np.hypot(*np.diff(samples[:, 1:3], axis=0).T) * RATE_HZ  # px/s
    fast = speed > 1000
    begins = np.flatnonzero(fast[1:] & ~fast[:-1])
    assert len(begins) == len(STREET) - 1
    assert fast.sum() / RATE_HZ < len(STREET) * SACCADE_S


def test_settled_spans_keep_off_cuts_and_saccades() -> None:
    assert list_settled_spans(TWO, ()) == [("left", range(11)), ("right", range(20, 31))]
    assert list_settled_spans(TWO, (8, 25))[0] == ("left", range(8))
    for _, span in list_settled_spans(STREET):
        assert len(span) > 0
        assert not any(span.start < cut <= span.stop - 1 for cut in CUTS)
    ends = [span.stop for _, span in list_settled_spans(STREET)]
    assert all(end <= after.points[0][0] for end, after in zip(ends, STREET[1:], strict=False))


def test_is_read_as_a_trace(tmp_path: Path) -> None:
    points = read_trace(write_trace(tmp_path / "gaze.csv"))
    expected = generate_gaze(STREET)
    assert len(points) == len(expected)
    assert (points[7].timestamp, points[7].x, points[7].y) == pytest.approx(expected[7][:3], abs=0.01)
    assert points[7].confidence == expected[7][3]
