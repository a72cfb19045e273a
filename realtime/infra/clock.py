"""Reads the host's monotonic clock and maps a device's clock to it.

A probe requests a device's time. The device read its clock at some instant between sending and receiving, so the
middle is wrong by half the round trip at most; probes of short round trip are the most accurate (Cristian,
"Probabilistic clock synchronization", Distributed Computing 1989; Mills' clock filter in NTP, RFC 5905). A Theil-Sen
line is fitted to the best third of a sliding window; its slope is the drift.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from realtime.types import ClockStatus

WINDOW = 60
"""Probes remembered; about a minute at one a second."""
FIT_SPAN_S = 15.0
"""In a shorter window drift cannot be separated from round-trip jitter, and only the offset is estimated."""
FIT_PROBES = 6
MAX_DRIFT = 500e-6
"""s per s: quartz stays below 0.0001, but a host disciplined by NTP may turn its clock by as much as this."""
MAX_SLEW = 5e-3
"""s per s at which backward corrections are applied: slow enough that mapped time always increases."""
JUMP_NS = 10_000_000
"""A contradiction larger than this means that the clock was set, not that a probe was inaccurate."""
ARRIVAL_WINDOW_NS = 30_000_000_000
"""In it a message comes with hardly any delay, and two clocks drift apart by some milliseconds at most."""
ARRIVAL_RESET_NS = 2_000_000_000
"""A message that is later than the quickest one by more has the time of a clock that was set."""


def now_ns() -> int:
    """Return the host's monotonic time, the time base of all `_ns` values."""
    return time.monotonic_ns()


def wall_ns() -> int:
    """Return the wall clock minus `now_ns`, ns since 1970; it changes when the wall clock is set."""
    return time.time_ns() - now_ns()


@dataclass(frozen=True, slots=True)
class _Probe:
    """A reading `remote_s` of the device's clock, taken within `half_ns` of host time `host_ns`."""

    remote_s: float
    host_ns: int
    half_ns: int


@dataclass(frozen=True, slots=True)
class _Line:
    """A linear map from device time to host time, plus the rest of a correction that is applied slowly.

    Relative to a reference point, because a float cannot hold nanoseconds since a far epoch.
    """

    remote_s: float
    host_ns: int
    shift_ns: float
    drift: float
    error_ns: float
    first_s: float
    last_s: float
    gap_ns: float = 0.0
    gap_from_s: float = 0.0

    def correction_ns(self, remote_s: float) -> float:
        """Return the part of the correction that is not applied yet."""
        return max(0.0, self.gap_ns - MAX_SLEW * 1e9 * max(0.0, remote_s - self.gap_from_s))

    def at_ns(self, remote_s: float) -> int:
        """Return the mapped host time."""
        ahead_ns = self.shift_ns + (remote_s - self.remote_s) * (1 + self.drift) * 1e9
        return self.host_ns + round(ahead_ns + self.correction_ns(remote_s))

    def bound_ns(self, remote_s: float) -> float:
        """Return an upper bound of the error of `at_ns`.

        The error is the difference of two lines and within `error_ns` at every trusted probe, so also between them.
        Beyond them it grows with the angle of the lines, but not faster than two clocks can drift apart.
        """
        beyond_s = max(0.0, remote_s - self.last_s, self.first_s - remote_s)
        span_s = self.last_s - self.first_s
        angle = 2 * self.error_ns / span_s if span_s > 0 else math.inf
        grows_ns = beyond_s * min(angle, 2 * MAX_DRIFT * 1e9)
        return self.error_ns + grows_ns + self.correction_ns(remote_s) + math.ulp(remote_s) * 1e9 + 1


def _fit(probes: Sequence[_Probe]) -> _Line:
    """Fit the line to the third of the probes with the shortest round trips."""
    trusted = sorted(probes, key=lambda probe: probe.half_ns)[: math.ceil(len(probes) / 3)]
    trusted.sort(key=lambda probe: probe.remote_s)
    origin, last = trusted[0], trusted[-1]
    remote = [probe.remote_s - origin.remote_s for probe in trusted]
    offset = [probe.host_ns - origin.host_ns - s * 1e9 for probe, s in zip(trusted, remote, strict=True)]
    drift = 0.0
    if len(trusted) >= FIT_PROBES and remote[-1] >= FIT_SPAN_S:
        pairs = combinations(zip(remote, offset, strict=True), 2)
        drift = statistics.median((b - a) / ((t - s) * 1e9) for (s, a), (t, b) in pairs if t > s)
        drift = min(MAX_DRIFT, max(-MAX_DRIFT, drift))
    residual = [o - s * drift * 1e9 for s, o in zip(remote, offset, strict=True)]
    shift = statistics.median(residual)
    error = max(probe.half_ns + abs(r - shift) for probe, r in zip(trusted, residual, strict=True))
    return _Line(origin.remote_s, origin.host_ns, shift, drift, error, origin.remote_s, last.remote_s)


