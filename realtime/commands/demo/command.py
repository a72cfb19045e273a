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
from realtime.commands.demo.received import Seen
from realtime.commands.demo.report import Watched, draw_report, summary, table
from realtime.commands.demo.run_process import Host
from realtime.comms import HealthMessage
from realtime.comms.mask_subscriber import DEFAULT_ENDPOINT, MaskSubscriber
from realtime.config.schema import Config
from realtime.errors import DemoError, MediaError
from realtime.infra.clock import now_ns
from realtime.infra.interrupts import Interrupts
from realtime.infra.progress import Terminal, Watching, bar
from realtime.simulation.device import Simulator
from realtime.sources.opencv_capture import Clip

WATCH_S = 20.0
"""How long is watched: the clip twice."""
READY_S = 600.0  # the first start on a machine may build graphs
FIRST_MASK_S = 60.0
NOISE_PX = 1.5
ANY_PORT = "tcp://127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Played:
    """What the device plays: a clip of `frames` frames, and the looks that the gaze was authored from, if it was."""

    clip: Clip
    frames: int
    gaze: Path | Literal["wander"]
    looks: Sequence[scripted_gaze.Look]


def run_demo(
    config: Config, out: Path, *, video: Path | None = None, gaze: str | None = None, watch_s: float = WATCH_S
) -> None:
    """Watch for `watch_s` seconds; leave overlay.mp4 (or .webm), contact-sheet.png and latency.png in `out`.

    video: another clip than the demo's own. gaze: a trace for it, or "wander"; default: authored looks for the demo's
    own clip, wander for another. Raises `SourceError` and the errors of `realtime.session.run.run`.
    """
    terminal = Terminal(Console(highlight=False))
    with tempfile.TemporaryDirectory(prefix="gazecast-demo-") as scratch:
        played = _choose(video, gaze, Path(scratch))
        if config.engine.backend != "fake" and not weights.is_cached(config.engine.model, root=config.models):
            weights.pull(config.engine.model, root=config.models, report=terminal.bar)
        _make_folder(out)
        watched = _watch(config, played, terminal, watch_s)
        files = draw_report(watched, played.clip, played.frames, played.looks, out, terminal.console)
    terminal.console.print(table(watched))
    for line in summary(watched):
        terminal.line(line)
    for path in files:
        terminal.line(f"left            {path}")


def view_demo(config: Config, *, video: Path | None = None, gaze: str | None = None) -> None:
    """Play the demo's clip, or `video`, again and again to the live page, until interrupted; errors as `run_demo`'s."""
    terminal = Terminal()
    with tempfile.TemporaryDirectory(prefix="gazecast-demo-") as scratch, ExitStack() as stack:
        played = _choose(video, gaze, Path(scratch))
        host, _ = _start(config, played, terminal, stack)
        interrupts = stack.enter_context(Interrupts())  # before it is said, or a quick hand is not heard
        terminal.line("Ctrl-C stops")
        while not interrupts.asked:
            host.check()
            time.sleep(0.2)


def _choose(video: Path | None, gaze: str | None, scratch: Path) -> Played:
    own = video is None
    played = Clip(clip.clip() if video is None else video)
    frames = sum(1 for _ in played.frames())
    if gaze is None and own:
        return Played(played, frames, scripted_gaze.write_trace(scratch / "looks.csv"), scripted_gaze.STREET)
    if gaze in (None, "wander"):
        return Played(played, frames, "wander", ())
    return Played(played, frames, Path(str(gaze).removeprefix("trace:")), ())


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"cannot make the folder {out}: {error.strerror}; choose another with --out") from error


def _watch(config: Config, played: Played, terminal: Terminal, watch_s: float) -> Watched:
    """Play, segment and listen."""
    with ExitStack() as stack:
        host, endpoint = _start(config, played, terminal, stack)
        subscriber = stack.enter_context(MaskSubscriber(endpoint, ("mask", "keyframe", "health")))
        with bar(terminal.console, "watching", watch_s) as told:
            return _listen(host, subscriber, watch_s, told)


def _start(config: Config, played: Played, terminal: Terminal, stack: ExitStack) -> tuple[Host, str]:
    """The device and the pipeline, to be ended by `stack`, and where masks are published."""
    device = Simulator(played.clip.path, played.gaze, port=0, noise_px=NOISE_PX)
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
    terminal.line(f"opening the engine {config.engine.backend} ({config.engine.model})")
    host = stack.enter_context(Host(config, terminal))
    endpoint = host.wait_until_ready(READY_S)
    terminal.line(f"device {config.source}  ->  gazecast run  ->  subscriber of {endpoint}")
    return host, endpoint


def _listen(host: Host, subscriber: MaskSubscriber, watch_s: float, told: Watching) -> Watched:
    """Receive for `watch_s` from the first mask on."""
    seen: list[Seen] = []
    health: HealthMessage | None = None
    encode_ms: list[float] = []
    begun_s = time.monotonic()
    while (waited_s := time.monotonic() - begun_s) < (watch_s if seen else FIRST_MASK_S):
        message = subscriber.newest("mask", 0.05)
        if message is not None:
            if not seen:
                begun_s = time.monotonic()
            seen.append(Seen.of(message, now_ns()))
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
    return Watched(seen, health, encode_ms)
