"""The faults of device, network, engine, subscribers and machine."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from tests.faults.fault_stage import FaultStage
from tests.faults.injection import InjectedFault
from tests.faults.memory_limit import MemoryGroup
from tests.faults.tcp_proxy import NetworkFault

GROUP_BYTES = 64 << 20
KEYFRAME_REACH_NS = 3_000_000_000


def _network(name: str, fault: NetworkFault, cause: str, *, is_felt: bool = True) -> InjectedFault:
    return InjectedFault(
        name, cause, lambda stage: stage.set_network(fault), lambda stage: stage.set_network("none"), is_felt
    )


def _engine(name: str, cause: str, **options: Any) -> InjectedFault:
    return InjectedFault(
        name, cause, lambda stage: stage.set_engine(name), lambda stage: stage.set_engine(""), **options
    )


def _shows_motion(stage: FaultStage, begun_ns: int) -> bool:
    """Return whether masks come when the last keyframe is out of reach: carried by motion, or made of it."""
    return any(mask.mask is not None for mask in stage.run.masks(begun_ns + KEYFRAME_REACH_NS))


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


def _recording_size(stage: FaultStage) -> int:
    """Return the size of the newest file: without memory a recording may have continued in another one."""
    return max((file.stat() for file in stage.folder.glob("run*.mcap")), key=lambda stat: stat.st_mtime_ns).st_size


def _has_lost_recording(stage: FaultStage, begun_ns: int) -> bool:
    return any("recording has stopped" in health.reason for _, health in stage.run.health(begun_ns))


def _limit_group(stage: FaultStage) -> None:
    group = MemoryGroup()
    stage.closers.append(group.close)
    group.limit(stage.run.process.pid, GROUP_BYTES)


CAMERA_FAULTS = (_engine("camera-unplugged", "a camera of the machine is unplugged, and plugged in again"),)
FAULTS = (
    InjectedFault(
        "device-killed", "the device's program is killed, and started again with other ports",
        lambda stage: stage.device.kill(), FaultStage.restart_device,
    ),
    InjectedFault("camera-gone", "no frames, while gaze goes on", _set(sends_frames=False), _set(sends_frames=True)),
    InjectedFault("gaze-gone", "no gaze, while frames go on", _set(sends_gaze=False), _set(sends_gaze=True),
                  least_s=60.0),
    InjectedFault("clock-forward", "the device's clock is set 5 hours ahead", lambda s: s.device.shift_clock(18000),
                lambda stage: None, is_felt=False),
    InjectedFault("clock-back", "the device's clock is set back by 7 hours", lambda s: s.device.shift_clock(-25200),
                lambda stage: None, is_felt=False),
    _network("network-stalls", "stall", "the network stands still, and then delivers what waited"),
    InjectedFault("half-open", "bytes vanish on connections that stay open, until they are closed",
                lambda stage: stage.set_network("swallow"), _half_open),
    InjectedFault("connections-cut", "all connections are closed", FaultStage.cut_network, lambda stage: None,
                is_felt=False),
    _network("network-delays", "delay", "every piece is 0.3 s late", is_felt=False),
    _network("bytes-truncated", "truncate", "every twentieth piece of the stream is cut to half", is_felt=False),
    _network("bytes-doubled", "duplicate", "every twentieth piece of the stream comes twice", is_felt=False),
    _network("bytes-reordered", "reorder", "every twentieth piece of the stream is exchanged with the next",
             is_felt=False),
    _engine("encode-throws", "every encode of the engine fails"),
    _engine("encode-stuck", "an encode of the engine never returns", is_permanent=True),
    _engine("decode-throws", "every decode of the engine fails"),
    _engine("decode-nan", "the engine answers NaN"),
    _engine("decode-stuck", "a decode of the engine never returns", is_permanent=True),
    _engine("engine-broken", "the engine fails until it is opened anew", is_permanent=True),
    _engine("engine-gone", "no engine works or can be opened", awaits=_shows_motion),
    _engine("encode-hangs", "an encode of the engine does not return, nor that of any other engine"),
    InjectedFault("deaf-subscriber", "a subscriber of everything never reads", _subscribe_and_never_read,
                FaultStage.end_fault, is_felt=False),
    InjectedFault("hundred-subscribers", "a hundred subscribers come and go", _subscribe_often, FaultStage.end_fault,
                is_felt=False),
    InjectedFault("run-stopped", "the run's process is stopped by SIGSTOP, then continued",
                lambda stage: stage.run.process.send_signal(signal.SIGSTOP),
                lambda stage: stage.run.process.send_signal(signal.SIGCONT), is_felt=False, least_s=10.0),
    InjectedFault("memory-full", "the process may allocate nothing more",
                lambda stage: _limit(stage, resource.RLIMIT_AS, _address_space(stage)), _unlimit(resource.RLIMIT_AS),
                is_felt=False),
    InjectedFault("memory-limit", "the run's memory cgroup lets it allocate 64 MiB more", _limit_group,
                FaultStage.end_fault, is_felt=False),
    InjectedFault("clock-of-host", "the host's wall clock is set two hours ahead, and back",
                lambda stage: stage.set_engine("wall-clock-set"), lambda stage: stage.set_engine(""), is_felt=False),
    InjectedFault("disk-full", "the recording's file cannot grow",
                lambda stage: _limit(stage, resource.RLIMIT_FSIZE, _recording_size(stage)),
                _unlimit(resource.RLIMIT_FSIZE), is_lasting=True),
)  # fmt: skip


def _combine(name: str, *names: str, **options: Any) -> InjectedFault:
    """Let several faults begin, one right after the other, and end in the opposite order."""
    faults = [next(fault for fault in FAULTS if fault.name == each) for each in names]

    def begin(stage: FaultStage) -> None:
        for fault in faults:
            fault.begin(stage)

    def end(stage: FaultStage) -> None:
        for fault in reversed(faults):
            fault.end(stage)

    return InjectedFault(name, "at once: " + ", ".join(names), begin, end, **options)


COMBINED_FAULTS = (
    _combine("no-memory-stopped", "memory-full", "run-stopped", is_felt=False),
    _combine("engine-and-network", "encode-hangs", "network-stalls"),
    _combine("engine-and-clock", "decode-throws", "clock-back", "connections-cut", "deaf-subscriber"),
    _combine("device-disk-crowd", "device-killed", "disk-full", "hundred-subscribers",
             is_lasting=True, awaits=_has_lost_recording),
)  # fmt: skip
