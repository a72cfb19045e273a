"""Runs the bridge to Project Aria's client in a process of its own, and again after a crash."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, Protocol

from realtime.infra.clock import ArrivalClock, now_ns
from realtime.infra.output import escape_controls
from realtime.sources.aria.messages import BridgeError, BridgeMessage, read_message
from realtime.types import SourceState

FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0
GOOD_NS = 5_000_000_000
"""A process that lived as long has not failed at the start: the next pause is short again."""
REPLAY_TRIES = 3
"""A recording at which the client crashes so often in a row is damaged."""
_MAX_ARRIVAL_NS = 5_000_000_000
MAX_LINES = 64
_COLOURS, _FAULT = re.compile(rb"\x1b\[[0-9;]*m"), re.compile("error|fatal|fail|exception", re.IGNORECASE)
_HIDDEN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
_END_S = 0.4


class BridgeConsumer(Protocol):
    """A source that shares the process with another."""

    def on_message(self, message: BridgeMessage, arrived_ns: int, clock: ArrivalClock) -> None:
        """Handle data; raises `BridgeError` for a message that cannot be used."""

    def on_state(self, state: SourceState, reason: str) -> None:
        """Handle a change of the process's state."""


class BridgeProcess:
    """A process that sources of frames and of gaze share; it runs while one of them does.

    Messages are handed on by one thread. A crash is reported, and the process is started again after a pause that
    doubles.
    """

    def __init__(self, command: Sequence[str], *, is_replay: bool) -> None:
        """command: the interpreter, the bridge and its arguments."""
        self._command, self._is_replay = list(command), is_replay
        self._lock = threading.Lock()
        self._consumers: list[BridgeConsumer] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._clock = ArrivalClock()

    def attach(self, consumer: BridgeConsumer) -> None:
        """Add a consumer, and start with the first."""
        with self._lock:
            self._consumers.append(consumer)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="aria bridge", daemon=True)
                self._thread.start()

    def detach(self, consumer: BridgeConsumer) -> None:
        """Remove a consumer, and stop with the last, within a second."""
        with self._lock:
            self._consumers = [other for other in self._consumers if other is not consumer]
            if self._consumers or self._thread is None:
                return
            self._stop.set()
            process, thread = self._process, self._thread
        if process is not None:
            _end(process)
        thread.join(0.5)

    def _run(self) -> None:
        pause_s, failures = FIRST_PAUSE_S, 0
        while not self._stop.is_set():
            begun_ns = now_ns()
            state, reason, had_data = self._run_once()
            if self._stop.is_set():
                return
            failures = 0 if had_data else failures + 1
            if self._is_replay and state == "connecting" and failures == REPLAY_TRIES:
                state, reason = "failed", f"{reason}; is the recording damaged?"
            self._tell(state, reason)
            if state != "connecting":
                return
            if now_ns() - begun_ns > GOOD_NS:
                pause_s = FIRST_PAUSE_S
            self._stop.wait(pause_s)
            pause_s = min(MAX_PAUSE_S, 2 * pause_s)

    def _run_once(self) -> tuple[SourceState, str, bool]:
        """Run the process to its end; returns the state after it, its reason, and whether it sent data."""
        environment = {name: text for name, text in os.environ.items() if name not in _HIDDEN}
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(  # noqa: S603
                self._command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
            )
        except OSError as error:
            return "failed", f"cannot run {self._command[0]}: {error.strerror or error}", False
        with self._lock:
            self._process = process
            is_stopped = self._stop.is_set()
        if is_stopped:
            _end(process)
        self._clock = ArrivalClock()
        printed: deque[str] = deque(maxlen=MAX_LINES)
        assert process.stdout is not None and process.stderr is not None  # noqa: PT018
        reader = threading.Thread(target=_collect, args=(process.stderr, printed), daemon=True)
        reader.start()
        note, had_data = "", False
        try:
            while True:
                message = read_message(process.stdout.read)
                if message.kind == "end":
                    return "ended", "", had_data
                if message.kind == "failed":
                    return "failed", message.text, had_data
                if message.kind == "note":
                    note = message.text
                    self._tell("waiting" if had_data else "connecting", note)
                    continue
                had_data |= message.kind in ("frame", "gaze")
                self._hand_on(message)
        except EOFError:
            _end(process)
            reader.join(0.5)  # for the last line that it printed
            return "connecting", note or _describe_end(process.returncode, printed), had_data
        except BridgeError as error:
            return "connecting", f"the process of Project Aria's client does not work: {error}", had_data
        finally:
            _end(process)
            reader.join(0.5)
            process.stdout.close()

    def _hand_on(self, message: BridgeMessage) -> None:
        arrived_ns = now_ns()
        sent_ns = message.fields.get("received_ns")  # by the same clock, in the other process
        if type(sent_ns) is int and 0 <= arrived_ns - sent_ns < _MAX_ARRIVAL_NS:
            arrived_ns = sent_ns
        with self._lock:
            consumers = list(self._consumers)
        for consumer in consumers:
            consumer.on_message(message, arrived_ns, self._clock)

    def _tell(self, state: SourceState, reason: str) -> None:
        with self._lock:
            consumers = list(self._consumers)
        for consumer in consumers:
            consumer.on_state(state, reason)


def _collect(stream: IO[bytes], lines: deque[str]) -> None:
    """Collect what the process prints, so that it never waits for a reader."""
    with contextlib.suppress(OSError, ValueError), stream:
        for line in stream:
            if text := _COLOURS.sub(b"", line).decode("utf-8", "replace").strip():
                lines.append(escape_controls(text[:200]))


def _describe_end(code: int | None, printed: Sequence[str]) -> str:
    """Describe how the process ended, with the line that it printed about it: the first about a fault, or the last."""
    how = f"exit code {code}"
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            how = f"signal {-code}, {signal.Signals(-code).name}"
    line = next((text for text in printed if _FAULT.search(text)), printed[-1] if printed else "")
    return f"the process of Project Aria's client has crashed ({how})" + (f": {line}" if line else "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process: ask it by closing its input, then kill it."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
