"""Tests the times of a video against sender reports and times of capture that are made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.sources.webrtc.rtp_timeline import CLOCK_RATE, RtpTimeline, ntp_to_unix_s, read_capture_time

NTP_EPOCH_S = 2_208_988_800


def to_ntp(unix_s: float) -> int:
    return round((unix_s + NTP_EPOCH_S) * 2**32)


def test_there_is_no_time_before_the_first_report() -> None:
    assert RtpTimeline().sender_s(5) is None


@given(st.integers(0, 2**32 - 1), st.integers(-(10**7), 10**7))
def test_a_report_gives_the_time_of_frames_around_it_also_where_the_counter_wraps(rtp: int, ticks: int) -> None:
    timeline = RtpTimeline()
    timeline.add_report(rtp, 1000.0)
    assert timeline.sender_s((rtp + ticks) % 2**32) == pytest.approx(1000 + ticks / CLOCK_RATE)


def test_a_time_of_capture_counts_more_than_a_report_while_it_is_recent() -> None:
    timeline = RtpTimeline()
    timeline.add_report(0, 1000.0)
    timeline.add_stamp(90_000, 1000.9)
    assert timeline.sender_s(180_000) == pytest.approx(1001.9)
    assert timeline.sender_s(90_000 * 100) == pytest.approx(1100.0)


@given(st.floats(0, 4e9))
def test_ntp_is_converted(unix_s: float) -> None:
    unix_s %= 2**32 - NTP_EPOCH_S - 1
    assert ntp_to_unix_s(to_ntp(unix_s)) == pytest.approx(unix_s, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (to_ntp(1e9).to_bytes(8, "big"), 1e9),
        (to_ntp(1e9).to_bytes(8, "big") + (-(2**31)).to_bytes(8, "big", signed=True), 1e9 - 0.5),
        (bytes(8), None),
        (b"", None),
        (bytes(9), None),
    ],
)
def test_a_time_of_capture_is_read(value: bytes, seconds: float | None) -> None:
    assert read_capture_time(value) == (seconds if seconds is None else pytest.approx(seconds, abs=1e-6))
