"""Answers requests beside the loop: quick ones at once; those that the tracker must come to, and slow ones, in turn.

Takes part in a run as a pipeline observer; the loop never waits for it. The tracker is asked through commands, which it
obeys between two frames.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np

from engines import Decoder, EngineError
from engines.automatic_masks import AutomaticMask, generate_masks, run_to_end, segment_prompt
from realtime.comms import MaskMessage, unpack
from realtime.comms.requests import (
    MAX_HISTORY_S,
    MAX_REQUEST_BYTES,
    EverythingRequest,
    HistoryRequest,
    HoldRequest,
    ReleaseRequest,
    SegmentRequest,
    SnapshotRequest,
    StatusRequest,
    object_fields,
    pack_refusal,
    pack_reply,
    read_request,
)
from realtime.comms.sockets import ReplySocket
from realtime.comms.sockets.request_reply import ClientId
from realtime.errors import WireError
from realtime.pipeline.control import CommandQueue, UserCommand
from realtime.pipeline.observers import FrameResult, PipelineObserver
from realtime.tracking.dwell import MaskPoints
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.user_overrides import ExternalObjects
from realtime.types import FrameKey, FrameRef

_Jobs = queue.Queue[tuple[ClientId, SegmentRequest | EverythingRequest | HoldRequest | ReleaseRequest]]
WAIT_S = 0.1
_NOTHING: Any = object()
LOOK_S = 0.02
"""How long a finished slow answer may wait for the socket's thread."""
TRACKER_S = 2.0
MOST_WAITING, MOST_STEERING = 4, 32
MOST_HISTORY_BYTES = 64 << 20
MOST_KNOWN = 256
"""Things that are made known to the stream at a time, the surest first; the others are answered without an id."""
KNOWN_POINTS = 24
"""Of each, carried along with every frame."""


class RequestRefused(Exception):
    """What was asked cannot be done; the message says why."""


