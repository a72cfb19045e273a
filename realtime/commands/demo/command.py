"""Runs the demo: a simulated device, `gazecast run`, and a subscriber that draws, over real sockets."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from engines import weights
from realtime.commands.demo import scripted_gaze
from realtime.commands.demo.clip import fetch_clip, find_clip
from realtime.commands.demo.demo_clip import TABLE, DemoClip, load_table, place_street
from realtime.commands.demo.received import ReceivedMask, select_moments
from realtime.commands.demo.report import (
    DemoInput,
    DemoResult,
    draw_report,
    latency_table,
    summary_lines,
    write_verdict,
)
from realtime.commands.demo.run_process import RunProcess
from realtime.comms.mask_subscriber import DEFAULT_ENDPOINT, MaskSubscriber
from realtime.config.schema import RunConfig
from realtime.errors import ClipError, DemoError
from realtime.infra.clock import now_ns
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import ProgressCallback, TerminalProgress, show_bar
from realtime.simulation.device import SimulatedTracker
from realtime.sources.video.video_reader import VideoFile

WATCH_S = 23.0
"""The time for which masks are received, of the demo's own clip once and of another."""
OVERLAP_FRAMES = 25  # the first mask may come in the middle of a fixation, which is then seen at the end
OTHER_S = 17.0
DOWNLOAD_MB = {"weights": 45, "street clip": 2.3}
READY_S = 600.0  # the first start on a machine may build graphs
FIRST_MASK_S = 60.0
NOISE_PX = 1.5


def run_demo(
    config: RunConfig, out: Path, *, video: Path | None = None, gaze: str | None = None, watch_s: float = WATCH_S
) -> None:
    """Receive masks for `watch_s` s and write overlay.mp4 (or .webm), contact-sheet.png and latency.png to `out`.

    video: another clip than the demo's own. gaze: a trace for it, or "wander"; default: a scripted gaze for the
    demo's own clip, wander for another. Raises `SourceError` and the errors of `realtime.session.run.run`.
    """
    terminal = TerminalProgress(Console(highlight=False))
    with tempfile.TemporaryDirectory(prefix="gazecast-demo-") as scratch:
        _announce(config, video, watch_s, terminal)
        played = _choose(video, gaze, Path(scratch), terminal)
        if _needs_weights(config):
            weights.pull_model(config.engine.model, root=config.models, report=terminal.show_bytes)
        _make_folder(out)
        with ExitStack() as stack:
            process, endpoint = _start(config, played, terminal, stack)
            subscriber = stack.enter_context(MaskSubscriber(endpoint, ("mask", "keyframe")))
            on_progress = stack.enter_context(show_bar(terminal.console, "watching", watch_s))
            one_pass = played.frames + OVERLAP_FRAMES if played.targets and watch_s >= WATCH_S else 0
            result = _collect(process, subscriber, (watch_s, one_pass), on_progress)
        judged = select_moments(result.masks, played.frames, played.targets)
        files = draw_report(result, played, judged, out, terminal.console)
    terminal.console.print(latency_table(result))
    for line in summary_lines(result):
        terminal.show_line(line)
    for path in files:
        terminal.show_line(f"wrote           {path}")
    for sentence in write_verdict(result, played.targets, judged):
        terminal.show_line(sentence)


def view_demo(config: RunConfig, *, video: Path | None = None, gaze: str | None = None, browser: bool = False) -> None:
    """Play the demo's clip, or `video`, in a loop to the live page until interrupted; raises as `run_demo`.

    browser: open the page there.
    """
    terminal = TerminalProgress()
    with tempfile.TemporaryDirectory(prefix="gazecast-demo-") as scratch, ExitStack() as stack:
        played = _choose(video, gaze, Path(scratch), terminal)
        process, _ = _start(config, played, terminal, stack, ("--open",) if browser else ())
        interrupts = stack.enter_context(InterruptHandler())  # before the hint, so that a quick Ctrl-C is caught
        terminal.show_line("Ctrl-C stops")
        while not interrupts.is_requested:
            process.check()
            time.sleep(0.2)


def _needs_weights(config: RunConfig) -> bool:
    return config.engine.backend != "fake" and not weights.is_cached(config.engine.model, root=config.models)