class ClockMap:
    """Maps a device's clock (float seconds, any epoch, may be negative) to the host's monotonic nanoseconds.

    One thread adds probes; any thread may map. Forward corrections are applied at once, backward ones at `MAX_SLEW`, so
    that the times of a device's samples stay in order. A probe that contradicts the map by more than both
    uncertainties proves that the clock was set: older probes are dropped, and beyond `JUMP_NS` the map jumps too and
    `resets` counts it.
    """

    def __init__(self) -> None:
        self._probes: deque[_Probe] = deque(maxlen=WINDOW)
        self._state: tuple[_Line, int] | None = None  # replaced as a whole, so that readers need no lock
        self.resets = 0

    def add(self, sent_ns: int, remote_s: float, received_ns: int) -> bool:
        """Add a probe sent and received at these host times; True if the clock jumped.

        Raises `ValueError` for a reply before its request and for a time that is not finite.
        """
        if received_ns < sent_ns or not math.isfinite(remote_s):
            raise ValueError(
                f"a probe needs sent <= received and a finite time, got {sent_ns}, {remote_s}, {received_ns}"
            )
        probe = _Probe(remote_s, (sent_ns + received_ns) // 2, (received_ns - sent_ns + 1) // 2)
        before = self._state[0] if self._state else None
        jumped = False
        if before:
            away_ns = abs(before.at_ns(remote_s) - probe.host_ns)
            if away_ns > before.bound_ns(remote_s) + probe.half_ns:
                self._probes.clear()
                jumped = away_ns > JUMP_NS
        self._probes.append(probe)
        line = _fit(self._probes)
        if jumped:
            self.resets += 1
        elif before:
            ahead_ns = before.at_ns(remote_s) - line.at_ns(remote_s)
            line = replace(line, gap_ns=max(0.0, float(ahead_ns)), gap_from_s=remote_s)
        self._state = line, received_ns
        return jumped

    def host_ns(self, remote_s: float) -> int | None:
        """Map a device time to host time; None before the first probe."""
        return self._state[0].at_ns(remote_s) if self._state else None

    def uncertainty_ns(self, remote_s: float) -> int | None:
        """Return an upper bound of the error of `host_ns` for this device time; None before the first probe.

        Half of the longest trusted round trip plus its residual, growing beyond the last trusted probe.
        """
        return math.ceil(self._state[0].bound_ns(remote_s)) if self._state else None

    def status(self, at_ns: int) -> ClockStatus | None:
        """Return the state of the map at host time `at_ns`; None before the first probe."""
        if self._state is None:
            return None
        line, probed_ns = self._state
        remote_s = line.remote_s + (at_ns - line.host_ns - line.shift_ns) / 1e9 / (1 + line.drift)
        return ClockStatus(remote_s - at_ns / 1e9, math.ceil(line.bound_ns(remote_s)), at_ns - probed_ns, self.resets)


class ArrivalClock:
    """Maps a device's clock to the host's by times of arrival alone, for devices that answer no probe.

    The quickest message of the last `ARRIVAL_WINDOW_NS` counts as one without delay, so that mapped times are late by
    its delay, and never later than the arrival. One thread.
    """

    def __init__(self) -> None:
        self._quickest: deque[tuple[int, int]] = deque()  # (arrival, arrival - device time), offsets increasing

    def host_ns(self, remote_s: float, received_ns: int) -> int:
        """Map the time of a message that has just arrived; a clock that was set starts the window anew."""
        remote_ns = round(remote_s * 1e9)
        offset_ns = received_ns - remote_ns
        kept = self._quickest
        if kept and abs(offset_ns - kept[0][1]) > ARRIVAL_RESET_NS:
            kept.clear()
        while kept and kept[-1][1] >= offset_ns:
            kept.pop()
        kept.append((received_ns, offset_ns))
        while received_ns - kept[0][0] > ARRIVAL_WINDOW_NS:
            kept.popleft()
        return remote_ns + kept[0][1]
