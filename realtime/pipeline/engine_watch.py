"""Runs an engine where it can be abandoned, and replaces it while running when it hangs or keeps failing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from engines import Decoder, Embedding, Encoder, EngineInfo, EngineUnavailable, Image, Prompt, PromptError
from engines.base import ForeignEmbedding, MaskCandidates, check_finite
from realtime.infra.abandonable import AbandonableThread, CallAbandoned
from realtime.infra.clock import now_ns
from realtime.infra.error_guard import describe_error
from realtime.pipeline.watched_calls import CallKind, WatchedCalls

log = logging.getLogger(__name__)
T = TypeVar("T")
OPEN_LIMIT_S, TRY_LIMIT_S = 120.0, 30.0
BACKOFF_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Before the attempts to open another engine; later ones wait the last of these."""
POLL_S, STABLE_S = 0.05, 60.0
"""An engine that worked for so long before it failed is the first to be opened again."""
SLOW_S = 10.0
"""For so long after a call that seemed to hang has returned, the first attempt waits: the machine may be slow."""
MAX_ABANDONED = 8
"""Calls that hang; with so many no other engine is opened."""

EnginePair = tuple[Encoder, Decoder]
OpenEngine = Callable[[tuple[int, int] | None], EnginePair]
"""Opens an engine for frames of (width, height), or of unknown size."""


@dataclass(frozen=True, slots=True)
class FallbackEngine:
    """Describes an engine that may replace one that hangs or fails. name: for messages."""

    name: str
    open: OpenEngine


