"""Opens the engine and the recognizer that all sessions of a host share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from engines import Decoder, Encoder, Image
from engines.recognition.base import ObjectRecognizer, Recognition, WordQuery
from realtime.config.schema import RunConfig
from realtime.errors import SettingsError
from realtime.infra.progress import PreparationStep, ProgressReporter
from realtime.pipeline.engine_watch import FallbackEngine
from realtime.serving.shared_engine import SharedEngine
from realtime.session.engine import adapt_engine, apply_adapter


class SharedRecognizer:
    """An `ObjectRecognizer` of several sessions, one at a time; opened when the first session needs it.

    A session's `close` does nothing; the host closes it by `close_all`.
    """

    def __init__(self, open_recognizer: Callable[[Encoder | None], ObjectRecognizer | None]) -> None:
        self._open, self._lock = open_recognizer, threading.Lock()
        self._is_opened = False
        self._inside: ObjectRecognizer | None = None

    def open_once(self, encoder: Encoder | None = None) -> SharedRecognizer | None:
        """Open it unless that was done; None where there is none. Raises `EngineError`.

        encoder: of the first session, whose speed may decide.
        """
        with self._lock:
            if not self._is_opened:
                self._inside, self._is_opened = self._open(encoder), True
            return self if self._inside is not None else None

    @property
    def model(self) -> str:
        """See `ObjectRecognizer.model`."""
        return self._opened().model

    def recognize(self, image: Image) -> Recognition:
        """See `ObjectRecognizer.recognize`; waits for other sessions."""
        with self._lock:
            return self._opened().recognize(image)

    def encode_word(self, text: str) -> WordQuery:
        """See `ObjectRecognizer.encode_word`."""
        return self._opened().encode_word(text)

    def close(self) -> None:
        """Do nothing: other sessions use it."""

    def close_all(self) -> None:
        """Close the recognizer."""
        with self._lock:
            if self._inside is not None:
                self._inside.close()

    def _opened(self) -> ObjectRecognizer:
        assert self._inside is not None, "open_once comes first"
        return self._inside


class HostEngine:
    """Holds the engine of a host and its recognizers, from its construction to `close`."""

    def __init__(
        self,
        share: SharedEngine,
        open_recognizer: Callable[[Encoder | None], ObjectRecognizer | None],
        open_word_recognizer: Callable[[], ObjectRecognizer],
        *,
        adapter: Path | None = None,
    ) -> None:
        """open_recognizer, open_word_recognizer: see `SessionEngine`; each is called once at most.

        adapter: whose weights the engine has.
        """
        self.share, self._adapter = share, adapter
        self._recognizer = SharedRecognizer(open_recognizer)
        self._word_recognizer = SharedRecognizer(lambda encoder: open_word_recognizer())

    def check_adapter(self, config: RunConfig) -> None:
        """Raise `SettingsError` for a session whose adapter has weights that the engine was not opened with."""
        wanted = apply_adapter(config).engine.adapter
        if wanted is not None and wanted != self._adapter:
            raise SettingsError(
                f"session {config.publish.stream}: {wanted} holds weights of the engine, which all sessions share; set "
                "adapter at the top of the file, or start another host"
            )

    def open_recognizer(self, encoder: Encoder) -> ObjectRecognizer | None:
        """Return the sessions' recognizer; None where there is none. Raises `EngineError`."""
        return self._recognizer.open_once(encoder)

    def open_word_recognizer(self) -> ObjectRecognizer:
        """Return what searches for the sessions' words; raises `EngineError` where there is none."""
        found = self._recognizer.open_once() or self._word_recognizer.open_once()
        assert found is not None
        return found

    def close(self) -> None:
        """Close all, after the sessions."""
        self.share.close()
        self._recognizer.close_all()
        self._word_recognizer.close_all()


class EngineClient:
    """The `SessionEngine` of one session of a host."""

    step = PreparationStep()
    encode_nice = 0
    """It only stages pictures and waits: at a lower priority it would keep Python's lock from those who track."""
    fallbacks: Sequence[FallbackEngine] = ()

    def __init__(self, engine: HostEngine, stream: str, progress: ProgressReporter) -> None:
        self._engine, self._stream, self._progress = engine, stream, progress
        self.work_slots = engine.share.work_slots
        self.is_cancelled = False
        """Whether the session shall not start any more."""

    def open(self, size: tuple[int, int] | None) -> tuple[Encoder, Decoder]:
        """See `SessionEngine.open`."""
        return adapt_engine(self._engine.share.open_client(self._stream), size, self._progress)

    def set_locked(self, is_locked: bool) -> None:
        """Set whether the wearer's gaze is locked on an object: then its keyframes come before those of others."""
        self._engine.share.set_locked(self._stream, is_locked)

    def set_sending(self, is_sending: bool) -> None:
        """Set whether the wearer's frames come, see `SharedEngine.set_sending`."""
        self._engine.share.set_sending(self._stream, is_sending)

    def count_frames(self, received: int, tracked: int) -> None:
        """Count the wearer's frames, see `SharedEngine.count_frames`."""
        self._engine.share.count_frames(received, tracked)

    def find_overload(self) -> str:
        """Return why keyframes come later than they should; empty if they do not."""
        return self._engine.share.find_overload()

    def open_recognizer(self, encoder: Encoder) -> ObjectRecognizer | None:
        """See `SessionEngine.open_recognizer`."""
        return self._engine.open_recognizer(encoder)

    def open_word_recognizer(self) -> ObjectRecognizer:
        """See `SessionEngine.open_word_recognizer`."""
        return self._engine.open_word_recognizer()

    def close(self) -> None:
        """End the session's use of the engine."""
        self._engine.share.close_client(self._stream)
