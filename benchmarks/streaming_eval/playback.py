"""Logs sent frames and received masks with host times, for scoring afterwards."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.streaming_eval.clips import Clip
from engines import Mask

WARM_UP_FRAMES = 8
"""Frames at the start of a clip that are not scored."""


@dataclass(frozen=True, slots=True, eq=False)
class SentFrame:
    """Holds a sent frame: when it was sent, and which frame of which clip it is; `play` counts the clips played."""

    at_s: float
    clip: Clip
    number: int
    play: int


@dataclass(frozen=True, slots=True, eq=False)
class ScoredMoment:
    """Holds the end of a frame's display time, when the seen mask is compared with one object of that frame."""

    at_s: float
    clip: Clip
    number: int
    object_index: int
    play: int

    @property
    def truth(self) -> Mask:
        """Return the (H, W) bool mask of the fixated object."""
        return self.clip.objects[self.object_index][self.number]


@dataclass(frozen=True, slots=True)
class GazeDwell:
    """Holds a stay on one object, from landing to the next saccade's or the clip's end. first: no saccade before."""

    play: int
    object_index: int
    landed_s: float
    until_s: float
    first: bool


@dataclass(frozen=True, slots=True, eq=False)
class MaskArrival:
    """Holds a received message. frame: the index of its frame. gaze_s: its gaze's time, on the device's clock."""

    at_s: float
    mask: Mask | None
    frame: int
    gaze_s: float
    object: int | None = None


@dataclass(slots=True)
class PlaybackLog:
    """Holds all that was sent. epoch_s: the device's clock less the host's. gaze_s: device times of the samples."""

    fps: float
    epoch_s: float = 0.0
    sent: dict[int, SentFrame] = field(default_factory=dict)
    moments: list[ScoredMoment] = field(default_factory=list)
    dwells: list[GazeDwell] = field(default_factory=list)
    gaze_s: set[float] = field(default_factory=set)

    @property
    def begin_s(self) -> float:
        """Return when the first scored clip began."""
        return self.moments[0].at_s - (WARM_UP_FRAMES + 1) / self.fps

    @property
    def frames(self) -> int:
        """Return the number of frames of the scored clips."""
        return sum({moment.play: len(moment.clip) for moment in self.moments}.values())


def newest_arrivals(arrivals: Sequence[MaskArrival], at_s: float) -> MaskArrival | None:
    """Find the newest message received before then; `arrivals` are in the order of their times."""
    found = bisect_left(arrivals, at_s, key=lambda arrival: arrival.at_s) - 1
    return arrivals[found] if found >= 0 else None


def newest_frame_arrivals(played: PlaybackLog, arrivals: Sequence[MaskArrival]) -> dict[int, MaskArrival]:
    """Find the first message for each frame that was sent, from the first scored clip on."""
    out: dict[int, MaskArrival] = {}
    for arrival in arrivals:
        if arrival.at_s >= played.begin_s and arrival.frame in played.sent:
            out.setdefault(arrival.frame, arrival)
    return out
