"""The demo: a simulated device, the pipeline, and a subscriber that draws, over real sockets. Read this first."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from engines import weights
from realtime.commands.demo import clip, scripted_gaze
from realtime.commands.demo.received import ReceivedMasks
from realtime.commands.demo.report import DemoResult, draw_report, summary, table
from realtime.commands.demo.run_process import RunProcess
from realtime.comms import HealthMessage
from realtime.comms.mask_subscriber import DEFAULT_ENDPOINT, MaskSubscriber
from realtime.config.schema import RunConfig
from realtime.errors import ClipError, DemoError
from realtime.infra.clock import now_ns
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import ProgressCallback, TerminalProgress, show_bar
from realtime.simulation.device import SimulatedTracker
from realtime.sources.opencv_capture import VideoFile

WATCH_S = 20.0
"""How long is watched: the clip twice."""
READY_S = 600.0  # the first start on a machine may build graphs
FIRST_MASK_S = 60.0
NOISE_PX = 1.5
ANY_PORT = "tcp://127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class DemoInput:
    """What the device plays: a clip of `frames` frames, and the looks that the gaze was authored from, if it was."""

    clip: VideoFile
    frames: int
    gaze: Path | Literal["wander"]
    looks: Sequence[scripted_gaze.ScriptedFixation]


def run_demo(
    config: RunConfig, out: Path, *, video: Path | None = None, gaze: str | None = None, watch_s: float = WATCH_S
) -> None:
    """Watch for `watch_s` seconds; leave overlay.mp4 (or .webm), contact-sheet.png and latency.png in `out`.

    video: another clip than the demo's own. gaze: a trace for it, or "wander"; default: authored looks for the demo's
    own clip, wander for another. Raises `SourceError` and the errors of `realtime.session.run.run`.
    """
    terminal = TerminalProgress(Console(highlight=False))
    with tempfile.TemporaryDirectory(prefix="gazecast-demo-") as scratch:
        played = _choose(video, gaze, Path(scratch))
        if config.engine.backend != "fake" and not weights.is_cached(config.engine.model, root=config.models):
            weights.pull(config.engine.model, root=config.models, report=terminal.show_bytes)
        _make_folder(out)
        watched = _watch(config, played, terminal, watch_s)
        files = draw_report(watched, played.clip, played.frames, played.looks, out, terminal.console)
    terminal.console.print(table(watched))
    for line in summary(watched):
        terminal.show_line(line)
    for path in files:
        terminal.show_line(f"left            {path}")


def view_demo(config: RunConfig, *, video: Path | None = None, gaze: str | None = None) -> None:
    """Play the demo's clip, or `video`, again and again to the live page, until interrupted; errors as `run_demo`'s."""
    terminal = TerminalProgress()
    with tempfile.TemporaryDirectory(prefix="gazecast-demo-") as scratch, ExitStack() as stack:
        played = _choose(video, gaze, Path(scratch))
        host, _ = _start(config, played, terminal, stack)
        interrupts = stack.enter_context(InterruptHandler())  # before it is said, or a quick hand is not heard
        terminal.show_line("Ctrl-C stops")
        while not interrupts.is_requested:
            host.check()
            time.sleep(0.2)


def _choose(video: Path | None, gaze: str | None, scratch: Path) -> DemoInput:
    own = video is None
    played = VideoFile(clip.clip() if video is None else video)
    frames = sum(1 for _ in played.frames())
    if gaze is None and own:
        return DemoInput(played, frames, scripted_gaze.write_trace(scratch / "looks.csv"), scripted_gaze.STREET)
    if gaze in (None, "wander"):
        return DemoInput(played, frames, "wander", ())
    return DemoInput(played, frames, Path(str(gaze).removeprefix("trace:")), ())


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClipError(f"cannot make the folder {out}: {error.strerror}; choose another with --out") from error


def _watch(config: RunConfig, played: DemoInput, terminal: TerminalProgress, watch_s: float) -> DemoResult:
    """Play, segment and listen."""
    with ExitStack() as stack:
        host, endpoint = _start(config, played, terminal, stack)
        subscriber = stack.enter_context(MaskSubscriber(endpoint, ("mask", "keyframe", "health")))
        with show_bar(terminal.console, "watching", watch_s) as told:
            return _listen(host, subscriber, watch_s, told)


def _start(
    config: RunConfig, played: DemoInput, terminal: TerminalProgress, stack: ExitStack
) -> tuple[RunProcess, str]:
    """The device and the pipeline, to be ended by `stack`, and where masks are published."""
    device = SimulatedTracker(played.clip.path, played.gaze, port=0, noise_px=NOISE_PX)
    stack.callback(device.stop)
    device.start()
    # another gazecast may publish at the default port, and nobody needs to know the demo's
    endpoint = ANY_PORT if config.publish.endpoint == DEFAULT_ENDPOINT else config.publish.endpoint
    config = replace(
        config,
        source=f"pupil://127.0.0.1:{device.port}",
        gaze="",
        publish=replace(config.publish, endpoint=endpoint, stream="demo"),
    )
    terminal.show_line(f"opening the engine {config.engine.backend} ({config.engine.model})")
    host = stack.enter_context(RunProcess(config, terminal))
    endpoint = host.wait_until_ready(READY_S)
    terminal.show_line(f"device {config.source}  ->  gazecast run  ->  subscriber of {endpoint}")
    return host, endpoint


def _listen(host: RunProcess, subscriber: MaskSubscriber, watch_s: float, told: ProgressCallback) -> DemoResult:
    """Receive for `watch_s` from the first mask on."""
    seen: list[ReceivedMasks] = []
    health: HealthMessage | None = None
    encode_ms: list[float] = []
    begun_s = time.monotonic()
    while (waited_s := time.monotonic() - begun_s) < (watch_s if seen else FIRST_MASK_S):
        message = subscriber.newest("mask", 0.05)
        if message is not None:
            if not seen:
                begun_s = time.monotonic()
            seen.append(ReceivedMasks.of(message, now_ns()))
        if (keyframe := subscriber.newest("keyframe", 0)) is not None:
            encode_ms.append(keyframe.encode_ms)
        if (newer := subscriber.newest("health", 0)) is not None:
            health = newer
            host.check()
        if seen:
            told(waited_s)
    if not seen:
        said = f"{health.state}: {health.reason}" if health else "no health either"
        raise DemoError(f"no mask within {FIRST_MASK_S:.0f} s ({said}); try: gazecast doctor")
    told(watch_s)
    return DemoResult(seen, health, encode_ms)
