"""Runs an engine where it can be abandoned, and replaces it while running when it hangs or keeps failing."""

from __future__ import annotations

import logging
import threading
from collections import deque
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
from realtime.infra.heartbeat import Heartbeat

log = logging.getLogger(__name__)
T = TypeVar("T")
FIRST_DEADLINE_S, FIRST_HANG_S = 5.0, 30.0
"""Of the first call for a shape, which compiles its graph: when it is reported, and when the engine is abandoned."""
DEADLINE_S, DEADLINE_FACTOR = 0.8, 4
HANG_S, HANG_FACTOR = 2.0, 10
"""The same later: at least so long, and so many times the slowest of the last calls, as the machine may be busy."""
KNOWN_CALLS = 8
FAILING_S, MIN_FAILURES = 1.0, 3
"""An engine is replaced when at least so many calls in a row have failed, for at least this time."""
OPEN_LIMIT_S = 120.0
BACKOFF_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Before the attempts to open another engine; later ones wait the last of these."""
POLL_S, STABLE_S = 0.05, 60.0
"""An engine that worked for so long before it failed is the first to be opened again, at once."""
MAX_ABANDONED = 8
"""Threads that hang; after them the run stays without an engine."""

OpenEngine = Callable[[tuple[int, int] | None], tuple[Encoder, Decoder]]
"""Opens an engine for frames of (width, height), or of unknown size."""


@dataclass(frozen=True, slots=True)
class FallbackEngine:
    """Describes an engine that may replace one that hangs or fails. name: for messages."""

    name: str
    open: OpenEngine


class _WatchedCalls:
    """Runs the calls of one kind, `encode` or `decode`, and knows how long they usually take."""

    def __init__(self, kind: str, is_cancelled: Callable[[], bool]) -> None:
        self.kind, self.heartbeat = kind, Heartbeat(kind, FIRST_DEADLINE_S, "call")
        self._thread = AbandonableThread(f"gazecast-engine-{kind}", is_cancelled)
        self.forget()

    def forget(self) -> None:
        """Forget durations and failures, as of an engine that was replaced."""
        self._durations_ns: deque[int] = deque(maxlen=KNOWN_CALLS)
        self._shapes: set[Hashable] = set()
        self._failures, self._failing_since_ns = 0, 0

    def run(self, function: Callable[[], T], shape: Hashable, *, can_abandon: bool) -> T:
        """Call, on a thread of its own where it can be abandoned; raises `CallAbandoned` for a call that hangs."""
        slowest_s, is_known = max(self._durations_ns, default=0) / 1e9, shape in self._shapes
        self.heartbeat.deadline_s = max(DEADLINE_S, DEADLINE_FACTOR * slowest_s) if is_known else FIRST_DEADLINE_S
        hang_s = max(HANG_S, HANG_FACTOR * slowest_s) if is_known else FIRST_HANG_S
        begun_ns = now_ns()
        with self.heartbeat.working():
            result = self._thread.call(function, hang_s) if can_abandon else function()
        if is_known:
            self._durations_ns.append(now_ns() - begun_ns)
        self._shapes.add(shape)
        self._failures = 0
        return result

    def count_failure(self) -> None:
        """Count a call that failed."""
        if not self._failures:
            self._failing_since_ns = now_ns()
        self._failures += 1

    @property
    def is_failing(self) -> bool:
        """Whether all calls have failed for some time."""
        return self._failures >= MIN_FAILURES and now_ns() - self._failing_since_ns >= FAILING_S * 1e9

    def close(self) -> None:
        """Let the thread end."""
        self._thread.close()


class EngineWatch:
    """The engine of a pipeline: a `Decoder`, with `encode`, whose inside is replaced when it hangs or keeps failing.

    An engine that hangs is not used again; calls raise `EngineUnavailable` until another one is open. One that fails is
    used until then, and stays if it works again. The first fallback may be the same engine, opened anew. Without
    fallbacks calls run on their callers' threads, and nothing is replaced. `encode` is for one thread, `decode` for
    another.
    """

    def __init__(
        self,
        pair: tuple[Encoder, Decoder],
        fallbacks: Sequence[FallbackEngine] = (),
        stopping: threading.Event | None = None,
        on_open: Callable[[Encoder, threading.Event], None] = lambda encoder, retired: None,
    ) -> None:
        """stopping: ends the wait for what hangs.

        on_open: called with each encoder in use, and with an event that is set when it no longer is.
        """
        self._stopping, self._fallbacks, self._on_open = stopping or threading.Event(), tuple(fallbacks), on_open
        self._encodes = _WatchedCalls("encode", self._stopping.is_set)
        self._decodes = _WatchedCalls("decode", self._stopping.is_set)
        self.heartbeat = self._decodes.heartbeat
        """Of `decode`; who calls `encode` has one of its own."""
        self._lock = threading.Lock()
        self._size: tuple[int, int] | None = None
        self._attempts = self._next = self._abandoned = self._replaced = 0
        self._cause = self._problem = self._reason = ""
        self._is_replacing = False
        self._info, self._opened_ns = pair[1].info, now_ns()
        self._pair: tuple[Encoder, Decoder] | None = pair
        self._retired = threading.Event()
        self.needs_keyframe = False
        """Whether no frame was encoded since the engine was replaced."""
        on_open(pair[0], self._retired)

    @property
    def encoder(self) -> Encoder | None:
        """The encoder in use; None while there is none."""
        pair = self._pair
        return None if pair is None else pair[0]

    @property
    def info(self) -> EngineInfo:
        """See `Decoder.info`; of the last engine while there is none."""
        return self._info

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

    def release(self) -> None:
        """Let what works for the engine in use, such as the compiler of other sides, end; after `stopping` was set."""
        with self._lock:
            self._retired.set()

    def close(self) -> None:
        """Close the engine; call it when neither `encode` nor `decode` runs."""
        for calls in (self._encodes, self._decodes):
            calls.close()
        with self._lock:
            pair, self._pair = self._pair, None
        if pair is not None:
            _close(pair)

    def _call(self, calls: _WatchedCalls, function: Callable[[tuple[Encoder, Decoder]], T], shape: Hashable) -> T:
        if (pair := self._pair) is None:
            self._begin_replacing()
            raise EngineUnavailable("another engine is being opened")
        try:
            return calls.run(lambda: function(pair), shape, can_abandon=bool(self._fallbacks))
        except CallAbandoned as error:
            if not self._stopping.is_set():
                self._retire(pair, f"{calls.kind} hangs", hangs=True)
            raise EngineUnavailable(str(error)) from None
        except PromptError:  # of the caller
            raise
        except ForeignEmbedding:
            raise EngineUnavailable("the engine was replaced, and its first keyframe is awaited") from None
        except Exception as error:
            calls.count_failure()
            if calls.is_failing and self._fallbacks:
                self._retire(pair, f"{calls.kind} fails ({describe_error(error)})", hangs=False)
            raise

    # -- replacing ----------------------------------------------------------------------------------------------------

    def _retire(self, pair: tuple[Encoder, Decoder], why: str, *, hangs: bool) -> None:
        """Stop using an engine that hangs, and begin to open another one."""
        with self._lock:
            if self._pair is not pair:
                return
            if not self._is_replacing:
                self._cause = f"{self._info.backend} {self._info.precision}: {why}"
                self._problem = f"engine: {self._cause}"
            if hangs:
                self._abandoned, self._pair = self._abandoned + 1, None
                self._retired.set()
        self._begin_replacing()

    def _begin_replacing(self) -> None:
        """Start the thread that opens another engine, unless it runs."""
        with self._lock:
            if self._is_replacing or self._abandoned >= MAX_ABANDONED or self._stopping.is_set():
                return
            self._is_replacing = True
            if now_ns() - self._opened_ns > STABLE_S * 1e9:
                self._next = self._attempts = 0
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
                opening.call(partial(_try_engine, pair, self._size), FIRST_HANG_S)
            except Exception as error:  # CallAbandoned, and all that an engine may raise
                self._abandoned += isinstance(error, CallAbandoned)
                self._problem = f"engine: {cause}; {fallback.name}: {describe_error(error)}"
                log.warning("%s cannot replace the engine: %s", fallback.name, describe_error(error))
                continue
            unused = self._use(pair, f"{cause}; replaced by {fallback.name}")
            if unused is not None:
                opening.call(partial(_close, unused), FIRST_HANG_S)
        if self._info is info:  # nothing was replaced
            self._next = self._attempts = 0

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
            if not self._works() and self._abandoned < MAX_ABANDONED and not self._stopping.is_set():
                return False
            self._is_replacing = False
            return True

    def _works(self) -> bool:
        return self._pair is not None and not (self._encodes.is_failing or self._decodes.is_failing)

    def _use(self, pair: tuple[Encoder, Decoder], reason: str) -> tuple[Encoder, Decoder] | None:
        """Use an engine unless the present one works again; returns the other one, None for one that hangs."""
        with self._lock:
            if self._works() or self._stopping.is_set():
                return pair
            before, self._pair = self._pair, pair
            self._retired.set()
            self._retired = threading.Event()
            for calls in (self._encodes, self._decodes):
                calls.forget()
            self._info, self._opened_ns, self._reason = pair[1].info, now_ns(), reason
            self._replaced, self.needs_keyframe = self._replaced + 1, True
        log.warning("%s", reason)
        self._on_open(pair[0], self._retired)
        return before


def _try_engine(pair: tuple[Encoder, Decoder], size: tuple[int, int] | None) -> None:
    """Have an engine encode and decode a grey picture; raises `EngineError` where it cannot."""
    width, height = size or (64, 64)
    embedding = pair[0].encode(np.full((height, width, 3), 128, np.uint8))
    check_finite(pair[1].decode(embedding, [Prompt.click(width / 2, height / 2)]))


def _close(pair: tuple[Encoder, Decoder]) -> None:
    for part in pair:
        try:
            part.close()
        except Exception as error:
            log.warning("the engine cannot be closed: %s", describe_error(error))
