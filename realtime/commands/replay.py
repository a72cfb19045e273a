"""Describes recordings, replays them exactly, and compares the masks with the recorded ones."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from realtime.config.loader import merge_settings, parse_toml
from realtime.config.schema import RunConfig, select_recorded_settings
from realtime.errors import RecordingError
from realtime.infra.clock import now_ns
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.output import escape_controls
from realtime.infra.progress import ProgressReporter
from realtime.recording.exact_replay import ExactReplay, ReplaySummary
from realtime.recording.reader import RecordingReader
from realtime.recording.writer import RecordingFile
from realtime.session.engine import CancellableProgress, open_engine, open_recognizer
from realtime.tracking.tracker import Tracker

ENGINE = ("backend", "model", "precision", "device")


def read_recorded_config(recording: RecordingReader) -> RunConfig:
    """Read the settings of the recorded run; raises `RecordingError` for settings of another version.

    Only the settings that a recording keeps: one from another machine must not open a port or name a file here.
    """
    try:
        values = parse_toml(recording.about.config)
        # Runs before there were previews had none.
        if isinstance(tracker := values.setdefault("tracker", {}), dict):
            tracker.setdefault("preview", {"enabled": False})
        return select_recorded_settings(merge_settings(RunConfig(), values, f"the configuration in {recording.path}"))
    except ValueError as error:
        raise RecordingError(f"{recording.path} was made with another version of gazecast: {error}") from None


def describe_recording(recording: RecordingReader) -> str:
    """Describe a recording in one line."""
    about, (start_ns, end_ns) = recording.about, recording.span_ns
    engine = describe_engine(about.engine)
    parts = (
        f"{(end_ns - start_ns) / 1e9:.1f} s of {about.source or 'a run'}",
        about.started and f"recorded {about.started[:19].replace('T', ' ')}",
        engine and f"with {engine}",
        "" if about.pictures else "without pictures",
        "" if recording.complete else "cut off at its end, or still being written",
        "" if about.from_start else "begun in the middle of a run",
    )
    return f"{escape_controls(str(recording.path))}: {', '.join(filter(None, parts))}"


def describe_engine(engine: Mapping[str, Any]) -> str:
    """Name the backend, model and precision of an engine, those that are known."""
    return " ".join(str(engine[name]) for name in ENGINE[:3] if engine.get(name))


def replay_exactly(
    recording: RecordingReader, config: RunConfig, progress: ProgressReporter, out: Path | None = None
) -> bool:
    """Repeat the recorded tracker calls and compare the masks; False for an unexplained difference.

    out: a new file for the new masks. Raises `RecordingError` or `EngineError`.
    """
    recording.check_pictures("replayed")
    first = next(recording.read_frames(), None)
    if first is None:
        raise RecordingError(f"{recording.path} holds no frames")
    with ExitStack() as stack:
        interrupts = stack.enter_context(InterruptHandler())
        watched = CancellableProgress(progress, interrupts)
        encoder, decoder = open_engine(config.engine, config.models, first.decode().size, watched)
        stack.callback(encoder.close)
        stack.callback(decoder.close)
        engine = dataclasses.asdict(decoder.info)
        file = RecordingFile(out, dataclasses.replace(recording.about, engine=engine)) if out is not None else None
        if file is not None:
            stack.callback(file.close)
        open_objects = partial(open_recognizer, config.engine, config.models, watched)
        make_tracker = partial(Tracker, settings=config.tracker, frame_time=recording.about.frame_time)
        replay = ExactReplay(recording, encoder, decoder, make_tracker, open_objects)
        digest, begun_ns = hashlib.sha256(), now_ns()
        for mask in replay.replay_masks():
            interrupts.raise_if_requested()
            digest.update(mask.replayed or b"")
            if file is not None and mask.replayed is not None:
                file.write_message("mask", mask.frame.captured_ns + recording.about.wall_ns, mask.replayed)
    summary, took_s = replay.summary, (now_ns() - begun_ns) / 1e9
    progress.show_line(
        f"{summary.masks} masks again in {took_s:.1f} s, {summary.identical} of them byte for byte as recorded; "
        f"sha256 {digest.hexdigest()}"
    )
    if summary.identical == summary.masks:
        return True
    reasons = _explain_difference(summary, recording, engine, config)
    for reason in reasons:
        progress.show_line(reason)
    return bool(reasons)


def _explain_difference(
    summary: ReplaySummary, recording: RecordingReader, engine: Mapping[str, Any], config: RunConfig
) -> list[str]:
    """List the reasons why the masks differ from the recorded ones, though each replay gives the same."""
    about, reasons = recording.about, []
    # engine_id counts the engines of a process
    other = [key for key in engine if key != "engine_id" and about.engine.get(key) != engine[key]]
    if other:
        shown = [key for key in engine if key in ENGINE or key in other]
        then, now = (" ".join(str(info.get(key, "?")) for key in shown) for info in (about.engine, engine))
        reasons.append(f"the engine is another one ({', '.join(other)}): then {then}, now {now}")
    if config.tracker != read_recorded_config(recording).tracker:
        reasons.append("the tracker's settings are not those of the run")
    if not about.from_start:
        reasons.append("the recording began in the middle of the run, and lacks what was known before")
    if count := summary.inexact_frames:
        reasons.append(f"{count} pictures were packed anew; record with --set record.frames=png to keep them")
    if count := summary.missing_frames:
        early = "" if about.from_start else "it came before the recording began, or "
        why = f"{early}the disk was too slow for it, or the file is damaged"
        reasons.append(f"{count} tracker calls have no frame: {why}")
    if count := summary.clock_mismatches:
        why = "the program is another one, or knew something else"
        reasons.append(f"the clock was read otherwise in {count} tracker calls: {why}")
    if recording.damaged:
        reasons.append(f"{recording.damaged} chunks of the file are damaged")
    return reasons
