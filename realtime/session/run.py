"""Runs `gazecast run`: opens the session of one wearer with an engine and sockets of its own, and closes them again."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial

import cv2

from realtime.config.schema import RunConfig
from realtime.errors import RunFailed
from realtime.infra.interrupts import InterruptHandler
from realtime.infra.machine import limit_memory_arenas
from realtime.infra.threads import retry_without_memory
from realtime.media.overlay import draw_overlay
from realtime.pipeline.control import USER_VERBS
from realtime.session.engine import apply_adapter
from realtime.session.own_engine import OwnEngine
from realtime.session.run_inputs import RunInputs, open_run_inputs
from realtime.session.run_outputs import RunOutputs, open_run_outputs
from realtime.session.view import RunView
from realtime.session.wearer_session import WearerSession
from realtime.sources.names import redact_source

SETTLE_S = 0.3
"""The time after a file's last frame in which its mask is published."""
POLL_S = 0.1


def run(config: RunConfig, view: RunView, *, window: bool = False, stop: threading.Event | None = None) -> None:
    """Run until an interrupt, until `stop` is set, the window is closed or a file has ended.

    Raises `SettingsError`, `SourceError`, `TransportError`, `WindowError`, `CalibrationError` or `EngineError` when it
    cannot start, KeyboardInterrupt when it is interrupted before that, `RunFailed` when it ends by an error.
    """
    limit_memory_arenas()
    cv2.setNumThreads(1)  # the tracker's share of the cores; the rest belongs to the engine
    stop = stop or threading.Event()
    config = apply_adapter(config)
    with ExitStack() as stack:
        interrupts = stack.enter_context(InterruptHandler())
        inputs = open_run_inputs(config, view, stack, window=window)
        outputs = open_run_outputs(config, view, stack, inputs, stop)
        engine = OwnEngine(config, view.progress, interrupts, is_live=not inputs.is_faster_than_real_time)
        session = WearerSession(config, inputs, outputs.session, engine, view.progress)
        stack.callback(session.stop)
        session.start()
        if inputs.page is not None:
            inputs.page.enable_verbs(USER_VERBS)
        view.on_ready(redact_source(config.source), outputs.socket.endpoint)
        retry_without_memory(partial(_wait_for_end, session, inputs, outputs, interrupts, stop), stop)
        if session.rejection:
            raise RunFailed(session.rejection)
        if session.has_ended:
            stop.wait(SETTLE_S)
            session.check_end()


def _wait_for_end(
    session: WearerSession, inputs: RunInputs, outputs: RunOutputs, interrupts: InterruptHandler, stop: threading.Event
) -> None:
    """Block until the run must end; meanwhile draw into the window, which belongs to this thread."""
    window = inputs.window
    while not (stop.is_set() or interrupts.is_requested or session.has_ended or session.rejection):
        if window is None:
            stop.wait(POLL_S)
            continue
        if (newest := outputs.newest.slot.get(0)) is not None:
            label = newest.result.label if newest.result is not None else None
            window.show(draw_overlay(newest.frame.image, newest.result, name=label.name if label is not None else ""))
        if not window.poll():
            stop.set()
