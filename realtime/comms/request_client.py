"""`Requester`: what a robot asks of a run, typed, each with an answer or a reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from engines import Image
from realtime.comms import MaskMessage, decode_mask, read_message
from realtime.comms.requests import pack_request, read_reply
from realtime.comms.sockets import MAX_MESSAGE_BYTES, RequestSocket
from realtime.errors import WireError
from realtime.types import FrameRef, Mask

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5572"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedMask:
    """One thing that was found. object: the id that the stream calls it by; None if it could not take it.

    box: x0, y0, x1, y1 px, the last two exclusive. mask: (H, W) bool, of `frame`.
    """

    object: int | None
    frame: FrameRef
    predicted_iou: float
    stability: float
    box: tuple[int, int, int, int]
    mask: Mask


@dataclass(frozen=True, slots=True, eq=False)
class RequestedFrame:
    """A frame at its full resolution, (H, W, 3) BGR, and the mask that fits it, if there is one."""

    frame: FrameRef
    image: Image
    mask: Mask | None
    object: int | None


@contextmanager
def _as_agreed(ask: str) -> Iterator[None]:
    """Raise `WireError` for an answer that is none to what was asked, such as that of another program."""
    try:
        yield
    except WireError:
        raise
    except (LookupError, TypeError, ValueError, cv2.error) as error:
        raise WireError(f"the answer to {ask} is not understood ({type(error).__name__}: {error})") from None


class Requester:
    """Asks a run that was started with `--requests`; one thread, best in a `with` block.

    Every call raises `WireError` with the reason when it was refused, `RequestTimeout` when nobody answered in time.
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, *, timeout_s: float = 5.0) -> None:
        """Connect; raises `TransportError` for an address that can never work."""
        self._remote = RequestSocket(endpoint, timeout_s=timeout_s, max_bytes=MAX_MESSAGE_BYTES)
        self._patient = RequestSocket(endpoint, timeout_s=120.0, max_bytes=MAX_MESSAGE_BYTES)

    def status(self) -> dict[str, Any]:
        """What is on show, and whether it is held."""
        return self._ask(self._remote, "status")

    def hold(self, thing: int | None = None) -> int:
        """Keep what is on show, whatever the eyes do; refused if that is not `thing`. Gives its id."""
        with _as_agreed("hold"):
            return int(self._ask(self._remote, "hold", object=thing)["object"])

    def release(self) -> None:
        """Follow the eyes again."""
        self._ask(self._remote, "release")

    def snapshot(self) -> RequestedFrame:
        """The newest frame, every pixel of it, and its mask."""
        with _as_agreed("snapshot"):
            said = self._ask(self._remote, "snapshot")
            image = cv2.imdecode(np.frombuffer(said["data"], np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                raise WireError("the snapshot has no picture that can be decoded")
            fields = said["mask"]
            there = fields is not None and fields["mask"] is not None
            mask = decode_mask(fields["mask"]) if there else None
            return RequestedFrame(
                FrameRef(**said["frame"]), np.asarray(image, np.uint8), mask, fields["object"] if there else None
            )

    def history(self, thing: int, seconds: float = 5.0) -> list[MaskMessage]:
        """The masks of an object, of the last seconds, oldest first."""
        with _as_agreed("history"):
            said = self._ask(self._remote, "history", object=thing, seconds=seconds)
            found = [read_message("mask", payload) for payload in said["masks"]]
        return [message for message in found if isinstance(message, MaskMessage)]

    def segment(
        self,
        *,
        points: Sequence[tuple[float, float]] | None = None,
        labels: Sequence[int] | None = None,
        box: tuple[float, float, float, float] | None = None,
    ) -> SegmentedMask:
        """What is meant by points (labels: 1 on it, 0 not) or a box, px of the newest keyframe; arrays are fine."""
        given = {"points": points, "labels": labels, "box": box}
        fields = {name: list(values) for name, values in given.items() if values is not None}
        with _as_agreed("segment"):
            return self._things(self._ask(self._remote, "segment", **fields))[0]

    def everything(self, **settings: float) -> list[SegmentedMask]:
        """All there is on the newest keyframe; takes seconds. Settings: points_per_side, least_predicted_iou ..."""
        with _as_agreed("everything"):
            return self._things(self._ask(self._patient, "everything", **settings))

    def close(self) -> None:
        """Disconnect."""
        self._remote.close()
        self._patient.close()

    def __enter__(self) -> Requester:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @staticmethod
    def _ask(remote: RequestSocket, ask: str, **fields: Any) -> dict[str, Any]:
        return read_reply(remote.exchange([pack_request(ask, **fields)]))

    @staticmethod
    def _things(said: dict[str, Any]) -> list[SegmentedMask]:
        frame = FrameRef(**said["frame"])
        return [
            SegmentedMask(
                each["object"], frame, each["predicted_iou"], each["stability"], tuple(each["box"]),
                decode_mask(each["mask"]),
            )
            for each in said["things"]
        ]  # fmt: skip
