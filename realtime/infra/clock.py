"""Clocks: host monotonic nanoseconds, and a map from a device's clock to them. Pure; imports nothing of ours.

A probe asks a device for its time. The answer was made at some instant between sending and receiving, so the middle is
wrong by half the round trip at most; probes of small round trip are the good ones (Cristian, "Probabilistic clock
synchronization", Distributed Computing 1989; Mills' clock filter in NTP, RFC 5905). Through the best third of a
sliding window goes the line of Theil and Sen, whose slope is the drift.
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
"""Below this the drift cannot be told from the jitter of the round trips, and only the offset is estimated."""
FIT_PROBES = 6
MAX_DRIFT = 500e-6
"""s per s: quartz stays below 0.0001, but a host disciplined by NTP may turn its clock by as much as this."""
MAX_SLEW = 5e-3
"""s per s at which the map is turned back: slow enough that mapped time always runs forward."""
JUMP_NS = 10_000_000
"""A contradiction larger than this is a clock that was set, not one that was measured badly."""


def now_ns() -> int:
    """The host's monotonic clock, which all `_ns` values are on."""
    return time.monotonic_ns()


def wall_ns() -> int:
    """The wall clock minus `now_ns`: what makes a time of ours one of day. Changes when the wall clock is set."""
    return time.time_ns() - now_ns()


@dataclass(frozen=True, slots=True)
class _Probe:
    """The device's clock showed `remote_s` when the host's was within `half_ns` of `host_ns`."""

    remote_s: float
    host_ns: int
    half_ns: int


@dataclass(frozen=True, slots=True)
class _Line:
    """Host time as a straight line over device time, plus what is left of a correction that is worked off slowly.

    Counted from a reference point, because a float cannot hold nanoseconds since a far epoch.
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

    def ahead_ns(self, remote_s: float) -> float:
        """The estimate, relative to the reference's `host_ns`."""
        return self.shift_ns + (remote_s - self.remote_s) * (1 + self.drift) * 1e9

    def left_ns(self, remote_s: float) -> float:
        """How much of the correction is still to be worked off."""
        return max(0.0, self.gap_ns - MAX_SLEW * 1e9 * max(0.0, remote_s - self.gap_from_s))

    def at_ns(self, remote_s: float) -> int:
        """The mapped time."""
        return self.host_ns + round(self.ahead_ns(remote_s) + self.left_ns(remote_s))

    def bound_ns(self, remote_s: float) -> float:
        """How far `at_ns` may be from the truth.

        The error is the difference of two lines and within `error_ns` at every trusted probe, so it is in between
        too. Beyond them it grows with the angle of the lines, but not faster than two clocks can part.
        """
        beyond_s = max(0.0, remote_s - self.last_s, self.first_s - remote_s)
        span_s = self.last_s - self.first_s
        angle = 2 * self.error_ns / span_s if span_s > 0 else math.inf
        grows_ns = beyond_s * min(angle, 2 * MAX_DRIFT * 1e9)
        return self.error_ns + grows_ns + self.left_ns(remote_s) + math.ulp(remote_s) * 1e9 + 1


def _fit(probes: Sequence[_Probe]) -> _Line:
    """The line through the trusted third of the probes: those of the smallest round trip."""
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

    Fed with probes by one thread; any thread may ask. Corrections forward are made at once, backward ones are worked
    off at `MAX_SLEW`, so that the times of a device's samples stay in order. A probe that contradicts the map by
    more than both their uncertainties proves that the clock was set: older probes are forgotten, and beyond `JUMP_NS`
    the map jumps too and `resets` counts it.
    """

    def __init__(self) -> None:
        self._probes: deque[_Probe] = deque(maxlen=WINDOW)
        self._state: tuple[_Line, int] | None = None  # replaced as a whole, so that readers need no lock
        self.resets = 0

    def add(self, sent_ns: int, remote_s: float, received_ns: int) -> bool:
        """Take in an answer `remote_s` to a question sent and answered at these host times; True if the clock jumped.

        `ValueError` for an answer that came before its question or is not a number.
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
        """Host time of a device time; None before the first probe."""
        return self._state[0].at_ns(remote_s) if self._state else None

    def uncertainty_ns(self, remote_s: float) -> int | None:
        """How wrong `host_ns` of this device time may be; None before the first probe.

        Half of the worst trusted round trip plus what the line misses it by, growing beyond the last trusted probe.
        """
        return math.ceil(self._state[0].bound_ns(remote_s)) if self._state else None

    def status(self, at_ns: int) -> ClockStatus | None:
        """What is known at host time `at_ns`; None before the first probe."""
        if self._state is None:
            return None
        line, probed_ns = self._state
        remote_s = line.remote_s + (at_ns - line.host_ns - line.shift_ns) / 1e9 / (1 + line.drift)
        return ClockStatus(remote_s - at_ns / 1e9, math.ceil(line.bound_ns(remote_s)), at_ns - probed_ns, self.resets)
