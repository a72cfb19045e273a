"""Answers one request of another program from the newest frame, keyframe and masks of a run."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import cv2
import numpy as np

from engines import Decoder
from engines.automatic_masks import AutomaticMask, generate_masks, run_to_end, segment_prompt
from realtime.comms.envelope import unpack
from realtime.comms.messages import MaskMessage
from realtime.comms.requests import (
    MAX_HISTORY_S,
    AlternativeRequest,
    ConfirmRequest,
    CorrectRequest,
    EverythingRequest,
    HistoryRequest,
    HoldRequest,
    ReleaseRequest,
    Request,
    SegmentRequest,
    SetWordRequest,
    SnapshotRequest,
    StatusRequest,
    UndoCorrectionRequest,
    object_fields,
    pack_reply,
)
from realtime.comms.session_requests import CloseSessionRequest, OpenSessionRequest, SessionsRequest
from realtime.errors import CommandRejected
from realtime.pipeline.control import CommandQueue, UserCommand
from realtime.pipeline.observers import FrameResult
from realtime.pipeline.words import WordAnswer, WordQueue, WordRequest
from realtime.tracking.dwell.mask_points import MaskPoints
from realtime.tracking.external_objects import ExternalObjects
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.word_search import WordState
from realtime.types import FrameKey, FrameRef

POLL_S = 0.1
TRACKER_S = 2.0
"""How long a command waits for the track thread, which executes commands between two frames."""
WORD_S = 60.0
"""How long a word waits; for the first one a recognizer may be opened."""
MAX_HISTORY_BYTES = 64 << 20
MAX_EXTERNAL_OBJECTS = 256
"""Objects of one request that the tracker follows, those of the highest score; the others get no id."""
POINTS_PER_OBJECT = 24
"""Points of each that are tracked from frame to frame."""
_NO_RESULT: Any = object()


class RequestRefused(Exception):
    """A request that cannot be executed; the message gives the reason."""


class MaskHistory:
    """A history of packed `mask` messages, bounded in time and bytes. From any thread."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._messages: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, payload: bytes) -> None:
        """Append a message and drop those that are too old or too many."""
        now_ns = self._clock_ns()
        with self._lock:
            self._messages.append((now_ns, payload))
            self._bytes += len(payload)
            oldest_ns = now_ns - round(MAX_HISTORY_S * 1e9)
            while self._messages[0][0] < oldest_ns or self._bytes > MAX_HISTORY_BYTES:
                self._bytes -= len(self._messages.popleft()[1])

    def since(self, seconds: float) -> list[bytes]:
        """Return the messages of the last `seconds`."""
        since_ns = self._clock_ns() - round(seconds * 1e9)
        with self._lock:
            return [payload for at_ns, payload in self._messages if at_ns >= since_ns]


