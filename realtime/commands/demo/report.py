"""Writes the demo's overlay video, contact sheet, latency plot, and table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
from rich.console import Console
from rich.table import Table

from engines import Image
from realtime.commands.demo import figures
from realtime.commands.demo.received import ReceivedMask, clip_second, measure_latencies, select_moments, share_states
from realtime.commands.demo.scripted_gaze import ScriptedFixation
from realtime.commands.doctor.probes import describe_processor
from realtime.commands.replay import describe_engine
from realtime.commands.terminal import PERCENTILES, format_percentiles
from realtime.comms.messages import HealthMessage
from realtime.errors import ClipError
from realtime.infra.progress import show_bar
from realtime.media.overlay import draw_overlay
from realtime.media.video_writer import OverlayWriter
from realtime.sources.opencv_capture import VideoFile


@dataclass(frozen=True, slots=True)
class DemoInput:
    """Holds the content that the device plays: a clip of `frames` frames, its gaze, and its scripted fixations."""

    clip: VideoFile
    frames: int
    gaze: Path | Literal["wander"]
    fixations: Sequence[ScriptedFixation]


@dataclass(frozen=True, slots=True, eq=False)
class DemoResult:
    """Holds the received messages: at least one mask, in order; the newest health; durations of encodes, ms."""

    masks: Sequence[ReceivedMask]
    health: HealthMessage | None
    encode_ms: Sequence[float]


def draw_report(result: DemoResult, played: DemoInput, out: Path, console: Console) -> list[Path]:
    """Write the three files into `out` and return their paths; raises `SourceError`."""
    received, clip, frames = result.masks, played.clip, played.frames
    chosen = {one.bare.frame.index: name for name, one in select_moments(received, frames, played.fixations)}
    shots: list[figures.FigureFrame] = []
    start_s = received[0].bare.frame.timestamp
    with (
        OverlayWriter(out / "overlay", clip.size, clip.fps) as writer,
        show_bar(console, "drawing ", len(received)) as on_progress,
    ):
        for done, (one, image) in enumerate(_pair_frames(received, clip, frames), start=1):
            message = one.message
            writer.write(draw_overlay(image, message), message.frame.timestamp - start_s)
            on_progress(done)
            if (name := chosen.get(message.frame.index)) is not None:
                picture, at_s = draw_overlay(image, message, label=False), clip_second(one, frames, clip.fps)
                shot = picture, name, at_s, message.state, message.confidence, message.carried_ms
                shots.append(figures.FigureFrame(*shot))
    shots.sort(key=lambda shot: shot.at_s)
    paths = [writer.path, out / "contact-sheet.png", out / "latency.png"]
    _write(paths[1], figures.draw_contact_sheet(shots, "gazecast demo: the object at the gaze, and its mask"))
    note = f"{_describe_run(result.health)}; {len(received)} masks: a dot each, lines are half-second medians"
    _write(paths[2], figures.draw_latency_plot(measure_latencies(received), "gazecast demo: latency", note))
    return paths


def _pair_frames(masks: Sequence[ReceivedMask], clip: VideoFile, frames: int) -> Iterator[tuple[ReceivedMask, Image]]:
    """Pair each mask with its frame; frame numbers go on through repetitions of the clip."""
    waiting = {one.bare.frame.index: one for one in masks}
    for repetition in range(min(waiting) // frames, max(waiting) // frames + 1):
        for number, (_, image) in enumerate(clip.frames()):
            if (one := waiting.get(repetition * frames + number)) is not None:
                yield one, image


def _write(path: Path, picture: Image) -> None:
    coded = cv2.imencode(".png", picture)[1]
    try:
        path.write_bytes(coded.tobytes())
    except OSError as error:
        raise ClipError(f"cannot write {path}: {error.strerror}; choose another folder with --out") from error


def _describe_run(health: HealthMessage | None) -> str:
    engine = describe_engine(health.engine) if health else ""
    return f"{engine or 'unknown engine'} on {describe_processor()}"


def latency_table(result: DemoResult) -> Table:
    """Tabulate the latencies: those measured at the subscriber, encodes and decodes as published."""
    received = result.masks
    latencies = measure_latencies(received)
    out = Table()
    for column in ("", *PERCENTILES):
        out.add_column(column, justify="right" if column else "left")
    decode = [(t.decode_end - t.decode_start) / 1e6 for t in (one.bare.timing_ns for one in received)]
    rows = {name: [value for _, value in points] for name, points in latencies.items()}
    for name, values in {**rows, "encode": result.encode_ms, "decode": decode}.items():
        out.add_row(f"{name}, ms", *format_percentiles(values))
    return out


def summary_lines(result: DemoResult) -> list[str]:
    """Summarize rates, states and health, a line each."""
    received, health = result.masks, result.health
    span_s = max(1e-9, received[-1].bare.frame.timestamp - received[0].bare.frame.timestamp)
    lines = {
        "engine": _describe_run(health),
        "masks received": f"{(len(received) - 1) / span_s:.1f}/s",
        "states": ", ".join(f"{state} {100 * part:.0f} %" for state, part in share_states(received).items()),
    }
    if health:
        rates = {name: health.rates[name] for name in ("frames", "gaze", "keyframes") if name in health.rates}
        lines["masks received"] += f"  of  {', '.join(f'{name} {rate:.0f}/s' for name, rate in rates.items())}"
        dropped = ", ".join(f"{name} {count}" for name, count in health.dropped.items()) or "nothing"
        why = f" ({health.reason})" if health.reason else ""
        lines["health"] = f"{health.state}{why}; memory {health.memory_mib:.0f} MiB; dropped: {dropped}"
    return [f"{name:16}{text}" for name, text in lines.items()]
