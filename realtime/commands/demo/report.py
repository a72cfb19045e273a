"""Writes the demo's overlay video, contact sheet, latency plot, and table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from engines import Image, Mask
from realtime.commands.demo import figures
from realtime.commands.demo.demo_clip import ScriptedTarget
from realtime.commands.demo.figures import FigureFrame
from realtime.commands.demo.received import (
    JudgedMask,
    ReceivedMask,
    clip_second,
    measure_keyframe_interval,
    measure_latencies,
    share_states,
)
from realtime.commands.doctor.probes import describe_processor
from realtime.commands.replay import describe_engine
from realtime.commands.terminal import PERCENTILES, format_percentiles
from realtime.comms.messages import HealthMessage
from realtime.errors import ClipError
from realtime.infra.progress import show_bar
from realtime.media.overlay import draw_overlay
from realtime.media.video_writer import OverlayWriter
from realtime.sources.video.video_reader import VideoFile

DOT_STEP_PX = 7
GOOD_KEYFRAME_MS = 130.0
"""The interval of keyframes up to which masks of moving objects are good."""


@dataclass(frozen=True, slots=True)
class DemoInput:
    """Holds the content that the device plays: a clip of `frames` frames, its gaze, and the targets of that."""

    clip: VideoFile
    frames: int
    gaze: Path | Literal["wander"]
    targets: Sequence[ScriptedTarget]


@dataclass(frozen=True, slots=True, eq=False)
class DemoResult:
    """Holds the received messages: at least one mask, in order; the newest health; durations of encodes, ms."""

    masks: Sequence[ReceivedMask]
    health: HealthMessage | None
    encode_ms: Sequence[float]


def draw_report(
    result: DemoResult, played: DemoInput, judged: Sequence[JudgedMask], out: Path, console: Console
) -> list[Path]:
    """Write the three files into `out` and return their paths; raises `SourceError`."""
    received, clip, frames = result.masks, played.clip, played.frames
    chosen = {one.entry.bare.frame.index: one for one in judged}
    shots: list[tuple[JudgedMask, FigureFrame]] = []
    start_s = received[0].bare.frame.timestamp
    with (
        OverlayWriter(out / "overlay", clip.size, clip.fps) as writer,
        show_bar(console, "drawing ", len(received)) as on_progress,
    ):
        for done, (one, image) in enumerate(_pair_frames(received, clip, frames), start=1):
            message = one.message
            writer.write(draw_overlay(image, message), message.frame.timestamp - start_s)
            on_progress(done)
            if (judgement := chosen.get(message.frame.index)) is not None:
                shots.append((judgement, _draw_shot(image, judgement, clip_second(one, frames, clip.fps))))
    shots.sort(key=lambda pair: pair[1].at_s)
    paths = [writer.path, out / "contact-sheet.png", out / "latency.png"]
    _write(paths[1], _draw_sheets(shots, played.targets, judged))
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


def _draw_shot(image: Image, judged: JudgedMask, at_s: float) -> FigureFrame:
    """Draw the mask and, where it is known, the outline of the object that was meant."""
    message, target = judged.entry.message, judged.target
    picture = draw_overlay(image, message, label=False)
    values = at_s, message.state, message.confidence, message.carried_ms
    if target is None or judged.truth is None:
        return FigureFrame(picture, "", *values)
    _draw_truth(picture, judged.truth)
    return FigureFrame(picture, target.name, *values, judged.iou, judged.is_right)


def _draw_sheets(
    shots: Sequence[tuple[JudgedMask, FigureFrame]], targets: Sequence[ScriptedTarget], judged: Sequence[JudgedMask]
) -> Image:
    """Draw the contact sheet, the targets with exact masks above the others."""
    if not targets:
        title = "gazecast demo: the object at the gaze, and its mask"
        return figures.draw_contact_sheet([shot for _, shot in shots], title)
    sheets = []
    for is_exact, scene in ((True, "A calm table, true masks"), (False, "A street that cuts every two seconds, hard")):
        if part := [shot for one, shot in shots if one.target and one.target.is_exact is is_exact]:
            title = f"{scene}: {_count_right(targets, judged, is_exact)} right (dotted: the object that was meant)"
            sheets.append(figures.draw_contact_sheet(part, title, columns=4))
    return np.vstack(sheets)


def _draw_truth(picture: Image, truth: Mask) -> None:
    """Draw the outline of a true mask in dots, white on a black rim."""
    outlines, _ = cv2.findContours(truth.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    dots = np.concatenate([outline[::DOT_STEP_PX, 0] for outline in outlines])
    for color, radius in (((0, 0, 0), 2), ((255, 255, 255), 1)):
        for x, y in dots.tolist():
            cv2.circle(picture, (x, y), radius, color, -1, cv2.LINE_AA)


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


def write_verdict(result: DemoResult, targets: Sequence[ScriptedTarget], judged: Sequence[JudgedMask]) -> list[str]:
    """Write two sentences about this machine: what was measured, and what would make it better."""
    frame_ms = np.median([value for _, value in measure_latencies(result.masks)["frame to mask"]])
    keyframe_ms = measure_keyframe_interval(result.masks)
    measured = f"This machine publishes a mask {frame_ms:.0f} ms after its frame (median)"
    measured += f", with keyframes every {keyframe_ms:.0f} ms" if keyframe_ms else ""
    for is_exact, scene in ((True, "on the table (true masks)"), (False, "in the street (outlined by hand)")):
        if right := _count_right(targets, judged, is_exact):
            measured += f"; {right} masks are right {scene}"
    if keyframe_ms and keyframe_ms <= GOOD_KEYFRAME_MS:
        return [f"{measured}.", "That suits moving objects too; a GPU would allow larger pictures, for small objects."]
    precision = result.health.engine.get("precision") if result.health else None
    faster = "a CPU with AVX-512 VNNI or bf16" if precision == "f32" else "this CPU, free of other work,"
    need = f"Moving objects need keyframes every {GOOD_KEYFRAME_MS:.0f} ms or less"
    return [f"{measured}.", f"{need}: {faster} makes them every 60 to 100 ms, a GPU is expected to be faster still."]


def _count_right(targets: Sequence[ScriptedTarget], judged: Sequence[JudgedMask], is_exact: bool) -> str:
    """Count right masks of the targets of one kind, "10 of 12"; "" without such a target."""
    asked = [target for target in targets if target.is_exact is is_exact]
    return f"{sum(one.is_right for one in judged if one.target in asked)} of {len(asked)}" if asked else ""


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
