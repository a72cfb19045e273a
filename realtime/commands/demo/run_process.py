"""Runs `gazecast run --json` as a process of its own, so that the demo measures a real run."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from realtime.comms.messages import HealthMessage
from realtime.config.schema import RunConfig, to_toml
from realtime.errors import DemoError
from realtime.infra.progress import ProgressReporter

STOP_S = 5.0


class RunProcess:
    """A child process that runs the pipeline within a `with` block; after it its port is free.

    The child ignores Ctrl-C, which a terminal sends to both: it ends when the block does. If this process is killed,
    the child ends with its next health message, whose pipe is closed.
    """

    def __init__(self, config: RunConfig, progress: ProgressReporter, flags: Sequence[str] = ()) -> None:
        """flags: of `gazecast run`, beside the configuration."""
        self._config, self._progress, self._flags = config, progress, flags
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self.health: HealthMessage | None = None
        """The newest health message."""

    def __enter__(self) -> RunProcess:
        self._folder = tempfile.TemporaryDirectory(prefix="gazecast-run-")
        settings = Path(self._folder.name) / "run.toml"
        settings.write_text(to_toml(self._config), encoding="utf-8")
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and entry point
            [sys.executable, "-m", "realtime", "run", "--json", "--config", str(settings), *self._flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
            errors="replace", start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, name="demo output", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until the engine is open, reporting progress; raises `DemoError`."""
        deadline_s = time.monotonic() + timeout_s
        while self.health is None or self.health.state in ("starting", "preparing"):
            try:
                self._handle(self._lines.get(timeout=max(0.0, deadline_s - time.monotonic())))
            except queue.Empty:
                raise DemoError(f"the pipeline was not ready within {timeout_s:.0f} s; try: gazecast doctor") from None

    def check(self) -> None:
        """Read the lines that the process has printed; raises `DemoError` if it has ended."""
        while not self._lines.empty():
            self._handle(self._lines.get())

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line.rstrip())
        self._lines.put(None)

    def _handle(self, line: str | None) -> None:
        if line is None:
            code = self._process.wait(STOP_S)
            reason = self._errors[-1] if self._errors else f"the pipeline's process ended with exit code {code}"
            raise DemoError(reason.removeprefix("gazecast: "))
        if line.startswith("{"):
            self.health = HealthMessage.from_fields(json.loads(line))
        elif line.startswith("gazecast: "):
            self._errors.append(line)
        elif line:
            self._progress.show_line(line)
