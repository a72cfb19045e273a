"""Shares one decoder between a foreground thread and background work of lower priority."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from engines.base import Decoder, Embedding, EngineInfo, MaskCandidates, Prompt, check_finite


class SharedDecoder:
    """A `Decoder` that serves its own callers first, and those of `background` when it is idle.

    A foreground call waits for one background call at most, so background calls should be short. Masks that are no
    numbers are refused, see `check_finite`. Thread-safe.
    """

    def __init__(self, inside: Decoder) -> None:
        self._inside = inside
        self._free = threading.Condition()
        self._busy = False
        self._waiting = 0
        self.background: Decoder = _BackgroundDecoder(self)

    @property
    def info(self) -> EngineInfo:
        """Describe the shared decoder's engine."""
        return self._inside.info

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """Decode with priority over background calls; see `Decoder.decode`."""
        with self._free:
            self._waiting += 1
            try:
                self._free.wait_for(lambda: not self._busy)
                self._busy = True
            finally:
                self._waiting -= 1
        return self._run(embedding, prompts)

    def decode_in_background(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """Decode when no foreground call waits; see `Decoder.decode`."""
        with self._free:
            self._free.wait_for(lambda: not self._busy and not self._waiting)
            self._busy = True
        return self._run(embedding, prompts)

    def close(self) -> None:
        """Wait for the running call, then close the decoder."""
        with self._free:
            self._free.wait_for(lambda: not self._busy)
            self._inside.close()

    def _run(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        try:
            return check_finite(self._inside.decode(embedding, prompts))
        finally:
            with self._free:
                self._busy = False
                self._free.notify_all()


class _BackgroundDecoder:
    """A view of a shared decoder for background work; it never closes the decoder."""

    def __init__(self, shared: SharedDecoder) -> None:
        self._shared = shared

    @property
    def info(self) -> EngineInfo:
        return self._shared.info

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        return self._shared.decode_in_background(embedding, prompts)

    def close(self) -> None:
        """Do nothing: the decoder belongs to its foreground user."""
