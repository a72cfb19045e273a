"""One decoder for two users: one that must not wait, and one that takes what time is left."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from engines.base import Decoder, Embedding, EngineInfo, MaskCandidates, Prompt


class SharedDecoder:
    """A `Decoder` that is used as before, and `aside` for others: these wait whenever the first one wants it.

    Whoever is first waits for one call of the other at most, so that calls aside should be short.
    """

    def __init__(self, inside: Decoder) -> None:
        self._inside = inside
        self._free = threading.Condition()
        self._busy = False
        self._waiting = 0
        self.background: Decoder = _BackgroundDecoder(self)

    @property
    def info(self) -> EngineInfo:
        """That of the decoder."""
        return self._inside.info

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """As the decoder; before anybody else."""
        with self._free:
            self._waiting += 1
            try:
                self._free.wait_for(lambda: not self._busy)
                self._busy = True
            finally:
                self._waiting -= 1
        return self._run(embedding, prompts)

    def decode_in_background(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """As the decoder; when nobody else wants it."""
        with self._free:
            self._free.wait_for(lambda: not self._busy and not self._waiting)
            self._busy = True
        return self._run(embedding, prompts)

    def close(self) -> None:
        """Close the decoder, once nobody uses it."""
        with self._free:
            self._free.wait_for(lambda: not self._busy)
            self._inside.close()

    def _run(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        try:
            return self._inside.decode(embedding, prompts)
        finally:
            with self._free:
                self._busy = False
                self._free.notify_all()


class _BackgroundDecoder:
    """A shared decoder as its second user sees it; not its to close."""

    def __init__(self, shared: SharedDecoder) -> None:
        self._shared = shared

    @property
    def info(self) -> EngineInfo:
        return self._shared.info

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        return self._shared.decode_in_background(embedding, prompts)

    def close(self) -> None:
        """It is not its own to close."""
