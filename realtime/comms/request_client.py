"""Sends typed requests to a run, and returns their replies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines import Image
from realtime.comms.mask_encoding import decode_mask, import_opencv
from realtime.comms.messages import MaskMessage, read_message
from realtime.comms.requests import MAX_REQUEST_BYTES, pack_request, read_reply
from realtime.comms.session_requests import HostedStream
from realtime.comms.sockets.base import MAX_MESSAGE_BYTES, find_access
from realtime.comms.sockets.request_reply import RequestSocket
from realtime.errors import WireError
from realtime.types import FrameRef, Mask

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5572"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedMask:
    """Holds one segmented object.

    object: its id in the stream; None if it could not be carried to the newest frame.
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
    """Holds a frame at full resolution, (H, W, 3) BGR, and its mask if there is one."""

    frame: FrameRef
    image: Image
    mask: Mask | None
    object: int | None


@dataclass(frozen=True, slots=True)
class SetWord:
    """Holds the word that is searched for. near: known names that are like an unknown one; that changes nothing."""

    text: str
    is_known: bool
    near: tuple[str, ...]


@contextmanager
def _check_reply(ask: str) -> Iterator[None]:
    """Raise `WireError` for a reply that does not fit the request, such as that of another program."""
    try:
        yield
    except WireError:
        raise
    except (LookupError, TypeError, ValueError) as error:
        raise WireError(f"the answer to {ask} is not understood ({type(error).__name__}: {error})") from None


def _decode_picture(data: bytes) -> Image:
    """Decode a PNG or JPEG to (H, W, 3) BGR uint8."""
    cv2 = import_opencv("a snapshot")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise WireError(f"the snapshot's picture cannot be decoded: {error}") from None
    if image is None:
        raise WireError("the snapshot has no picture that can be decoded")
    return np.asarray(image)


