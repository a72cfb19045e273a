"""A run as a process of its own, and all masks and health messages that it published."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq

from realtime.comms.messages import HealthMessage, MaskMessage, read_message

STOP_S = 20.0


def find_free_port() -> int:
    """Find a port that nothing listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Arrival:
    """Holds a message and the host time of its arrival."""

    arrived_ns: int
    message: MaskMessage | HealthMessage


class ObservedRun:
    """Runs `gazecast run` in a `with` block, with the fake engine by default, and reads its masks and health."""

    def __init__(
        self,
        source: str,
        flags: Sequence[str] = (),
        *,
        engine: str = "fake",
        module: str = "realtime",
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        """module: the entry point. wrapper: a command that starts the program, such as `prlimit`."""
        self.endpoint = f"tcp://127.0.0.1:{find_free_port()}"
        self._command = [
            *wrapper, sys.executable, "-m", module, "run", "--engine", engine, "--json",
            "--source", source, "--publish", self.endpoint, *flags,
        ]  # fmt: skip
        self._environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
        self._arrivals: list[Arrival] = []
        self._closing = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def __enter__(self) -> ObservedRun:
        self.started_ns = time.monotonic_ns()
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            cwd=Path(__file__).parents[2], start_new_session=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._closing.set()
        self._thread.join()
        self._context.term()
        self._printed = self.output
        self._log.close()

    @property
    def output(self) -> str:
        """All that it has printed."""
        if self._log.closed:
            return self._printed
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    @property
    def arrivals(self) -> list[Arrival]:
        """All messages until now."""
        return list(self._arrivals)

    def masks(self, since_ns: int = 0) -> list[MaskMessage]:
        """List the `mask` messages that arrived since a host time."""
        return [
            each.message
            for each in self.arrivals
            if each.arrived_ns >= since_ns and isinstance(each.message, MaskMessage)
        ]

    def health(self, since_ns: int = 0) -> list[tuple[int, HealthMessage]]:
        """List the `health` messages that arrived since a host time, with their times."""
        return [
            (each.arrived_ns, each.message)
            for each in self.arrivals
            if each.arrived_ns >= since_ns and isinstance(each.message, HealthMessage)
        ]

    def _listen(self) -> None:
        socket_ = self._context.socket(zmq.SUB)
        for topic in ("mask", "health"):
            socket_.subscribe(topic)
        socket_.connect(self.endpoint)
        while not self._closing.is_set():
            if not socket_.poll(50):
                continue
            topic, _, payload = socket_.recv().partition(b"\0")
            message = read_message(topic.decode(), payload)
            assert isinstance(message, MaskMessage | HealthMessage)
            self._arrivals.append(Arrival(time.monotonic_ns(), message))
        socket_.close(0)
