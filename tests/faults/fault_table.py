"""The faults of a source and its network, and what each leaves behind."""

from __future__ import annotations

import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import zmq

from tests.faults import engine_faults
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

    def __init__(self, device: FaultyDevice, run: ObservedRun, proxies: list[TcpProxy], folder: Path) -> None:
        self.device, self.run, self._proxies, self.folder = device, run, proxies, folder
        self.closers: list[Callable[[], None]] = []  # that end a fault

    def set_engine(self, fault: str) -> None:
        """Set the fault of the engine; "" for none."""
        (self.folder / "fault").write_text(fault)

    def end_fault(self) -> None:
        """Call what the fault has left to be called."""
        while self.closers:
            self.closers.pop()()

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
    """Start a device and a run that records, and wait until masks come."""
    device = FaultyDevice()
    proxies = [TcpProxy(PROXY_HOST, port) for port in (device.port, device.publish_port)]
    with TemporaryDirectory(prefix="gazecast-faults-") as name:
        folder = Path(name)
        (folder / "fault").touch()
        flags = ["--record", str(folder / "run.mcap")]
        environment = {engine_faults.FILE: str(folder / "fault")}
        with ObservedRun(
            f"pupil://{PROXY_HOST}:{device.port}", flags, module="tests.faults.engine_faults", environment=environment
        ) as run:
            stage = FaultStage(device, run, proxies, folder)
            try:
                eventually(lambda: stage.is_healthy(run.started_ns) or run.process.poll() is not None, "a healthy run")
                assert run.process.poll() is None, run.output
                yield stage
            finally:
                stage.set_engine("")
                stage.end_fault()
                stage.close_network()
    device.kill()


@dataclass(frozen=True, slots=True)
class SourceFault:
    """Describes a fault of source or network: what begins it and what ends it.

    is_felt: whether `health` must be `degraded` while it lasts. is_lasting: whether it stays so, as of a recording that
    has ended.
    """

    name: str
    cause: str
    begin: Callable[[FaultStage], None]
    end: Callable[[FaultStage], None]
    is_felt: bool = True
    is_lasting: bool = False


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


def _subscribe_and_never_read(stage: FaultStage) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    deaf = context.socket(zmq.SUB)
    deaf.set(zmq.RCVHWM, 1)
    deaf.subscribe("")
    deaf.connect(stage.run.endpoint)
    stage.closers += [context.term, lambda: deaf.close(0)]


def _subscribe_often(stage: FaultStage) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        while not stop.wait(0.05):
            crowd = [context.socket(zmq.SUB) for _ in range(100)]
            for each in crowd:
                each.subscribe("")
                each.connect(stage.run.endpoint)
            stop.wait(0.3)
            for each in crowd:
                each.close(0)
        context.destroy(0)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    stage.closers += [thread.join, stop.set]


def _address_space(stage: FaultStage) -> int:
    pages = int(Path(f"/proc/{stage.run.process.pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _limit(stage: FaultStage, kind: int, size: int) -> None:
    resource.prlimit(stage.run.process.pid, kind, (size, resource.RLIM_INFINITY))


def _unlimit(kind: int) -> Callable[[FaultStage], None]:
    return lambda stage: _limit(stage, kind, resource.RLIM_INFINITY)


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
    *(SourceFault(name, cause, lambda stage, name=name: stage.set_engine(name), lambda stage: stage.set_engine(""))
      for name, cause in (
          ("encode-throws", "every encode of the engine fails"),
          ("encode-hangs", "an encode of the engine does not return"),
          ("decode-throws", "every decode of the engine fails"),
          ("decode-nan", "the engine answers NaN"),
      )),
    SourceFault("deaf-subscriber", "a subscriber of everything never reads", _subscribe_and_never_read,
                FaultStage.end_fault, is_felt=False),
    SourceFault("hundred-subscribers", "a hundred subscribers come and go", _subscribe_often, FaultStage.end_fault,
                is_felt=False),
    SourceFault("run-stopped", "the run's process is stopped by SIGSTOP, then continued",
                lambda stage: stage.run.process.send_signal(signal.SIGSTOP),
                lambda stage: stage.run.process.send_signal(signal.SIGCONT), is_felt=False),
    SourceFault("memory-full", "the process may allocate nothing more",
                lambda stage: _limit(stage, resource.RLIMIT_AS, _address_space(stage)), _unlimit(resource.RLIMIT_AS),
                is_felt=False),
    SourceFault("clock-of-host", "the host's wall clock is set two hours ahead, and back",
                lambda stage: stage.set_engine("wall-clock-set"), lambda stage: stage.set_engine(""), is_felt=False),
    SourceFault("disk-full", "the recording's file cannot grow",
                lambda stage: _limit(stage, resource.RLIMIT_FSIZE, (stage.folder / "run.mcap").stat().st_size),
                _unlimit(resource.RLIMIT_FSIZE), is_lasting=True),
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
    eventually(
        lambda: stage.find_fresh_mask(ended_ns) if fault.is_lasting else stage.is_healthy(ended_ns),
        f"recovery from {fault.name}",
    )
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
    assert fresh_ns is not None
    recovered_ns = fresh_ns if fault.is_lasting else max(fresh_ns, _find_running(stage, ended_ns))
    report.recovered_s = (recovered_ns - ended_ns) / 1e9
    masks = stage.run.masks(begun_ns)
    shown = {mask.frame.timestamp for mask in masks}
    report.lost = sum(
        ended_ns <= sent_ns <= recovered_ns and timestamp not in shown
        for timestamp, sent_ns in stage.device.sent_ns.items()
    )
    report.stale = count_stale(stage, begun_ns)
    return report


def _find_running(stage: FaultStage, since_ns: int) -> int:
    """Return when `health` was `running` again after the last `degraded`; `since_ns` where it was not degraded."""
    health = stage.run.health(since_ns)
    troubled_ns = max((at for at, message in health if message.state == "degraded"), default=0)
    return (
        next(at for at, message in health if at > troubled_ns and message.state == "running")
        if troubled_ns
        else since_ns
    )


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
