"""Replays a recording exactly, and compares its masks with the recorded ones."""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engines import Decoder
from realtime.config.loader import merge_settings
from realtime.config.schema import RunConfig, select_recorded_settings
from realtime.errors import RecordingError, SettingsError
from realtime.infra.clock import now_ns
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.progress import ProgressReporter
from realtime.recording.exact_replay import ExactReplay, ReplaySummary
from realtime.recording.reader import RecordingReader
from realtime.recording.writer import RecordingFile
from realtime.session.engine import CancellableProgress, open_engine
from realtime.tracking.tracker import Tracker

ENGINE = ("backend", "model", "precision", "device")


def read_recorded_config(recording: RecordingReader) -> RunConfig:
    """Read the settings of the recorded run; raises `RecordingError` for settings of another version.

    Only the settings that a recording keeps: a recording of others opens no port and names no file here.
    """
    try:
        values = tomllib.loads(recording.about.config)
        return select_recorded_settings(merge_settings(RunConfig(), values, f"the configuration in {recording.path}"))
    except (tomllib.TOMLDecodeError, SettingsError) as error:
        raise RecordingError(f"{recording.path} was made with another version of gazecast: {error}") from None


def describe_recording(recording: RecordingReader) -> str:
    """Describe a recording in one line."""
    start_ns, end_ns = recording.span_ns
    engine = recording.about.engine
    what = " ".join(str(engine[name]) for name in ENGINE[:3] if engine.get(name))
    parts = [f"{(end_ns - start_ns) / 1e9:.1f} s of {recording.about.source or 'a run'}"]
    parts += [f"recorded {recording.about.started[:19].replace('T', ' ')}"] if recording.about.started else []
    parts += [f"with {what}"] if what else []
    parts += [] if recording.complete else ["cut off at its end, or still being written"]
    parts += [] if recording.about.from_start else ["begun in the middle of a run"]
    return f"{recording.path}: {', '.join(parts)}"


def replay_exactly(
    recording: RecordingReader, config: RunConfig, progress: ProgressReporter, out: Path | None = None
) -> bool:
    """Repeat the recorded calls of the tracker and compare the masks; False for an unexplained difference.

    out: a new file for the new masks. Raises `RecordingError` or `EngineError`.
    """
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

        def make_tracker(decoder: Decoder, clock_ns: Callable[[], int]) -> Tracker:
            return Tracker(decoder, clock_ns, config.tracker, frame_time=recording.about.frame_time)

        replay, digest, begun_ns = ExactReplay(recording, encoder, decoder, make_tracker), hashlib.sha256(), now_ns()
        for again in replay.replay_masks():
            interrupts.raise_if_requested()
            digest.update(again.replayed or b"")
            if file is not None and again.replayed is not None:
                file.write_message("mask", again.frame.captured_ns + recording.about.wall_ns, again.replayed)
    account, took_s = replay.summary, (now_ns() - begun_ns) / 1e9
    progress.show_line(
        f"{account.masks} masks again in {took_s:.1f} s, {account.identical} of them byte for byte as recorded; "
        f"sha256 {digest.hexdigest()}"
    )
    if account.identical == account.masks:
        return True
    reasons = _explain_difference(account, recording, engine, config)
    for reason in reasons:
        progress.show_line(reason)
    return bool(reasons)


def _explain_difference(
    account: ReplaySummary, recording: RecordingReader, engine: Mapping[str, Any], config: RunConfig
) -> list[str]:
    """List the reasons why the masks differ from the recorded ones, though each replay gives the same."""
    about, said = recording.about, []
    same = [key for key in engine if key != "engine_id"]  # which counts the engines of a process
    if any(about.engine.get(key) != engine[key] for key in same):
        then, now = ([str(kind.get(name, "?")) for name in ENGINE] for kind in (about.engine, engine))
        said.append(f"the engine is another one: then {' '.join(then)}, now {' '.join(now)}")
    if config.tracker != read_recorded_config(recording).tracker:
        said.append("the tracker's settings are not those of the run")
    if not about.from_start:
        said.append("the recording began in the middle of the run, and lacks what was known before")
    if account.inexact_frames:
        said.append(
            f"{account.inexact_frames} pictures were packed anew; record with --set record.frames=png to keep them"
        )
    if account.missing_frames:
        why = "the disk was too slow for it, or the file is damaged"
        early = "" if about.from_start else "it came before the recording began, or "
        said.append(f"{account.missing_frames} turns have no frame: {early}{why}")
    if account.clock_mismatches:
        why = "the program is another one, or knew something else"
        said.append(f"the clock was asked otherwise in {account.clock_mismatches} turns: {why}")
    if recording.damaged:
        said.append(f"{recording.damaged} chunks of the file are damaged")
    return said