def _announce(config: RunConfig, video: Path | None, watch_s: float, terminal: TerminalProgress) -> None:
    """Show the expected time and downloads before anything starts."""
    missing = {"weights": _needs_weights(config), "street clip": video is None and find_clip() is None}
    sizes = [f"{name} {DOWNLOAD_MB[name]:g} MB" for name, is_missing in missing.items() if is_missing]
    terminal.show_line(
        f"takes about {watch_s + OTHER_S:.0f} s: {watch_s:.0f} s of watching, the rest to start and to draw"
    )
    terminal.show_line(f"downloads       {', '.join(sizes) or 'nothing'}")


def _choose(video: Path | None, gaze: str | None, scratch: Path, terminal: TerminalProgress) -> DemoInput:
    if video is None and gaze is None:
        return _open_own_clip(scratch, terminal)
    played = VideoFile(video or fetch_clip())
    frames = sum(1 for _ in played.frames())
    if gaze in (None, "wander"):
        return DemoInput(played, frames, "wander", ())
    return DemoInput(played, frames, Path(str(gaze).removeprefix("trace:")), ())


def _open_own_clip(scratch: Path, terminal: TerminalProgress) -> DemoInput:
    """Open the table top and, where it can be fetched, the street."""
    street = None
    try:
        street = VideoFile(fetch_clip())
    except ClipError as error:
        terminal.show_line(f"the table top only: {error}")
    clip = DemoClip(TABLE, street)
    fixations, targets = load_table()
    if street:
        more_fixations, more_targets = place_street(round(fixations[-1].points[-1][0]) + 1, clip.size, street.size)
        fixations, targets = fixations + more_fixations, targets + more_targets
    frames = sum(1 for _ in clip.frames())
    return DemoInput(clip, frames, scripted_gaze.write_trace(scratch / "gaze.csv", fixations), targets)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClipError(f"cannot make the folder {out}: {error.strerror}; choose another with --out") from error


def _start(
    config: RunConfig, played: DemoInput, terminal: TerminalProgress, stack: ExitStack, flags: Sequence[str] = ()
) -> tuple[RunProcess, str]:
    """Start the device and the pipeline, which `stack` ends; return the pipeline and its endpoint."""
    device = SimulatedTracker(played.clip, played.gaze, port=0, noise_px=NOISE_PX)
    stack.callback(device.stop)
    device.start()
    # another gazecast may publish at the default port
    endpoint = _free_endpoint() if config.publish.endpoint == DEFAULT_ENDPOINT else config.publish.endpoint
    config = replace(
        config,
        source=f"pupil://127.0.0.1:{device.port}",
        gaze="",
        publish=replace(config.publish, endpoint=endpoint, stream="demo"),
    )
    terminal.show_line(f"opening the engine {config.engine.backend} ({config.engine.model})")
    process = stack.enter_context(RunProcess(config, terminal, flags))
    process.wait_until_ready(READY_S)
    terminal.show_line(f"device {config.source}  ->  gazecast run  ->  subscriber of {endpoint}")
    return process, endpoint


def _free_endpoint() -> str:
    """Choose a local port that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def _collect(
    process: RunProcess, subscriber: MaskSubscriber, needed: tuple[float, int], on_progress: ProgressCallback
) -> DemoResult:
    """Receive masks from the first one on, for (seconds, frames): at least the seconds, and until the frames are done.

    A busy machine plays slower than time; after twice the seconds the end has come all the same.
    """
    watch_s, one_pass = needed
    received: list[ReceivedMask] = []
    encode_ms: list[float] = []
    waited_s, limit_s, last_s = 0.0, FIRST_MASK_S, time.monotonic()
    while waited_s < limit_s:
        if received and waited_s >= watch_s and _count_played(received) >= one_pass:
            break
        message = subscriber.newest("mask", 0.05)
        if message is not None:
            if not received:
                waited_s, limit_s = 0.0, 2 * watch_s
            received.append(ReceivedMask.of(message, now_ns()))
        if (keyframe := subscriber.newest("keyframe", 0)) is not None:
            encode_ms.append(keyframe.encode_ms)
        process.check()
        now_s = time.monotonic()
        waited_s += min(now_s - last_s, 1.0)  # nothing is received while the machine is suspended
        last_s = now_s
        if received:
            on_progress(min(waited_s, watch_s))
    if not received:
        health = f"{process.health.state}: {process.health.reason}" if process.health else "no health message"
        raise DemoError(f"no mask within {FIRST_MASK_S:.0f} s ({health}); try: gazecast doctor")
    on_progress(watch_s)
    return DemoResult(received, process.health, encode_ms)


def _count_played(received: Sequence[ReceivedMask]) -> int:
    """Count the frames that were played since the first mask."""
    return received[-1].bare.frame.index - received[0].bare.frame.index
