"""Gaze of the Lab Streaming Layer over the real library: streams that come late, restart, change and send nonsense."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from realtime.errors import SourceError
from realtime.infra.clock import now_ns
from realtime.session.inputs import open_gaze
from realtime.sources.lsl import gaze_stream
from realtime.types import GazeSample, GazeSource, SourceStatus
from tests.realtime.lsl_network import XY, Outlet, outlet, unique
from tests.realtime.waiting import eventually, promptly

WITH_CONFIDENCE = (*XY, ("confidence", "Confidence", "normalized"))


class Eyes:
    """A gaze source and what it gave."""

    def __init__(self, spec: str) -> None:
        self.samples: list[GazeSample] = []
        self.events: list[SourceStatus] = []
        self.source: GazeSource = open_gaze(spec)
        self.source.start(self.samples.append, self.events.append)

    def sees(self, opened: Outlet, *values: float, at_s: float | None = None) -> GazeSample:
        """Send a sample repeatedly until one with this x arrives; what is sent before a subscriber is there is lost."""
        before = len(self.samples)

        def sent() -> bool:
            opened.send(*values, at_s=at_s)
            threading.Event().wait(0.005)
            return any(sample.x == values[0] for sample in self.samples[before:])

        eventually(sent, f"gaze at {values}")
        return self.samples[-1]

    def waits(self, reason: str, state: str = "connecting") -> None:
        """Wait for a state and a part of its reason."""

        def reached() -> bool:
            found = self.source.status()
            return found.state == state and reason in found.reason

        try:
            eventually(reached)
        except AssertionError:
            raise AssertionError(f"not {state}: {reason}, but {self.source.status()}") from None


@pytest.fixture
def eyes() -> Iterator[Callable[[str], Eyes]]:
    opened: list[Eyes] = []

    def open_at(spec: str) -> Eyes:
        opened.append(Eyes(spec))
        return opened[-1]

    yield open_at
    for each in opened:
        each.source.stop()


def test_a_stream_that_comes_late_and_returns_with_another_description(eyes: Callable[[str], Eyes]) -> None:
    name = unique("late")
    watched = eyes(f"lsl:{name}")
    watched.waits(f"an LSL stream of name {name!r} is not there; start the tracker's LSL outlet")
    with outlet(name, WITH_CONFIDENCE, key="metatype") as opened:
        sample = watched.sees(opened, 320, 100, 0.5)
        assert (sample.unit, sample.x, sample.y, sample.confidence) == ("px", 320, 100, 0.5)
        # After the first moments LSL has measured the clock, and capture is not arrival.
        eventually(lambda: watched.sees(opened, 320, 100, 0.5, at_s=None).captured_ns <= now_ns())
    watched.waits("is not there")
    again = (("norm_pos_x", "ScreenX", "normalized"), ("norm_pos_y", "ScreenY", "normalized"))
    with outlet(name, again) as opened:
        sample = watched.sees(opened, 0.25, 0.125)
        assert (sample.unit, sample.x, sample.y, sample.confidence) == ("norm", 0.25, 0.875, 1)
    states = [event.state for event in watched.events]
    assert states.count("running") == 2
    missing = {event.reason for event in watched.events if event.state == "connecting"}
    assert len({reason.partition(";")[0] for reason in missing}) == 1, missing


def test_times_are_those_of_the_capture(eyes: Callable[[str], Eyes]) -> None:
    name = unique("times")
    watched = eyes(f"lsl:name={name}")
    with outlet(name, XY) as opened:
        watched.sees(opened, 1, 1)

        def is_measured() -> bool:
            sent_ns = now_ns()
            opened.send(2, 2, age_s=5)
            eventually(lambda: watched.samples[-1].x == 2)
            sample = watched.samples[-1]
            opened.send(3, 3)
            eventually(lambda: watched.samples[-1].x == 3)
            return abs(sample.captured_ns + 5_000_000_000 - sent_ns) < 1_000_000_000

        eventually(is_measured, "a capture time 5 s before the arrival")


def test_a_clock_that_is_not_lsls_is_named(eyes: Callable[[str], Eyes]) -> None:
    name = unique("unix")
    watched = eyes(f"lsl:{name}")
    with outlet(name, XY) as opened:

        def is_named() -> bool:
            opened.send(5, 5, at_s=1.7e9)
            return "not on LSL's clock" in watched.source.status().reason

        eventually(is_named)
        sample = watched.sees(opened, 6, 6, at_s=1.7e9)
        assert (sample.captured_ns, sample.timestamp) == (sample.received_ns, 1.7e9)
        assert watched.source.status().state == "running"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a stream that is found late on a busy machine the time to be counted among the others."""
    monkeypatch.setattr(gaze_stream, "SETTLE_NS", 3_000_000_000)
    monkeypatch.setattr(gaze_stream, "SEARCH_NS", 20_000_000_000)


@pytest.mark.usefixtures("patient")
def test_of_several_streams_one_must_be_named(eyes: Callable[[str], Eyes]) -> None:
    kind, name = unique("kind"), unique("twin")
    with outlet(name, XY, kind=kind, source_id="left-1") as left, outlet(unique("other"), XY, kind=kind):
        watched = eyes(f"lsl:type={kind.upper()}")
        watched.waits(f"2 streams match an LSL stream of type {kind.upper()!r}: ")
        watched.waits("name one: lsl:name=NAME")
        assert watched.samples == []
        assert "left-1" in watched.source.status().reason
        specs = f"lsl:{name}", f"lsl:type={kind}&name={name}", f"lsl:?source_id=left-1&type={kind}"
        for each in [eyes(spec) for spec in specs]:
            each.sees(left, 7, 8)


