"""The faults of a source and its network, and what each leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.faults.device import FaultyDevice
from tests.faults.observed_run import ObservedRun
from tests.faults.tcp_proxy import NetworkFault, TcpProxy
from tests.realtime.waiting import eventually

PROXY_HOST = "127.0.0.2"
MAX_CLAIM_NS = 250_000_000
"""A mask whose `captured_ns` is later than its frame was sent by more is stale and shown as new."""


@dataclass(slots=True)
class FaultReport:
    """Holds what a fault did.

    states: of `health` while it lasted and after it, each with its reason. degraded_s: from its begin to the first
    `degraded`. recovered_s: from its end to the first mask of a later frame while `health` is `running`. lost: frames
    sent in between that have no mask. stale: masks that claim a later time than their frame has, or are out of order.
    """

    name: str
    cause: str
    states: list[str] = field(default_factory=list)
    degraded_s: float | None = None
    recovered_s: float | None = None
    lost: int = 0
    stale: int = 0


class FaultStage:
    """Holds a device, the network in front of it and a run that uses both."""

    def __init__(self, device: FaultyDevice, run: ObservedRun, proxies: list[TcpProxy]) -> None:
        self.device, self.run, self._proxies = device, run, proxies

    def set_network(self, fault: NetworkFault) -> None:
        """Set the fault of all connections between device and run."""
        for proxy in self._proxies:
            proxy.fault = fault

    def cut_network(self) -> None:
        """Close all connections between device and run."""
        for proxy in self._proxies:
            proxy.cut()

    def restart_device(self) -> None:
        """Open the device again at its address, with a network in front of its new feed."""
        self.device.restart()
        self._proxies.append(TcpProxy(PROXY_HOST, self.device.publish_port))

    def close_network(self) -> None:
        """Close the network."""
        for proxy in self._proxies:
            proxy.close()

    def is_healthy(self, since_ns: int) -> bool:
        """Return whether the newest health since then is `running`, and a mask of a frame sent since then arrived."""
        health = self.run.health(since_ns)
        return bool(health) and health[-1][1].state == "running" and self.find_fresh_mask(since_ns) is not None

    def find_fresh_mask(self, since_ns: int) -> int | None:
        """Find the arrival of the first mask, locked or preview, of a frame that was sent since a host time."""
        for each in self.run.arrivals:
            message = each.message
            if each.arrived_ns >= since_ns and hasattr(message, "mask") and message.mask is not None:
                sent_ns = self.device.sent_ns.get(message.frame.timestamp)
                if sent_ns is not None and sent_ns >= since_ns and message.state in ("locked", "preview"):
                    return each.arrived_ns
        return None


@contextmanager
def open_stage() -> Iterator[FaultStage]:
    """Start a device and a run, and wait until masks come."""
    device = FaultyDevice()
    proxies = [TcpProxy(PROXY_HOST, port) for port in (device.port, device.publish_port)]
    try:
        with ObservedRun(f"pupil://{PROXY_HOST}:{device.port}") as run:
            stage = FaultStage(device, run, proxies)
            try:
                eventually(lambda: stage.is_healthy(run.started_ns) or run.process.poll() is not None, "a healthy run")
                assert run.process.poll() is None, run.output
                yield stage
            finally:
                stage.close_network()
    finally:
        device.kill()


@dataclass(frozen=True, slots=True)
class SourceFault:
    """Describes a fault of source or network: what begins it and what ends it.

    is_felt: whether `health` must be `degraded` while it lasts.
    """

    name: str
    cause: str
    begin: Callable[[FaultStage], None]
    end: Callable[[FaultStage], None]
    is_felt: bool = True


def _network(name: str, fault: NetworkFault, cause: str, *, is_felt: bool = True) -> SourceFault:
    return SourceFault(
        name, cause, lambda stage: stage.set_network(fault), lambda stage: stage.set_network("none"), is_felt
    )


def _half_open(stage: FaultStage) -> None:
    stage.set_network("none")
    stage.cut_network()


def _set(**values: bool) -> Callable[[FaultStage], None]:
    def apply(stage: FaultStage) -> None:
        for name, value in values.items():
            setattr(stage.device, name, value)

    return apply


SOURCE_FAULTS = (
    SourceFault(
        "device-killed", "the device's program is killed, and started again with other ports",
        lambda stage: stage.device.kill(), FaultStage.restart_device,
    ),
    SourceFault("camera-gone", "no frames, while gaze goes on", _set(sends_frames=False), _set(sends_frames=True)),
    SourceFault("gaze-gone", "no gaze, while frames go on", _set(sends_gaze=False), _set(sends_gaze=True)),
    SourceFault("clock-forward", "the device's clock is set 5 hours ahead", lambda s: s.device.shift_clock(18000),
                lambda stage: None, is_felt=False),
    SourceFault("clock-back", "the device's clock is set back by 7 hours", lambda s: s.device.shift_clock(-25200),
                lambda stage: None, is_felt=False),
    _network("network-stalls", "stall", "the network stands still, and then delivers what waited"),
    SourceFault("half-open", "bytes vanish on connections that stay open, until they are closed",
                lambda stage: stage.set_network("swallow"), _half_open),
    SourceFault("connections-cut", "all connections are closed", FaultStage.cut_network, lambda stage: None,
                is_felt=False),
    _network("network-delays", "delay", "every piece is 0.3 s late", is_felt=False),
    _network("bytes-truncated", "truncate", "every twentieth piece of the stream is cut to half", is_felt=False),
    _network("bytes-doubled", "duplicate", "every twentieth piece of the stream comes twice", is_felt=False),
    _network("bytes-reordered", "reorder", "every twentieth piece of the stream is exchanged with the next",
             is_felt=False),
)  # fmt: skip


def inject_fault(stage: FaultStage, fault: SourceFault, lasts_s: float) -> FaultReport:
    """Let a fault begin, last for a time and end, and wait until the run is healthy again."""
    healthy_ns = time.monotonic_ns()
    eventually(lambda: stage.is_healthy(healthy_ns), f"a healthy run before {fault.name}")
    begun_ns = time.monotonic_ns()
    fault.begin(stage)
    if fault.is_felt:
        eventually(lambda: _first_degraded(stage, begun_ns) is not None, f"degraded by {fault.name}")
    while time.monotonic_ns() < begun_ns + round(lasts_s * 1e9):
        time.sleep(0.01)
    ended_ns = time.monotonic_ns()
    fault.end(stage)
    eventually(lambda: stage.is_healthy(ended_ns), f"recovery from {fault.name}")
    return _report(stage, fault, begun_ns, ended_ns)


def _first_degraded(stage: FaultStage, since_ns: int) -> int | None:
    return next((at for at, health in stage.run.health(since_ns) if health.state == "degraded"), None)


def _report(stage: FaultStage, fault: SourceFault, begun_ns: int, ended_ns: int) -> FaultReport:
    report = FaultReport(fault.name, fault.cause)
    for _, health in stage.run.health(begun_ns):
        text = health.state + (f" ({health.reason})" if health.reason else "")
        if text not in report.states[-1:]:
            report.states.append(text)
    degraded_ns = _first_degraded(stage, begun_ns)
    report.degraded_s = None if degraded_ns is None else (degraded_ns - begun_ns) / 1e9
    fresh_ns = stage.find_fresh_mask(ended_ns)
    troubled_ns = max((at for at, health in stage.run.health(ended_ns) if health.state == "degraded"), default=ended_ns)
    running_ns = next(at for at, health in stage.run.health(troubled_ns) if health.state == "running")
    assert fresh_ns is not None
    recovered_ns = max(fresh_ns, running_ns if troubled_ns > ended_ns else fresh_ns)
    report.recovered_s = (recovered_ns - ended_ns) / 1e9
    masks = stage.run.masks(begun_ns)
    shown = {mask.frame.timestamp for mask in masks}
    report.lost = sum(
        ended_ns <= sent_ns <= recovered_ns and timestamp not in shown
        for timestamp, sent_ns in stage.device.sent_ns.items()
    )
    report.stale = count_stale(stage, begun_ns)
    return report


def count_stale(stage: FaultStage, since_ns: int) -> int:
    """Count masks that claim a later capture than their frame's, come twice or are older than the one before."""
    stale, newest_ns = 0, 0
    for mask in stage.run.masks(since_ns):
        sent_ns = stage.device.sent_ns.get(mask.frame.timestamp)
        if sent_ns is None:
            continue
        stale += mask.captured_ns > sent_ns + MAX_CLAIM_NS or sent_ns <= newest_ns
        newest_ns = max(newest_ns, sent_ns)
    return stale
