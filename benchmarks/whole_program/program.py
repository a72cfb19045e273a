"""Starts a device, a run and its peers as processes, and samples the run. Linux: it reads /proc."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from realtime.comms.messages import HealthMessage, read_message

START_S = 120.0
MIB = 2**20


def end_process(process: subprocess.Popen[str]) -> None:
    """End a process, by force where it has not ended within ten seconds."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class ProgramLoad:
    """Holds what a run is exposed to: size of pictures, rates, and numbers of subscribers and viewers."""

    size: str = "320x240"
    frames_hz: float = 10.0
    gaze_hz: float = 60.0
    prompt: int = 2
    slow: int = 1
    deaf: int = 0
    viewers: int = 1


@dataclass(frozen=True)
class ProcessUse:
    """Holds memory in MiB, threads, open files and used CPU time in s of a process.

    rss_mib: all resident memory. anon_mib: what the process allocated; the rest of the RSS are pages of files, such as
    libraries, which the system drops and reads again as it likes. pss_mib: the RSS, with shared pages divided by the
    number of their users.
    """

    rss_mib: float
    anon_mib: float
    pss_mib: float | None
    threads: int
    handles: int
    cpu_s: float


def measure_process(pid: int) -> ProcessUse:
    """Read a process's use; PSS is None where it cannot be read."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    pss = None
    with contextlib.suppress(OSError, StopIteration):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        pss = int(next(line for line in rollup if line.startswith("Pss:")).split()[1]) / 1024
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    cpu_s = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    handles = len(os.listdir(f"/proc/{pid}/fd"))
    rss_mib, anon_mib = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))
    return ProcessUse(rss_mib, anon_mib, pss, int(status["Threads"]), handles, cpu_s)


@dataclass
class LineReader:
    """Reads lines of a process's output on a thread, and keeps the last ones."""

    process: subprocess.Popen[str]
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=300))
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip())
                self.changed.notify_all()

    def wait_for(self, prefix: str) -> str:
        """Wait for a line that begins so; `SystemExit` with the last lines when it does not come."""
        until = time.monotonic() + START_S
        with self.changed:
            while time.monotonic() < until and (self.process.poll() is None or self.lines):
                for line in self.lines:
                    if line.startswith(prefix):
                        return line
                self.changed.wait(0.5)
        raise SystemExit(f"{prefix!r} was not printed:\n" + "\n".join(self.lines))

    def pop_json(self) -> list[Any]:
        """Return the JSON of all lines since the last call."""
        with self.changed:
            lines, self.lines = list(self.lines), deque(maxlen=300)
        return [json.loads(line) for line in lines if line.startswith(("{", "["))]


class WholeProgram:
    """A device, a run with its live page, and peers; `health` is the newest message of it."""

    def __init__(self, run: LineReader, device: LineReader, peers: LineReader, endpoint: str) -> None:
        self.run, self.device, self.peers = run, device, peers
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.subscribe("health\0")
        self._socket.connect(endpoint)
        self.health: HealthMessage | None = None

    def measure(self) -> ProcessUse:
        """Measure the run's process, and read its newest health."""
        with contextlib.suppress(zmq.Again):
            while True:
                message = read_message("health", self._socket.recv(zmq.NOBLOCK).partition(b"\0")[2])
                assert isinstance(message, HealthMessage)
                self.health = message
        if self.run.process.poll() is not None:
            raise SystemExit("the run has ended:\n" + "\n".join(list(self.run.lines)[-5:]))
        return measure_process(self.run.process.pid)


@contextlib.contextmanager
def start_program(load: ProgramLoad, flags: Sequence[str] = ("--engine", "fake")) -> Iterator[WholeProgram]:
    """Start all processes, wait until the page is served, and end them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    with contextlib.ExitStack() as stack:
        rates = ["--size", load.size, "--frames-hz", str(load.frames_hz), "--gaze-hz", str(load.gaze_hz)]
        device = _start(stack, "benchmarks.whole_program.device", *rates)
        while not device.lines:
            with device.changed:
                device.changed.wait(0.5)
            if device.process.poll() is not None:
                raise SystemExit("the device did not start")
        run = _start(
            stack, "realtime", "run", *flags, "--source", f"pupil://127.0.0.1:{device.lines[0]}", "--publish", endpoint,
            "--view", "--json", "--set", "view.port=0",
        )  # fmt: skip
        address = run.wait_for("open http").split()[1]
        counts = [f"--{kind}={getattr(load, kind)}" for kind in ("prompt", "slow", "deaf", "viewers")]
        peers = _start(stack, "benchmarks.whole_program.peers", "--endpoint", endpoint, "--page", address, *counts)
        yield WholeProgram(run, device, peers, endpoint)


def _start(stack: contextlib.ExitStack, module: str, *args: str) -> LineReader:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    stack.callback(end_process, process)
    return LineReader(process)