class RequestServer(PipelineObserver):
    """Serves from `__init__` to `close`."""

    name = "requests"

    def __init__(self, endpoint: str, stream: str, commands: CommandQueue, clock_ns: Callable[[], int]) -> None:
        """Bind; raises `TransportError`."""
        self._stream, self._commands, self._clock_ns = stream, commands, clock_ns
        self._socket = ReplySocket(endpoint, max_bytes=MAX_REQUEST_BYTES)
        self.endpoint = self._socket.endpoint
        self._shown: FrameResult | None = None
        self._held = False
        self._decoder: Decoder | None = None
        self._keyframe: Keyframe | None = None
        self._history: deque[tuple[int, bytes]] = deque()
        self._history_bytes = 0
        self._lock = threading.Lock()
        self._slow: _Jobs = queue.Queue(MOST_WAITING)
        self._steering: _Jobs = queue.Queue(MOST_STEERING)
        self._done: deque[tuple[ClientId, bytes]] = deque()
        self._refused = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work, args=jobs, name=f"gazecast-requests-{name}", daemon=True)
            for name, work, jobs in (
                ("socket", self._serve, ()),
                ("work", self._work, (self._slow,)),
                ("steering", self._work, (self._steering,)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End within a second; what is still being worked out is not answered. Twice is fine."""
        self._stop.set()
        for thread in self._threads:
            thread.join(0.5)

    # -- what happens in the run --------------------------------------------------------------------------------------

    def on_engine(self, decoder: Decoder) -> None:
        """Know the decoder; calls to it must be short."""
        self._decoder = decoder

    def on_keyframe(self, keyframe: Keyframe) -> None:
        """Know the newest keyframe."""
        self._keyframe = keyframe

    def on_mask(self, shown: FrameResult) -> None:
        """Know the newest frame, and whether what was held is lost."""
        self._shown = shown
        if shown.result is not None and shown.result.state == "lost":
            self._held = False

    def on_message(self, topic: str, payload: bytes) -> None:
        """Remember masks."""
        if topic != "mask":
            return
        now_ns = self._clock_ns()
        with self._lock:
            self._history.append((now_ns, payload))
            self._history_bytes += len(payload)
            oldest_ns = now_ns - round(MAX_HISTORY_S * 1e9)
            while self._history[0][0] < oldest_ns or self._history_bytes > MOST_HISTORY_BYTES:
                self._history_bytes -= len(self._history.popleft()[1])

    def drop_counts(self) -> dict[str, int]:
        """What was asked and could not be read or done, and answers that nobody read."""
        counts = {"requests.refused": self._refused + self._socket.refused, "requests.unread": self._socket.unread}
        return {name: count for name, count in counts.items() if count}

    # -- the socket's thread ------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while not self._stop.is_set():
                while self._done:
                    self._socket.reply(*self._done.popleft())
                asked = self._socket.receive(LOOK_S)
                if asked is not None:
                    self._take(*asked)
        finally:
            self._socket.close()

    def _take(self, asker: ClientId, payload: bytes) -> None:
        try:
            ask = read_request(payload)
            if isinstance(ask, SegmentRequest | EverythingRequest | HoldRequest | ReleaseRequest):
                (self._slow if isinstance(ask, SegmentRequest | EverythingRequest) else self._steering).put_nowait(
                    (asker, ask)
                )
                return
            answer = self._answer(ask)
        except queue.Full:
            answer = self._refuse("too many requests are waiting already; ask again later")
        except (WireError, RequestRefused) as error:
            answer = self._refuse(str(error))
        except Exception as error:  # one request that goes wrong must not be the last
            answer = self._refuse(f"{type(error).__name__}: {error}")
        self._socket.reply(asker, answer)

    def _refuse(self, why: str) -> bytes:
        self._refused += 1
        return pack_refusal(why)

    def _answer(self, ask: StatusRequest | SnapshotRequest | HistoryRequest) -> bytes:
        if isinstance(ask, StatusRequest):
            return pack_reply(**self._status())
        if isinstance(ask, SnapshotRequest):
            return pack_reply(**self._snapshot(ask))
        return pack_reply(masks=self._remembered(ask))

    def _status(self) -> dict[str, Any]:
        shown, keyframe = self._shown, self._keyframe
        message = shown.result if shown is not None else None
        return {
            "stream": self._stream,
            "object": message.object if message is not None else None,
            "state": message.state if message is not None else None,
            "held": self._held,
            "keyframe": None if keyframe is None else {"index": keyframe.index, "timestamp": keyframe.timestamp},
        }

    def _snapshot(self, ask: SnapshotRequest) -> dict[str, Any]:
        shown = self._shown
        if shown is None:
            raise RequestRefused("there is no frame yet; is the source running?")
        frame, message = shown.frame, shown.result
        if ask.format == "jpeg" and frame.jpeg is not None:
            data = frame.jpeg
        else:
            ok, packed = cv2.imencode(f".{ask.format}", frame.image)
            if not ok:
                raise RequestRefused(f"the frame cannot be packed as {ask.format}")
            data = np.asarray(packed).tobytes()
        mask = MaskMessage.from_result(message).to_fields() if message is not None else None
        return {"frame": asdict(FrameRef.of(frame)), "format": ask.format, "data": data, "mask": mask}

    def _remembered(self, ask: HistoryRequest) -> list[bytes]:
        since_ns = self._clock_ns() - round(ask.seconds * 1e9)
        with self._lock:
            found = [payload for at_ns, payload in self._history if at_ns >= since_ns]
        masks = [payload for payload in found if unpack(payload).get("object") == ask.object]
        if not masks:
            raise RequestRefused(f"object {ask.object} was not published in the last {ask.seconds:g} s")
        return masks

    # -- the workers' threads -----------------------------------------------------------------------------------------

    def _work(self, jobs: _Jobs) -> None:
        while not self._stop.is_set():
            try:
                asker, ask = jobs.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            try:
                answer = (
                    self._segmented(ask)
                    if isinstance(ask, SegmentRequest | EverythingRequest)
                    else self._held_or_not(ask)
                )
            except (RequestRefused, EngineError, WireError) as error:
                answer = self._refuse(str(error))
            except Exception as error:
                answer = self._refuse(f"{type(error).__name__}: {error}")
            self._done.append((asker, answer))

    def _held_or_not(self, ask: HoldRequest | ReleaseRequest) -> bytes:
        on = isinstance(ask, HoldRequest)
        thing = self._steered(UserCommand("hold", on, object=ask.object if isinstance(ask, HoldRequest) else None))
        self._held = on
        return pack_reply(object=thing)

    def _steered(self, command: UserCommand) -> Any:
        """What the tracker says to a command; raises `RequestRefused` when it does not come to it, or cannot do it."""
        said: queue.Queue[Any] = queue.Queue(1)
        command = command.with_reply(said.put_nowait)
        self._commands.put(command)
        left_s, answer = TRACKER_S, _NOTHING
        while answer is _NOTHING and left_s > 0:
            self._go_on()
            with contextlib.suppress(queue.Empty):
                answer = said.get(timeout=WAIT_S)
            left_s -= WAIT_S
        # What is refused must not be done later; what the tracker has come to is being done.
        if answer is _NOTHING and not self._commands.remove(command):
            with contextlib.suppress(queue.Empty):
                answer = said.get(timeout=WAIT_S)
        if answer is _NOTHING:
            raise RequestRefused(f"no frame came within {TRACKER_S:g} s; is the source running?")
        if isinstance(answer, Exception):
            raise RequestRefused(str(answer))
        return answer

    def _segmented(self, ask: SegmentRequest | EverythingRequest) -> bytes:
        decoder, keyframe = self._decoder, self._keyframe
        if decoder is None or keyframe is None:
            raise RequestRefused("nothing is encoded yet; is the source running?")
        found: tuple[AutomaticMask, ...]
        if isinstance(ask, SegmentRequest):
            found = (segment_prompt(decoder, keyframe.embedding, ask.prompt),)
            if not found[0].area_px:
                raise RequestRefused("there is nothing there: the mask is empty")
        else:
            steps = generate_masks(decoder, keyframe.embedding, ask.settings)
            found = run_to_end(steps, lambda step: self._go_on())
        ids = self._known(keyframe, found)
        return pack_reply(
            frame=asdict(FrameRef.of(keyframe)),
            keyframe={"index": keyframe.index, "timestamp": keyframe.timestamp},
            things=[object_fields(each, thing) for each, thing in zip(found, ids, strict=True)],
        )

    def _known(self, keyframe: Keyframe, found: tuple[AutomaticMask, ...]) -> list[int | None]:
        """Ids by which the stream will call things, None for what it could not take."""
        if not found:
            return []
        traces = tuple(MaskPoints.from_mask(each.mask, keyframe.size, KNOWN_POINTS) for each in found[:MOST_KNOWN])
        known = ExternalObjects(FrameKey.of(keyframe), traces)
        ids = self._steered(UserCommand("know", known=known))
        return [*ids, *[None] * (len(found) - len(ids))]

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise RequestRefused("the run is ending")