@pytest.mark.usefixtures("patient")
def test_when_the_other_stream_ends_the_choice_is_clear(eyes: Callable[[str], Eyes]) -> None:
    kind = unique("kind")
    with outlet(unique("stays"), XY, kind=kind) as stays:
        with outlet(unique("ends"), XY, kind=kind):
            watched = eyes(f"lsl:type={kind}")
            watched.waits("2 streams match")
        watched.sees(stays, 1, 2)


REFUSED: list[tuple[object, dict[str, object], str, str]] = [
    ((("C3", "EEG", "uV"), ("C4", "EEG", "uV")), {}, "", "has no gaze channels; it has C3 (EEG, uV), C4 (EEG, uV)"),
    (XY, {"count": 3}, "", "describes 2 channels and sends 3"),
    ((("x", "ScreenX", "degrees"), ("y", "ScreenY", "degrees")), {}, "", "is in 'degrees'"),
    ((("x", "ScreenX", "mm"), ("y", "ScreenY", "mm")), {}, "", "add the size of the screen, mm"),
    (XY, {"form": "string"}, "", "sends text, no gaze"),
    (XY, {}, "?x=gaze&y=y", "has no channel 'gaze'; it has x, y"),
]


def test_streams_without_usable_gaze_are_refused_until_others_come(eyes: Callable[[str], Eyes]) -> None:
    names = [unique("refused") for _ in REFUSED]
    with ExitStack() as stack:
        for name, (channels, fields, _, _) in zip(names, REFUSED, strict=True):
            stack.enter_context(outlet(name, channels, **fields))
        watched = [eyes(f"lsl:{name}{refused[2]}") for name, refused in zip(names, REFUSED, strict=True)]
        for each, (_, _, _, reason) in zip(watched, REFUSED, strict=True):
            each.waits(reason)
    with outlet(names[0], XY) as opened:
        watched[0].sees(opened, 1, 2)


def test_what_a_stream_does_not_say_is_added(eyes: Callable[[str], Eyes]) -> None:
    bare, screen = unique("bare"), unique("screen")
    with outlet(bare, (), count=4) as undescribed, outlet(screen, XY, size=("1920", "1080")) as described:
        watched = [eyes(f"lsl:{bare}?x=1&y=2&size=200x100&unit=mm&origin=bottom"), eyes(f"lsl:{screen}")]

        def arrive() -> bool:
            undescribed.send(9, 50, 25, 9)
            described.send(480, 810)
            return all(each.samples for each in watched)

        eventually(arrive)
        for each in watched:
            assert (each.samples[0].unit, each.samples[0].x, each.samples[0].y) == ("norm", 0.25, 0.75)


def test_nonsense_ends_nothing_and_is_counted(eyes: Callable[[str], Eyes]) -> None:
    name = unique("nonsense")
    with outlet(name, XY) as opened:
        watched = eyes(f"lsl:{name}")

        def is_counted() -> bool:
            opened.send(math.nan, 1)
            opened.send(1e30, 1)
            opened.send(math.inf, -math.inf)
            dropped = watched.source.status().dropped
            return "no position" in dropped and "position" in dropped

        eventually(is_counted)
        assert all(sample.confidence == 0 for sample in watched.samples if sample.x > 1e7)
        assert watched.sees(opened, 3, 4).confidence == 1
        opened.send(math.nan, math.nan)
        eventually(lambda: watched.samples[-1].confidence == 0)
        assert (watched.samples[-1].x, watched.samples[-1].y) == (3, 4)


def test_a_silent_stream_is_waited_for(eyes: Callable[[str], Eyes]) -> None:
    name = unique("silent")
    with outlet(name, XY) as opened:
        watched = eyes(f"lsl:{name}")
        watched.waits(f"the LSL stream {name!r} is there, but sends no samples", "waiting")
        watched.sees(opened, 1, 2)
        assert watched.source.status().state == "running"


def test_a_sender_that_returns_with_the_same_id(eyes: Callable[[str], Eyes]) -> None:
    name = unique("again")
    watched = eyes(f"lsl:{name}")
    for number in (1, 2):
        with outlet(name, source_id="same id") as opened:
            watched.sees(opened, number, number)
    watched.waits("is not there")


@pytest.mark.parametrize("spec", ["lsl:", "lsl:never there"])
def test_stops_promptly_while_it_looks_for_a_stream(spec: str) -> None:
    source = open_gaze(spec)
    source.stop()
    source = open_gaze(spec)
    source.start(lambda sample: None)
    with promptly():
        source.stop()
        source.stop()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lsl:name=a&x=1", "names one of x and y"),
        ("lsl:a?unit=deg", "unit is 'deg'; expected px, norm, mm"),
        ("lsl:a?size=big", "size is 'big'; expected WIDTHxHEIGHT"),
        ("lsl:a?size=0x5", "size is '0'; expected a number of 1 to"),
        ("lsl:a?origin=left", "origin is 'left'; expected top, bottom"),
        ("lsl:a?uid=1", "unknown option 'uid'; expected name, type"),
    ],
)
def test_wrong_options(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_gaze(spec)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "realtime.sources.lsl.gaze_stream", raising=False)
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(SourceError, match=r"needs pylsl, which is not installed: pip install -e '.\[lsl\]'"):
        open_gaze("lsl:")
