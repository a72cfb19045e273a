"""Ends runs by signals in every state, and measures how long that takes and what is left."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from realtime.recording.reader import RecordingReader
from tests.faults.device import FaultyDevice
from tests.faults.engine_faults import FILE
from tests.faults.memory_limit import MemoryGroup
from tests.faults.observed_run import ObservedRun, find_free_port
from tests.realtime.waiting import eventually


@dataclass(frozen=True, slots=True)
class EndReport:
    """Holds how a run ended.

    took_s: from the signal to the end of the process. is_port_free: whether its port can be bound again at once.
    frames_lost: sent and received, but not in the recording; None without one. is_complete: whether it was closed.
    """

    state: str
    signal: str
    took_s: float
    exit_code: int
    is_port_free: bool
    frames_lost: int | None = None
    is_complete: bool | None = None


def _is_waiting(run: ObservedRun) -> bool:
    return any("frames: none yet" in health.reason for _, health in run.health() if health.state == "degraded")


def _is_running(run: ObservedRun) -> bool:
    return len(run.masks()) > 5


def _has_recorded(run: ObservedRun) -> bool:
    return len(run.masks()) > 30


def _is_degraded(run: ObservedRun) -> bool:
    return any(health.state == "degraded" for _, health in run.health()[-1:])


STATES: dict[str, Callable[[ObservedRun], bool]] = {
    "started": lambda run: True, "open": lambda run: bool(run.health()), "waiting for its device": _is_waiting,
    "running": _is_running, "recording": _has_recorded, "degraded": _is_running, "engine hangs": _is_running,
    "stopped": _is_running, "engine hangs, stopped": _is_running,
}  # fmt: skip
"""The states in which a run is ended, and when it is in them, or can be brought into them."""
MEMORY_LIMIT = "memory limit"
"""In place of a signal: a memory cgroup, in which the kernel kills the run."""
KILL_BYTES = 1 << 20


def end_run(state: str, number: signal.Signals | str, folder: Path) -> EndReport:
    """Start a run, send it a signal in a state, and wait for its end.

    number: `MEMORY_LIMIT` for a limit; raises `OSError` where this user may not set one.
    """
    name = number if isinstance(number, str) else number.name
    fault = folder / "fault"
    fault.write_text("")
    device = None if state == "waiting for its device" else FaultyDevice()
    port = find_free_port() if device is None else device.port
    recording = folder / f"{state}-{name}.mcap" if state == "recording" else None
    flags = ["--record", str(recording)] if recording is not None else []
    environment = {FILE: str(fault)}
    try:
        with (
            ObservedRun(
                f"pupil://127.0.0.1:{port}", flags, module="tests.faults.engine_faults", environment=environment
            ) as run,
            ExitStack() as stack,
        ):
            eventually(lambda: STATES[state](run) or run.process.poll() is not None, f"a run that is {state}")
            assert run.process.poll() is None, run.output
            _bring_into(state, run, device, fault)
            sent_ns = time.monotonic_ns()
            if isinstance(number, str):
                group = MemoryGroup()
                stack.callback(group.close)
                group.limit(run.process.pid, KILL_BYTES)
            else:
                run.process.send_signal(number)
            if "stopped" in state and number == signal.SIGTERM:  # which it receives when it is continued
                run.process.send_signal(signal.SIGCONT)
            code = run.process.wait(60)
            took_s = (time.monotonic_ns() - sent_ns) / 1e9
            is_free = _is_free(run.endpoint)
        newest = max((mask.frame.index for mask in run.masks()), default=0)
    finally:
        if device is not None:
            device.kill()
    if recording is None:
        return EndReport(state, name, took_s, code, is_free)
    reader = RecordingReader(recording)
    kept = [frame.index for frame in reader.read_frames()]
    return EndReport(state, name, took_s, code, is_free, max(0, newest - kept[-1]), reader.complete)


def _bring_into(state: str, run: ObservedRun, device: FaultyDevice | None, fault: Path) -> None:
    """Bring a run that works into a state in which it does not."""
    if "engine hangs" in state:
        fault.write_text("encode-hangs")
    elif state == "degraded" and device is not None:
        device.sends_frames = False
    if state == "degraded" or "engine hangs" in state:
        eventually(lambda: _is_degraded(run), f"a run whose state is {state}")
    if "stopped" in state:
        run.process.send_signal(signal.SIGSTOP)


def _is_free(endpoint: str) -> bool:
    try:
        socket.create_server(("127.0.0.1", int(endpoint.rpartition(":")[2]))).close()
    except OSError:
        return False
    return True