class Requester:
    """A client of a run started with `--requests`, or of a host, for one thread; best used in a `with` block.

    Every call raises `WireError` with the reason when it was refused, `RequestTimeout` without a reply in time,
    `AccessError` when the run refuses this client.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        stream: str | None = None,
        timeout_s: float = 5.0,
        keys: Path | None = None,
        server_key: str | None = None,
    ) -> None:
        """Connect; raises `TransportError` for an invalid address.

        stream: the wearer whom requests are about; a host of several needs it. keys, server_key: as of
        `MaskSubscriber`.
        """
        self._stream = stream
        access = find_access(endpoint, keys, server_key)
        self._remote, self._slow_remote = (
            RequestSocket(endpoint, timeout_s=limit_s, max_bytes=MAX_MESSAGE_BYTES, access=access)
            for limit_s in (timeout_s, 120.0)
        )

    def status(self) -> dict[str, Any]:
        """Return the shown object, and whether it is held."""
        return self._request(self._remote, "status")

    def hold(self, object_id: int | None = None) -> int:
        """Hold the shown object independently of the gaze, and return its id; refused unless it is `object_id`."""
        with _check_reply("hold"):
            return int(self._request(self._remote, "hold", object=object_id)["object"])

    def release(self) -> None:
        """Follow the gaze again."""
        self._request(self._remote, "release")

    def step_alternative(self, step: int = 1) -> int:
        """Show the next (1) or previous (-1) mask that may be meant, and return its object's id."""
        with _check_reply("alternative"):
            return int(self._request(self._remote, "alternative", step=step)["object"])

    def confirm(self, object_id: int | None = None) -> int:
        """Confirm the shown object, and return its id; refused unless it is `object_id`."""
        with _check_reply("confirm"):
            return int(self._request(self._remote, "confirm", object=object_id)["object"])

    def correct(
        self,
        points: Sequence[tuple[float, float]] | None = None,
        labels: Sequence[int] | None = None,
        *,
        box: Sequence[float] | None = None,
        frame_index: int | None = None,
        object_id: int | None = None,
    ) -> int:
        """Correct the shown mask by clicks (labels: 1 on the object, 0 not), and return the object's id.

        They stay in force while the object is shown, and are carried with the picture. box: x0, y0, x1, y1 in place of
        clicks: begin anew with the object in it. frame_index: `frame.index` of the mask in whose pixels they are; None:
        the newest frame. Refused unless `object_id` is shown.
        """
        fields: dict[str, Any] = {"points": points, "labels": labels, "box": box}
        fields = {name: None if value is None else list(value) for name, value in fields.items()}
        with _check_reply("correct"):
            reply = self._request(self._remote, "correct", frame=frame_index, object=object_id, **fields)
            return int(reply["object"])

    def undo_correction(self, *, is_all: bool = False) -> int:
        """Take back the last correction of the shown object, or all of them, and return its id."""
        with _check_reply("undo"):
            return int(self._request(self._remote, "undo", all=is_all)["object"])

    def set_word(self, text: str, seconds: float | None = None) -> SetWord:
        """Search for a word beside the gaze, or for none ("").

        seconds: for how long; None until it is replaced. The first word may take some seconds, as a recognizer is
        opened for it. Refused where the run can have none.
        """
        with _check_reply("word"):
            reply = self._request(self._slow_remote, "word", text=text, seconds=seconds)
            return SetWord(str(reply["text"]), bool(reply["known"]), tuple(map(str, reply["near"])))

    def snapshot(self) -> RequestedFrame:
        """Return the newest frame at full resolution, and its mask."""
        with _check_reply("snapshot"):
            reply = self._request(self._remote, "snapshot")
            frame, image, fields = FrameRef(**reply["frame"]), _decode_picture(reply["data"]), reply["mask"]
            if fields is None or fields["mask"] is None:
                return RequestedFrame(frame, image, None, None)
            return RequestedFrame(frame, image, decode_mask(fields["mask"]), fields["object"])

    def history(self, object_id: int, seconds: float = 5.0) -> list[MaskMessage]:
        """Return the masks of an object from the last seconds, oldest first."""
        with _check_reply("history"):
            reply = self._request(self._remote, "history", object=object_id, seconds=seconds)
            found = [read_message("mask", payload) for payload in reply["masks"]]
        return [message for message in found if isinstance(message, MaskMessage)]

    def segment(
        self,
        *,
        points: Sequence[tuple[float, float]] | None = None,
        labels: Sequence[int] | None = None,
        box: tuple[float, float, float, float] | None = None,
    ) -> SegmentedMask:
        """Segment the object at points (labels: 1 on it, 0 not) or in a box.

        Coordinates are px of the newest keyframe; arrays are accepted.
        """
        prompts = {"points": points, "labels": labels, "box": box}
        fields = {name: list(values) for name, values in prompts.items() if values is not None}
        with _check_reply("segment"):
            return self._read_masks(self._request(self._remote, "segment", **fields))[0]

    def everything(self, **settings: float) -> list[SegmentedMask]:
        """Segment all objects of the newest keyframe, which takes seconds.

        settings: points_per_side, least_predicted_iou ...
        """
        with _check_reply("everything"):
            return self._read_masks(self._request(self._slow_remote, "everything", **settings))

    def close(self) -> None:
        """Disconnect."""
        self._remote.close()
        self._slow_remote.close()

    def __enter__(self) -> Requester:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def sessions(self) -> list[HostedStream]:
        """Return the sessions of a host."""
        with _check_reply("sessions"):
            return [
                HostedStream(*(str(each[name]) for name in ("stream", "source", "state", "reason")))
                for each in self._request(self._remote, "sessions")["sessions"]
            ]

    def open_session(self, stream: str, **settings: Any) -> None:
        """Open a session of a host. settings: as its file has them, such as source="pupil://10.0.0.5"."""
        self._request(self._slow_remote, "session.open", session={"stream": stream, **settings})

    def close_session(self, stream: str) -> None:
        """Close a session of a host; afterwards nothing is published under its name."""
        self._request(self._slow_remote, "session.close", stream=stream)

    def _request(self, remote: RequestSocket, ask: str, **fields: Any) -> dict[str, Any]:
        if self._stream is not None:
            fields = {"stream": self._stream, **fields}
        request = pack_request(ask, **fields)
        if len(request) > MAX_REQUEST_BYTES:  # which the other side would drop without an answer
            raise WireError(f"{ask} takes {len(request)} bytes; a request has at most {MAX_REQUEST_BYTES}")
        return read_reply(remote.exchange([request]))

    @staticmethod
    def _read_masks(reply: dict[str, Any]) -> list[SegmentedMask]:
        frame = FrameRef(**reply["frame"])
        return [
            SegmentedMask(
                each["object"], frame, each["predicted_iou"], each["stability"], tuple(each["box"]),
                decode_mask(each["mask"]),
            )
            for each in reply["things"]
        ]  # fmt: skip
