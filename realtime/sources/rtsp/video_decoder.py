"""Decodes access units of H.264 without delay, on one thread."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np

from realtime.sources.rtsp.access_units import START_CODE, AccessUnit
from realtime.types import Image

MAX_LOST_SHARE = 0.75
"""Of a key frame: at 1 % loss one in four loses more than half, and waiting for the next one takes a second."""


class UnitDecoder:
    """A decoder of one stream, from its first key frame on."""

    def __init__(self, parameter_sets: Sequence[bytes]) -> None:
        """parameter_sets: from the stream's description; a sender may repeat them in the stream, or not."""
        self._codec = av.CodecContext.create("h264", "r")
        self._codec.thread_count = 1  # more would return frames later
        self._codec.flags |= av.codec.context.Flags.low_delay
        self._is_groundless = False  # too little of the last key frame came for the frames that build on it
        self._prefix = b"".join(START_CODE + nal for nal in parameter_sets)

    def decode(self, unit: AccessUnit, *, convert: bool = True) -> tuple[Image | None, bool]:
        """Decode a frame; returns its blue-green-red pixels, and whether it is intact.

        There are no pixels before the first key frame, of damaged data, or where `convert` is false. A frame that was
        damaged is concealed, so that later ones may build on it; these are reported as damaged only if more than
        `MAX_LOST_SHARE` of their key frame was lost.
        """
        if unit.is_key:
            self._is_groundless = unit.lost_share > MAX_LOST_SHARE
        if not unit.data:  # an empty packet would end the decoder
            return None, False
        try:
            frames = self._codec.decode(av.Packet(self._prefix + unit.data))
        except av.error.FFmpegError:
            return None, False
        self._prefix = b""
        if not frames:
            return None, not unit.is_damaged
        frame = frames[-1]
        if unit.is_damaged or frame.is_corrupt or self._is_groundless:
            return None, False
        return (np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) if convert else None), True
