"""Receives gaze from a stream of the Lab Streaming Layer, through restarts and changes of the stream.

LSL's own recovery finds a stream again by its id and keeps the old description; a bridge may return with another id
and other channels. So a lost stream is looked for anew, and its description read again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pylsl
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.sources.base import ThreadedSource
from realtime.sources.lsl.channels import LslChannel, LslDescription, LslOptions, select_channels
from realtime.sources.lsl.library import silence_library
from realtime.sources.lsl.sample_reader import SampleReader
from realtime.types import GazeSample, GazeSource, OnEvent, OnGaze

SETTLE_NS = 500_000_000
"""Time after the first match in which others, which make the choice ambiguous, are found."""
SEARCH_NS = 3_000_000_000
"""The resolver is replaced as often: its sockets belong to the networks that were there when it began."""
FORGET_S = 3.0
"""A stream that has ended is listed for as long."""
SILENCE_NS = 1_500_000_000
DEAD_NS = 10_000_000_000
"""A stream that is silent for as long is looked for again: a network fails without a word."""
CORRECT_EVERY_NS = 500_000_000
MAX_AGE_NS = 10_000_000_000
"""Samples further from now have times of another clock than LSL's."""
MAX_NORM = 1e4
MAX_PX = 1e7
_OPEN_TRIES = 10
_LISTED = 8


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """Holds what a stream is chosen by; empty texts match any. Types match in any case, as bridges write them."""

    name: str = ""
    type: str = ""
    source_id: str = ""
    host: str = ""

    def matches(self, info: pylsl.StreamInfo) -> bool:
        """Whether a stream on the network is meant."""
        wanted = (self.name, info.name()), (self.source_id, info.source_id()), (self.host, info.hostname())
        return all(text in ("", found) for text, found in wanted) and (
            not self.type or self.type.lower() == info.type().lower()
        )

    def __str__(self) -> str:
        """Describe the stream that is looked for."""
        parts = (("name", self.name), ("type", self.type), ("source_id", self.source_id), ("host", self.host))
        return "an LSL stream of " + ", ".join(f"{part} {text!r}" for part, text in parts if text)


class LslGaze(ThreadedSource, GazeSource):
    """A `GazeSource` that receives every sample of one LSL stream, in order of arrival.

    `timestamp` is the stream's, on LSL's clock of the sending machine. `status().dropped` counts samples without a
    position ("no position") and with an impossible one ("position").
    """

    def __init__(self, query: StreamQuery, options: LslOptions | None = None) -> None:
        silence_library()
        self._query, self._options = query, options or LslOptions()
        self._missing = f"{query} is not there; start the tracker's LSL outlet, in this network"
        super().__init__(self._missing)
        self._on_gaze: OnGaze = lambda sample: None

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start now; the stream may appear later."""
        self._on_gaze = on_gaze
        self._start_threads(on_event, **{"gaze lsl": self._run})

    def _run(self) -> None:
        while not self._stop.is_set():
            info = self._find_stream()
            if info is None:
                return
            try:
                with _open_inlet(info) as inlet:
                    self._receive(inlet, info)
            except SourceError as error:
                self._monitor.set_state("connecting", str(error))
                self._stop.wait(1.0)
            except LslTimeoutError:
                reason = (
                    f"the LSL stream {info.name()!r} does not answer; does a firewall of {info.hostname()} stop it?"
                )
                self._monitor.set_state("connecting", reason)
            except LostError:
                continue

    def _find_stream(self) -> pylsl.StreamInfo | None:
        """Look for the stream until exactly one matches; None when stopped."""
        while not self._stop.is_set():
            if (info := self._search_network()) is not None:
                return info
        return None

    def _search_network(self) -> pylsl.StreamInfo | None:
        """Search for a while; None unless exactly one stream matches, with the reason in the state."""
        resolver = pylsl.ContinuousResolver(forget_after=FORGET_S)
        begun_ns, first_ns = now_ns(), None
        found: list[pylsl.StreamInfo] = []
        while now_ns() - begun_ns < SEARCH_NS and not self._stop.wait(0.05):
            found = list({info.uid(): info for info in resolver.results()}.values())
            matching = [info for info in found if self._query.matches(info)]
            first_ns = (first_ns or now_ns()) if matching else None
            if first_ns is None or now_ns() - first_ns < SETTLE_NS:
                continue
            if len(matching) == 1:
                return matching[0]
            several = f"{len(matching)} streams match {self._query}" + _list_streams(": ", matching)
            self._monitor.set_state("connecting", several + "; name one: lsl:name=NAME, or lsl:source_id=ID")
        if first_ns is None and not self._stop.is_set():
            self._monitor.set_state("connecting", self._missing + _list_streams("; there are ", found))
        return None

    def _receive(self, inlet: pylsl.StreamInlet, info: pylsl.StreamInfo) -> None:
        """Pass on samples until the stream is lost; raises `SourceError` for one without usable gaze."""
        reader = SampleReader(select_channels(_describe(_wait_for_info(inlet, self._stop.is_set)), self._options))
        clock, silent_since_ns = _StreamClock(inlet), now_ns()
        while not self._stop.is_set():
            clock.update()
            values, timestamp = inlet.pull_sample(timeout=0.2)
            now = now_ns()
            if values is not None:
                silent_since_ns = now
                self._publish(reader, values, timestamp, clock)
            elif now - silent_since_ns > SILENCE_NS:
                self._monitor.set_state("waiting", f"the LSL stream {info.name()!r} is there, but sends no samples")
                if now - silent_since_ns > DEAD_NS:
                    if not _is_alive(info):
                        return
                    silent_since_ns = now - SILENCE_NS

    def _publish(self, reader: SampleReader, values: list[float], timestamp: float, clock: _StreamClock) -> None:
        received_ns = now_ns()
        self._monitor.count_received()
        captured_ns = clock.host_ns(timestamp)
        reason = ""
        if captured_ns is None or not math.isfinite(timestamp):
            captured_ns = received_ns
        elif abs(received_ns - captured_ns) > MAX_AGE_NS:
            reason = "the times of the LSL stream are not on LSL's clock; the times of arrival are used"
            captured_ns = received_ns
        self._monitor.set_state("running", reason)
        found, unit = reader.read(values), reader.channels.unit
        if found is None:
            self._monitor.count_dropped("no position")
        elif max(abs(found[0]), abs(found[1])) > (MAX_NORM if unit == "norm" else MAX_PX):
            self._monitor.count_dropped("position")
        else:
            x, y, confidence = found
            self._on_gaze(GazeSample(x, y, unit, confidence, timestamp, min(received_ns, captured_ns), received_ns))


class _StreamClock:
    """Maps the times of a stream to the host's clock by LSL's own measurement."""

    def __init__(self, inlet: pylsl.StreamInlet) -> None:
        self._inlet = inlet
        self._shift_ns: int | None = None
        self._updated_ns = 0

    def update(self) -> None:
        """Read the newest correction; LSL measures it in the background."""
        now = now_ns()
        if now - self._updated_ns < CORRECT_EVERY_NS:
            return
        self._updated_ns = now
        with contextlib.suppress(LslTimeoutError):
            correction_s = self._inlet.time_correction(timeout=0.2)
            # On Linux LSL's clock is the host's monotonic one, elsewhere it may differ.
            self._shift_ns = round((correction_s - pylsl.local_clock()) * 1e9) + now_ns()

    def host_ns(self, timestamp: float) -> int | None:
        """Return the host time of a stream's time; None before the first correction."""
        if self._shift_ns is None or not math.isfinite(timestamp):
            return None
        return round(timestamp * 1e9) + self._shift_ns


