"""`gazecast run` in a process of its own, so that the demo measures what a user would get."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from engines import EngineError
from realtime.comms import HealthMessage
from realtime.config.schema import RunConfig
from realtime.errors import DemoError, SettingsError, SourceError, TransportError
from realtime.infra.progress import ProgressReporter
from realtime.session.run import run

STOP_S = 5.0


class RunProcess:
    """Starts the process on entering the `with` block; on leaving it the process has ended and its port is free."""

    def __init__(self, config: RunConfig, progress: ProgressReporter) -> None:
        self._progress = progress
        spawn = multiprocessing.get_context("spawn")  # a fork would take the simulator's sockets along
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(config, theirs), name="gazecast-demo", daemon=True)
        self._theirs = theirs

    def __enter__(self) -> RunProcess:
        with _deaf():
            self._process.start()
        self._theirs.close()  # so that its end is seen here
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pipe.close()  # which is what it stops at
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(STOP_S)

    def wait_until_ready(self, timeout_s: float) -> str:
        """The endpoint at which it publishes; progress is passed on. Raises `DemoError`."""
        while True:
            said = self._hear(timeout_s)
            if said is None:
                raise DemoError(f"the pipeline has said nothing for {timeout_s:.0f} s; try: gazecast doctor")
            if said[0] == "ready":
                return str(said[1])
            if said[0] == "page":
                self._progress.show_line(f"open {said[1]}")
            elif said[0] == "line":
                self._progress.show_line(said[1])
            elif said[0] == "bar":
                self._progress.show_bytes(*said[1])
            elif said[0] == "steps":
                self._progress.show_steps(*said[1])

    def check(self) -> None:
        """Raise `DemoError` if it has failed since."""
        while self._pipe.poll(0):
            self._hear(0)

    def _hear(self, timeout_s: float) -> tuple[str, Any] | None:
        try:
            if not self._pipe.poll(timeout_s):
                return None
            said: tuple[str, Any] = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(STOP_S)
            raise DemoError(f"the pipeline's process ended with exit code {self._process.exitcode}") from error
        if said[0] == "error":
            raise DemoError(said[1])
        return said


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """What is started meanwhile does not hear Ctrl-C, which a terminal sends to both: the one that waits ends both."""
    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _PipeView:
    """The view of a run whose user sits at the other end of a pipe; also its progress."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.progress: ProgressReporter = self

    def show_line(self, text: str) -> None:
        """Pass it on."""
        self.tell("line", text)

    def show_bytes(self, done: int, total: int, text: str) -> None:
        """Pass it on."""
        self.tell("bar", (done, total, text))

    def show_steps(self, done: int, total: int, text: str) -> None:
        """Pass it on."""
        self.tell("steps", (done, total, text))

    def on_page(self, address: str) -> None:
        """Pass it on."""
        self.tell("page", address)

    def on_ready(self, source: str, endpoint: str) -> None:
        """Say where to subscribe."""
        self.tell("ready", endpoint)

    def on_health(self, health: HealthMessage) -> None:
        """Say nothing: it is published."""

    def tell(self, kind: str, what: object) -> None:
        """Send; whoever has gone needs to hear no more."""
        with contextlib.suppress(OSError):
            self._pipe.send((kind, what))


def _serve(config: RunConfig, pipe: Connection) -> None:
    """What the process does: run until the other end of the pipe is closed."""
    view, stop = _PipeView(pipe), threading.Event()

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            pipe.recv()
        stop.set()

    threading.Thread(target=watch, name="demo watch", daemon=True).start()
    try:
        run(config, view, stop=stop)
    except (SettingsError, SourceError, TransportError, EngineError) as error:
        view.tell("error", str(error))
    except KeyboardInterrupt:
        pass  # the other end has heard it too, and will be gone