class RequestHandler:
    """A handler of requests; commands to the tracker go through the `CommandQueue`. From any thread."""

    def __init__(self, stream: str, commands: CommandQueue, words: WordQueue, clock_ns: Callable[[], int]) -> None:
        self._stream, self._commands, self._words = stream, commands, words
        self._is_held = False
        self._result: FrameResult | None = None
        self.history = MaskHistory(clock_ns)
        self.decoder: Decoder | None = None
        self.keyframe: Keyframe | None = None
        self.word: WordState | None = None
        self.stopping = threading.Event()

    def update(self, result: FrameResult) -> None:
        """Store the newest result; a lost object is no longer held."""
        self._result = result
        if result.result is not None and result.result.state == "lost":
            self._is_held = False

    def reply(self, request: Request) -> bytes:
        """Execute a request and return the packed reply; raises `RequestRefused` or `EngineError`."""
        match request:
            case StatusRequest():
                return pack_reply(**self._status())
            case SnapshotRequest():
                return pack_reply(**self._snapshot(request))
            case HistoryRequest():
                return pack_reply(masks=self._find_masks(request))
            case HoldRequest():
                return self._hold(UserCommand("hold", True, object=request.object))
            case ReleaseRequest():
                return self._hold(UserCommand("hold", False))
            case AlternativeRequest():
                return pack_reply(object=self._execute(UserCommand("next" if request.step > 0 else "previous")))
            case ConfirmRequest():
                command = UserCommand("confirm", object=request.object, by="request")
                return pack_reply(object=self._execute(command))
            case CorrectRequest(clicks, frame_index, object_id, box):
                command = UserCommand("correct", object=object_id, clicks=clicks, frame_index=frame_index, box=box)
                return pack_reply(object=self._execute(command))
            case UndoCorrectionRequest(is_all):
                return pack_reply(object=self._execute(UserCommand("uncorrect" if is_all else "undo")))
            case SetWordRequest(text, seconds):
                return self._set_word(text or "", seconds)
            case SegmentRequest() | EverythingRequest():
                return self._segment(request)
            case SessionsRequest() | OpenSessionRequest() | CloseSessionRequest():
                raise RequestRefused("this is the run of one wearer; for many: gazecast serve")

    def _status(self) -> dict[str, Any]:
        result, keyframe, word = self._result, self.keyframe, self.word
        mask = result.result if result is not None else None
        return {
            "stream": self._stream,
            "object": mask.object if mask is not None else None,
            "state": mask.state if mask is not None else None,
            "held": self._is_held,
            "keyframe": None if keyframe is None else {"index": keyframe.index, "timestamp": keyframe.timestamp},
            "word": None if word is None else {"text": word.text, "known": word.is_known, "found": word.is_found},
        }

    def _snapshot(self, request: SnapshotRequest) -> dict[str, Any]:
        if self._result is None:
            raise RequestRefused("there is no frame yet; is the source running?")
        frame, result = self._result.frame, self._result.result
        if request.format == "jpeg" and frame.jpeg is not None:
            data = frame.jpeg
        else:
            encoded, packed = cv2.imencode(f".{request.format}", frame.image)
            if not encoded:
                raise RequestRefused(f"the frame cannot be packed as {request.format}")
            data = np.asarray(packed).tobytes()
        mask = MaskMessage.from_result(result).to_fields() if result is not None else None
        return {"frame": asdict(FrameRef.of(frame)), "format": request.format, "data": data, "mask": mask}

    def _find_masks(self, request: HistoryRequest) -> list[bytes]:
        recent = self.history.since(request.seconds)
        masks = [payload for payload in recent if unpack(payload).get("object") == request.object]
        if not masks:
            raise RequestRefused(f"object {request.object} was not published in the last {request.seconds:g} s")
        return masks

    def _hold(self, command: UserCommand) -> bytes:
        object_id = self._execute(command)
        self._is_held = command.on
        return pack_reply(object=object_id)

    def _execute(self, command: UserCommand) -> Any:
        """Return the tracker's result of a command; raises `RequestRefused` when it does not or cannot execute it."""
        results: queue.Queue[Any] = queue.Queue(1)
        command = replace(command, reply=results.put_nowait)
        self._commands.put(command)
        result = self._wait(results, TRACKER_S)
        # A refused command must not be executed later; one that is no longer queued is being executed.
        if result is _NO_RESULT and not self._commands.remove(command):
            with contextlib.suppress(queue.Empty):
                result = results.get(timeout=POLL_S)
        if result is _NO_RESULT:
            raise RequestRefused(f"no frame came within {TRACKER_S:g} s; is the source running?")
        if isinstance(result, Exception):
            raise RequestRefused(str(result))
        return result

    def _wait(self, results: queue.Queue[Any], left_s: float) -> Any:
        """Wait for a result; `_NO_RESULT` where none came. Raises `RequestRefused` when the run ends."""
        while left_s > 0:
            self._check_running()
            with contextlib.suppress(queue.Empty):
                return results.get(timeout=POLL_S)
            left_s -= POLL_S
        return _NO_RESULT

    def _set_word(self, text: str, seconds: float | None) -> bytes:
        answers: queue.Queue[WordAnswer | CommandRejected] = queue.Queue(1)
        request = WordRequest(text, seconds, answers.put_nowait)
        self._words.put(request)
        answer = self._wait(answers, WORD_S)
        if answer is _NO_RESULT:
            request.withdrawn.set()  # a refused word must not come into force later; one may be doing so right now
            with contextlib.suppress(queue.Empty):
                answer = answers.get(timeout=POLL_S)
        if answer is _NO_RESULT:
            raise RequestRefused(f"the word was not set within {WORD_S:g} s; is the source running?")
        if isinstance(answer, CommandRejected):
            raise RequestRefused(str(answer))
        return pack_reply(text=answer.text, known=answer.is_known, near=list(answer.near))

    def _segment(self, request: SegmentRequest | EverythingRequest) -> bytes:
        decoder, keyframe = self.decoder, self.keyframe
        if decoder is None or keyframe is None:
            raise RequestRefused("nothing is encoded yet; is the source running?")
        found: tuple[AutomaticMask, ...]
        if isinstance(request, SegmentRequest):
            found = (segment_prompt(decoder, keyframe.embedding, request.prompt),)
            if not found[0].area_px:
                raise RequestRefused("the mask is empty: no object was found there")
        else:
            steps = generate_masks(decoder, keyframe.embedding, request.settings)
            found = run_to_end(steps, lambda step: self._check_running())
        ids = self._track_objects(keyframe, found)
        return pack_reply(
            frame=asdict(FrameRef.of(keyframe)),
            keyframe={"index": keyframe.index, "timestamp": keyframe.timestamp},
            things=[object_fields(mask, object_id) for mask, object_id in zip(found, ids, strict=True)],
        )

    def _track_objects(self, keyframe: Keyframe, found: tuple[AutomaticMask, ...]) -> list[int | None]:
        """Have the tracker follow the masks, and return their object ids, None where it cannot."""
        if not found:
            return []
        points = tuple(
            MaskPoints.from_mask(mask.mask, keyframe.size, POINTS_PER_OBJECT) for mask in found[:MAX_EXTERNAL_OBJECTS]
        )
        known = ExternalObjects(FrameKey.of(keyframe), points)
        ids = self._execute(UserCommand("know", known=known))
        return [*ids, *[None] * (len(found) - len(ids))]

    def _check_running(self) -> None:
        if self.stopping.is_set():
            raise RequestRefused("the run is ending")
