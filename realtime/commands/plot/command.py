"""Runs `gazecast plot`: draws a recording into a PNG."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2

from engines import Image
from realtime.commands.export.targets import resolve_target
from realtime.commands.plot.summary import summarize
from realtime.errors import RecordingError, RunFailed
from realtime.files import write_atomically
from realtime.infra.interrupts import InterruptHandler
from realtime.recording.labels import LabelFile
from realtime.recording.mask_events import RecordingEvent, read_events
from realtime.recording.reader import RecordingReader


def plot(recording: RecordingReader, labels: LabelFile, out: Path, *, force: bool = False) -> str:
    """Draw a recording into a PNG and return a one-line report; raises `RecordingError`, and `RunFailed` of a disk."""
    from realtime.commands.plot.page import draw_page
    from realtime.commands.replay import describe_recording

    if out.suffix.lower() != ".png":
        raise RecordingError(f"{out}: a picture is called .png")
    target = resolve_target(out, recording, force=force)
    with InterruptHandler() as interrupts:

        def interruptible() -> Iterable[RecordingEvent]:
            for event in read_events(recording):
                interrupts.raise_if_requested()
                yield event

        summary = summarize(interruptible(), recording.about)
        notes = [describe_recording(recording)]
        if recording.damaged:
            notes.append(f"{recording.damaged} damaged chunks, half a second each, are missing")
        summary.picture = _middle_frame(recording)
        interrupts.raise_if_requested()
        png = cv2.imencode(".png", draw_page(summary, labels.objects, notes))[1].tobytes()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, png)
    except OSError as error:
        raise RunFailed(f"cannot write {out}: {error.strerror or error}") from error
    objects = len({span.object for span in summary.spans if span.object})
    report = f"{out}: {summary.span_s:.1f} s, {objects} objects, {summary.samples} gaze samples"
    return "; ".join([report, *notes[1:]])


def _middle_frame(recording: RecordingReader) -> Image | None:
    """Decode the frame in the middle of the recording, or the nearest after it that can be decoded."""
    start_ns, end_ns = recording.span_ns
    for from_ns in ((start_ns + end_ns) // 2, start_ns):
        for frame in recording.read_frames(from_ns=from_ns):
            try:
                return frame.decode().image
            except RecordingError:
                continue
    return None