@contextlib.contextmanager
def _open_inlet(info: pylsl.StreamInfo) -> Iterator[pylsl.StreamInlet]:
    inlet = pylsl.StreamInlet(info, max_buflen=2, recover=False)
    try:
        yield inlet
    finally:
        with contextlib.suppress(RuntimeError):
            inlet.close_stream()


def _wait_for_info(inlet: pylsl.StreamInlet, is_stopped: Callable[[], bool]) -> pylsl.StreamInfo:
    """Fetch the description, which a resolved stream lacks, in short waits; raises LSL's timeout."""
    for _ in range(_OPEN_TRIES):
        with contextlib.suppress(LslTimeoutError):
            return inlet.info(timeout=0.5)
        if is_stopped():
            break
    raise LslTimeoutError


def _describe(info: pylsl.StreamInfo) -> LslDescription:
    """Read the description of a stream; `type` or `metatype` has a channel's type, as bridges write either."""
    channels = []
    node = info.desc().child("channels").child("channel")
    while not node.empty():
        kind = node.child_value("type") or node.child_value("metatype")
        channels.append(LslChannel(node.child_value("label"), kind, node.child_value("unit"), node.child_value("eye")))
        node = node.next_sibling("channel")
    is_text = info.channel_format() == pylsl.cf_string
    return LslDescription(info.name(), info.channel_count(), tuple(channels), is_text, _read_screen(info.desc()))


def _read_screen(desc: Any) -> tuple[float, float] | None:
    """Read the resolution of the tracker's screen, px."""
    for display in (desc.child("setup").child("display"), desc.child("display")):
        node = display.child("resolution_primary")
        try:
            size = float(node.child_value("X")), float(node.child_value("Y"))
        except ValueError:
            continue
        if all(1 <= side < MAX_PX for side in size):
            return size
    return None


def _is_alive(info: pylsl.StreamInfo) -> bool:
    """Whether a stream still answers."""
    return bool(pylsl.resolve_byprop("uid", info.uid(), timeout=0.8))


def _list_streams(before: str, streams: Iterable[pylsl.StreamInfo]) -> str:
    """List streams by name, type and host, in one order."""
    shown = sorted(f"{info.name()!r} ({info.type()}, {info.source_id()} at {info.hostname()})" for info in streams)
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    return before + ", ".join(shown[:_LISTED]) + more if shown else ""