class EngineWatch:
    """The engine of a pipeline: a `Decoder`, with `encode`, whose inside is replaced when it hangs or keeps failing.

    When a call hangs, another engine is opened, and calls of that kind raise `EngineUnavailable`; when all fail, the
    engine is used meanwhile. It stays if the call returns, or one succeeds, before the other one is open. The first
    fallback may be the same engine, opened anew. Without fallbacks calls run on their callers' threads, and nothing is
    replaced. `encode` is for one thread, `decode` for another.

    An engine that others share is watched from outside: calls run on their callers' threads, and who calls
    `find_hanging` often leaves those threads behind whose calls hang.
    """

    def __init__(
        self,
        pair: EnginePair,
        fallbacks: Sequence[FallbackEngine] = (),
        stopping: threading.Event | None = None,
        on_open: Callable[[EnginePair, threading.Event], None] = lambda pair, retired: None,
        *,
        is_shared: bool = False,
    ) -> None:
        """stopping: ends the wait for what hangs.

        on_open: called with each engine in use, and with an event that is set when it no longer is.
        """
        self._stopping, self._fallbacks, self._on_open = stopping or threading.Event(), tuple(fallbacks), on_open
        self._is_shared = is_shared
        self._running: dict[CallKind, tuple[EnginePair, threading.Event]] = {}  # of a shared engine
        self._encodes = WatchedCalls("encode", "frame", self._stopping.is_set)
        self._decodes = WatchedCalls("decode", "call", self._stopping.is_set)
        self.heartbeats = self._encodes.heartbeat, self._decodes.heartbeat
        self._lock = threading.Lock()
        self._size: tuple[int, int] | None = None
        self._attempts = self._next = self._replaced = 0
        self._abandoned: dict[threading.Event, EnginePair | None] = {}  # the ends of calls that hang, and their engines
        self._cause = self._problem = self._reason = ""
        self._is_replacing = False
        self._info, self._opened_ns = pair[1].info, now_ns()
        self._slow_ns = -round(SLOW_S * 1e9)  # when a call that seemed to hang returned
        self._pair = pair
        self._retired = threading.Event()
        self.needs_keyframe = False
        """Whether no frame was encoded since the engine was replaced."""
        on_open(pair, self._retired)

    @property
    def encoder(self) -> Encoder | None:
        """The encoder in use; None while it hangs."""
        return self._pair[0] if self._encodes.hanging is None else None

    @property
    def info(self) -> EngineInfo:
        """See `Decoder.info`."""
        return self._info

    @property
    def pair(self) -> EnginePair:
        """The engine in use, also one that hangs and is not replaced yet."""
        return self._pair

    def describe(self) -> dict[str, Any]:
        """Describe the engine for `health`, with how often it was replaced and why."""
        return {**asdict(self._info), "replaced": self._replaced, "reason": self._reason}

    def problem(self) -> str:
        """Return why there is no engine that works; empty while there is one."""
        return "" if self._works() else self._problem

    def encode(self, image: Image) -> Embedding:
        """See `Encoder.encode`."""
        self._size = image.shape[1], image.shape[0]
        embedding = self._call(self._encodes, lambda pair: pair[0].encode(image), image.shape)
        self.needs_keyframe = False
        return embedding

    def decode(self, embedding: Embedding, prompts: Sequence[Prompt]) -> tuple[MaskCandidates, ...]:
        """See `Decoder.decode`; raises `InvalidOutput` for masks that are no numbers."""
        has_mask = any(prompt.mask_logits is not None for prompt in prompts)
        points = max((len(prompt.points_px) for prompt in prompts), default=0)
        shape = embedding.letterbox, len(prompts), points, has_mask
        return self._call(self._decodes, lambda pair: check_finite(pair[1].decode(embedding, prompts)), shape)

    def run(self, kind: CallKind, function: Callable[[EnginePair], T], shape: Hashable) -> T:
        """Call an engine that is shared, and return what the function does. shape: decides how long it may take."""
        found = self._call(self._encodes if kind == "encode" else self._decodes, function, shape)
        if kind == "encode":
            self.needs_keyframe = False
        return found

    def set_size(self, size: tuple[int, int]) -> None:
        """Store the (width, height) of frames, for which another engine is opened."""
        self._size = size

    def find_hanging(self) -> list[CallKind]:
        """Begin to replace a shared engine whose calls hang, and return their kinds; each is returned once."""
        found: list[CallKind] = []
        for calls in (self._encodes, self._decodes) if self._fallbacks else ():
            running = self._running.get(calls.kind)
            if running is not None and calls.hanging is None and calls.is_overdue(now_ns()):
                pair, end = running
                calls.leave_behind()
                self._retire(pair, calls, f"{calls.kind} hangs", end)
                found += [calls.kind] if calls.hanging is end else []
        return found

    def release(self) -> None:
        """Let what works for the engine in use, such as the compiler of other sides, end; after `stopping` was set."""
        with self._lock:
            self._retired.set()

    def close(self) -> None:
        """Close the engine; call it when neither `encode` nor `decode` runs."""
        for calls in (self._encodes, self._decodes):
            calls.close()
        if not self._is_hanging():  # which closing might do, too
            _close(self._pair)

    def _call(self, calls: WatchedCalls, function: Callable[[EnginePair], T], shape: Hashable) -> T:
        pair, end = self._pair, threading.Event()
        if calls.hanging is not None:
            self._begin_replacing()
            raise EngineUnavailable("another engine is being opened")
        self._running[calls.kind] = pair, end
        can_abandon = bool(self._fallbacks) and not self._is_shared
        try:
            return calls.run(lambda: self._mark_end(calls, end, function, pair), shape, can_abandon=can_abandon)
        except CallAbandoned as error:
            if not self._stopping.is_set():
                self._retire(pair, calls, f"{calls.kind} hangs", end)
            raise EngineUnavailable(str(error)) from None
        except PromptError:  # of the caller
            raise
        except ForeignEmbedding:
            self.needs_keyframe |= not self._fallbacks  # where the owner of a shared engine has replaced it
            raise EngineUnavailable("the engine was replaced, and its first keyframe is awaited") from None
        except Exception as error:
            calls.count_failure()
            if calls.is_failing and self._fallbacks:
                self._retire(pair, calls, f"{calls.kind} fails ({describe_error(error)})")
            raise

    def _mark_end(
        self,
        calls: WatchedCalls,
        end: threading.Event,
        function: Callable[[EnginePair], T],
        pair: EnginePair,
    ) -> T:
        """Call an engine; when it returns at last, it is used again, or closed where another one has replaced it.

        Raises `CallAbandoned` on the thread of a shared engine's call that was left behind.
        """
        was_abandoned = False
        try:
            result = function(pair)
        finally:
            with self._lock:
                end.set()
                was_abandoned = self._abandoned.pop(end, None) is not None
                if calls.hanging is end:
                    calls.hanging, self._slow_ns = None, now_ns()
                is_unused = was_abandoned and self._pair is not pair and pair not in self._abandoned.values()
            if is_unused:
                _close(pair)
        if was_abandoned and self._is_shared:
            raise CallAbandoned(f"{calls.kind} has returned too late")
        return result

    # -- replacing ----------------------------------------------------------------------------------------------------

    def _retire(self, pair: EnginePair, calls: WatchedCalls, why: str, end: threading.Event | None = None) -> None:
        """Begin to open another engine. end: of a call that hangs."""
        with self._lock:
            if self._pair is not pair or (end is not None and end.is_set()):
                return
            if not self._is_replacing:
                self._cause = f"{self._info.backend} {self._info.precision}: {why}"
                self._problem = f"engine: {self._cause}"
            if end is not None:
                calls.hanging = end
                self._abandoned[end] = pair
        self._begin_replacing()

    def _begin_replacing(self) -> None:
        """Start the thread that opens another engine, unless it runs."""
        with self._lock:
            if self._is_replacing or len(self._abandoned) >= MAX_ABANDONED or self._stopping.is_set():
                return
            self._is_replacing = True
            if not self.needs_keyframe:  # it has worked
                self._attempts = int(not _has_passed(self._slow_ns, SLOW_S))
            if _has_passed(self._opened_ns, STABLE_S):
                self._next = 0
        log.warning("another engine is opened: %s", self._cause)
        try:
            threading.Thread(target=self._replace, name="gazecast-engine-open", daemon=True).start()
        except RuntimeError:  # no memory for a thread: the next call tries again
            self._is_replacing = False

    def _replace(self) -> None:
        """Replace the engine; the body of a thread."""
        opening = AbandonableThread("gazecast-engine-opener", self._stopping.is_set)
        try:
            self._open_fallbacks(opening)
        except Exception as error:  # such as no memory; the next call tries again
            log.warning("the engine cannot be replaced: %s", describe_error(error))
            self._is_replacing = False
        opening.close()

    def _open_fallbacks(self, opening: AbandonableThread) -> None:
        """Open the fallbacks in their order until one works, or the present engine works again."""
        info, cause = self._info, self._cause
        while not self._has_ended():
            if not self._has_waited(BACKOFF_S[min(self._attempts, len(BACKOFF_S) - 1)]):
                continue
            fallback = self._fallbacks[self._next]
            self._attempts, self._next = self._attempts + 1, (self._next + 1) % len(self._fallbacks)
            try:
                pair = opening.call(partial(fallback.open, self._size), OPEN_LIMIT_S)
                opening.call(partial(_try_engine, pair, self._size), TRY_LIMIT_S)
            except Exception as error:  # CallAbandoned, and all that an engine may raise
                if isinstance(error, CallAbandoned):
                    self._abandoned[threading.Event()] = None
                self._problem = f"engine: {cause}; {fallback.name}: {describe_error(error)}"
                log.warning("%s cannot replace the engine: %s", fallback.name, describe_error(error))
                continue
            unused = self._use(pair, f"{cause}; replaced by {fallback.name}")
            if unused is not None:
                opening.call(partial(_close, unused), TRY_LIMIT_S)
        if self._info is info:  # nothing was replaced
            self._next = 0

    def _has_waited(self, seconds: float) -> bool:
        """Wait, and return whether that was to the end: not while stopping, nor when the engine works again."""
        until_ns = now_ns() + round(seconds * 1e9)
        while now_ns() < until_ns:
            if self._works() or self._stopping.wait(POLL_S):
                return False
        return not self._stopping.is_set()

    def _has_ended(self) -> bool:
        """Return whether nothing is to be opened; under the lock, as an engine may begin to hang at any time."""
        with self._lock:
            if not self._works() and len(self._abandoned) < MAX_ABANDONED and not self._stopping.is_set():
                return False
            self._is_replacing = False
            return True

    def _works(self) -> bool:
        return self._encodes.works and self._decodes.works

    def _is_hanging(self) -> bool:
        return self._encodes.hanging is not None or self._decodes.hanging is not None

    def _use(self, pair: EnginePair, reason: str) -> EnginePair | None:
        """Use an engine unless the present one works again; returns the other one, None for one that hangs."""
        with self._lock:
            if self._works() or self._stopping.is_set():
                return pair
            before = None if self._is_hanging() else self._pair
            self._pair = pair
            self._retired.set()
            self._retired = threading.Event()
            for calls in (self._encodes, self._decodes):
                calls.forget()
            self._info, self._opened_ns, self._reason = pair[1].info, now_ns(), reason
            self._replaced, self.needs_keyframe = self._replaced + 1, True
        log.warning("%s", reason)
        self._on_open(pair, self._retired)
        return before


def _has_passed(since_ns: int, seconds: float) -> bool:
    return now_ns() - since_ns > seconds * 1e9


def _try_engine(pair: EnginePair, size: tuple[int, int] | None) -> None:
    """Have an engine encode and decode a grey picture; raises `EngineError` where it cannot."""
    width, height = size or (64, 64)
    embedding = pair[0].encode(np.full((height, width, 3), 128, np.uint8))
    check_finite(pair[1].decode(embedding, [Prompt.click(width / 2, height / 2)]))


def _close(pair: EnginePair) -> None:
    for part in pair:
        try:
            part.close()
        except Exception as error:
            log.warning("the engine cannot be closed: %s", describe_error(error))
