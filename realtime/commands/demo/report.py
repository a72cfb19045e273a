"""What the demo leaves: an overlay video, a contact sheet, a latency plot, and a table for the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from rich.console import Console
from rich.table import Table

from engines import Image
from realtime.commands.demo import figures
from realtime.commands.demo.received import ReceivedMasks, clip_second, moments, samples, shares
from realtime.commands.demo.scripted_gaze import ScriptedFixation
from realtime.commands.doctor import processor
from realtime.comms import HealthMessage
from realtime.errors import ClipError
from realtime.infra.metrics import percentiles
from realtime.infra.progress import show_bar
from realtime.media.overlay import draw
from realtime.media.video_writer import OverlayWriter
from realtime.sources.opencv_capture import VideoFile


@dataclass(frozen=True, slots=True, eq=False)
class DemoResult:
    """What the subscriber had: at least one mask, in order; the last health; how long encodes took, ms."""

    seen: Sequence[ReceivedMasks]
    health: HealthMessage | None
    encode_ms: Sequence[float]


def draw_report(
    watched: DemoResult, clip: VideoFile, frames: int, looks: Sequence[ScriptedFixation], out: Path, console: Console
) -> list[Path]:  # fmt: skip
    """Write the three files into `out` and return their paths; raises `SourceError` when one cannot be written.

    frames: how many the clip has. looks: what the gaze was authored from, if it was.
    """
    seen = watched.seen
    chosen = {one.bare.frame.index: name for name, one in moments(seen, frames, looks)}
    shots: list[figures.FigureFrame] = []
    start_s = seen[0].bare.frame.timestamp
    with (
        OverlayWriter(out / "overlay", clip.size, clip.fps) as writer,
        show_bar(console, "drawing ", len(seen)) as told,
    ):
        for done, (one, image) in enumerate(_with_frames(seen, clip, frames), start=1):
            message = one.message
            writer.write(draw(image, message), message.frame.timestamp - start_s)
            told(done)
            if (name := chosen.get(message.frame.index)) is not None:
                at_s = clip_second(one, frames, clip.fps)
                picture = draw(image, message, label=False)
                shots.append(
                    figures.FigureFrame(picture, name, at_s, message.state, message.confidence, message.carried_ms)
                )
    shots.sort(key=lambda shot: shot.at_s)
    paths = [writer.path, out / "contact-sheet.png", out / "latency.png"]
    _write(paths[1], figures.contact_sheet(shots, "gazecast demo: what was looked at, and its mask"))
    _write(paths[2], figures.latency_plot(samples(seen), "gazecast demo: how late", _note(watched)))
    return paths


def _with_frames(seen: Sequence[ReceivedMasks], clip: VideoFile, frames: int) -> Iterator[tuple[ReceivedMasks, Image]]:
    """Each message with the frame that it is about; the device numbers on through repetitions of the clip."""
    waiting = {one.bare.frame.index: one for one in seen}
    for repetition in range(min(waiting) // frames, max(waiting) // frames + 1):
        for number, (_, image) in enumerate(clip.frames()):
            one = waiting.get(repetition * frames + number)
            if one is not None:
                yield one, image


def _write(path: Path, picture: Image) -> None:
    coded = cv2.imencode(".png", picture)[1]
    try:
        path.write_bytes(coded.tobytes())
    except OSError as error:
        raise ClipError(f"cannot write {path}: {error.strerror}; choose another folder with --out") from error


def _engine(health: HealthMessage | None) -> str:
    engine = health.engine if health else {}
    return (
        " ".join(str(engine[key]) for key in ("backend", "model", "precision") if engine.get(key)) or "unknown engine"
    )


def _note(watched: DemoResult) -> str:
    what = f"{_engine(watched.health)} on {processor()}"
    return f"{what}; {len(watched.seen)} masks: a dot each, lines half-second medians"


def table(watched: DemoResult) -> Table:
    """The run in times: what was measured at the subscriber, encodes and decodes as their messages say."""
    seen = watched.seen
    found = samples(seen)
    out = Table()
    for column in ("", "p50", "p95", "p99"):
        out.add_column(column, justify="right" if column else "left")
    decode = [(t.decode_end - t.decode_start) / 1e6 for t in (one.bare.timing_ns for one in seen)]
    for name, values in (
        ("gaze to mask, ms", [s.gaze_to_mask_ms for s in found if s.gaze_to_mask_ms is not None]),
        ("frame to mask, ms", [s.frame_to_mask_ms for s in found]),
        ("keyframe age, ms", [s.keyframe_age_ms for s in found]),
        ("encode, ms", list(watched.encode_ms)),
        ("decode, ms", decode),
    ):
        row = [f"{value:.0f}" for value in percentiles(values).values()] if values else ["-"] * 3
        out.add_row(name, *row)
    return out


def summary(watched: DemoResult) -> list[str]:
    """The rest of the run, a line each: rates, states, health."""
    seen, health = watched.seen, watched.health
    span_s = max(1e-9, seen[-1].bare.frame.timestamp - seen[0].bare.frame.timestamp)
    lines = [f"engine          {_engine(health)} on {processor()}", f"masks received  {(len(seen) - 1) / span_s:.1f}/s"]
    if health:
        taken = (
            f"{name} {health.rates[name]:.0f}/s" for name in ("frames", "gaze", "keyframes") if name in health.rates
        )
        lines[1] += "  of  " + ", ".join(taken)
    lines.append("states          " + ", ".join(f"{state} {100 * part:.0f} %" for state, part in shares(seen).items()))
    if health:
        dropped = ", ".join(f"{name} {count}" for name, count in health.dropped.items()) or "nothing"
        why = f" ({health.reason})" if health.reason else ""
        lines.append(f"health          {health.state}{why}; memory {health.memory_mib:.0f} MiB; dropped: {dropped}")
    return lines
