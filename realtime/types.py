"""Defines the values that travel through the pipeline, and the protocols of sources.

`timestamp` is seconds on the source's own clock, published unchanged. `_ns` is the host's monotonic clock.
Pixels: x right, y down, the centre of the top-left pixel is (0, 0).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
FiniteFloat = Annotated[
    float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max, description="a finite number")
]
"""A float that `realtime.validation` reads only where it is neither NaN nor infinite."""
State = Literal["preview", "locked", "held", "lost"]
MaskMethod = Literal["model", "motion", "colour"]
MaskPrompt = Literal["gaze", "word"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture of the scene, (H, W, 3) uint8 blue-green-red.

    index, timestamp: as the source sent them. captured_ns: its capture, mapped to the host's clock.
    jpeg: the bytes that the image was decoded from, if any; a recording then keeps the very same picture.
    """

    image: Image
    index: int
    timestamp: float
    captured_ns: int
    received_ns: int
    jpeg: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def __repr__(self) -> str:
        """Show index and size, not the pixels."""
        return f"Frame({self.index}, {self.size[0]}x{self.size[1]}, t={self.timestamp:.4f})"


@dataclass(frozen=True, slots=True)
class EyeEvent:
    """An eye movement that the eye tracker's own detector reported.

    start_ns, end_ns: host monotonic. The end is known for a blink; a saccade or fixation is reported at its onset.
    """

    kind: Literal["saccade", "fixation", "blink"]
    start_ns: int
    end_ns: int | None = None


@dataclass(frozen=True, slots=True)
class GazeSample:
    """A gaze sample of an eye tracker.

    x, y: `unit` "norm" is 0..1 of the frame with the origin top left, "px" is frame pixels. Both are in the distorted
    picture as captured. They may lie outside the frame; they are never NaN.
    confidence: 0..1; 0 during blinks.
    radius_px, px_per_degree: error radius and the picture's scale there; None without a calibration.
    event: reported by the eye tracker since the sample before, of any time; None without one.
    """

    x: float
    y: float
    unit: Literal["norm", "px"]
    confidence: float
    timestamp: float
    captured_ns: int
    received_ns: int
    radius_px: float | None = None
    px_per_degree: float | None = None
    event: EyeEvent | None = None

    def to_px(self, size: tuple[int, int]) -> tuple[float, float]:
        """Convert to pixels of a frame of (width, height)."""
        return (self.x * size[0], self.y * size[1]) if self.unit == "norm" else (self.x, self.y)


class FrameIdentity(Protocol):
    """A frame, or a keyframe made of one, that can be identified."""

    @property
    def index(self) -> int:
        """The source's number of the frame."""

    @property
    def timestamp(self) -> float:
        """Seconds on the source's clock."""

    @property
    def received_ns(self) -> int:
        """Time of arrival at the host, monotonic ns."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""


@dataclass(frozen=True, slots=True)
class FrameKey:
    """Identifies a frame: a restarted device may repeat an index, at another time."""

    index: int
    received_ns: int

    @classmethod
    def of(cls, frame: FrameIdentity) -> FrameKey:
        """Make it from a frame, or from a keyframe."""
        return cls(frame.index, frame.received_ns)


@dataclass(frozen=True, slots=True)
class FrameRef:
    """Names the frame that a message belongs to."""

    index: int
    timestamp: FiniteFloat
    width: int
    height: int

    @classmethod
    def of(cls, frame: FrameIdentity) -> FrameRef:
        """Make it from a frame, or from a keyframe."""
        return cls(frame.index, frame.timestamp, *frame.size)


@dataclass(frozen=True, slots=True)
class KeyframeRef:
    """Names the frame that was encoded."""

    index: int
    timestamp: FiniteFloat


@dataclass(frozen=True, slots=True)
class GazeRef:
    """The gaze sample that prompted a mask.

    timestamp: its own. x, y: carried into the frame, px. radius: error radius, px.
    """

    timestamp: FiniteFloat
    x: FiniteFloat
    y: FiniteFloat
    confidence: FiniteFloat
    radius: FiniteFloat


@dataclass(frozen=True, slots=True)
class TimingNs:
    """Times of one result on the host's monotonic clock, ns."""

    gaze_received: int
    frame_received: int
    decode_start: int
    decode_end: int


MaskKind = Literal["part", "whole", "other"]


@dataclass(frozen=True, slots=True, eq=False)
class MaskAlternative:
    """Another mask that may be meant.

    mask: (h, w) bool over the frame, on a coarser grid. probability: that it is meant, 0..1. kind: a part of the shown
    mask, a whole that the shown mask is part of, or another object.
    """

    mask: Mask
    probability: float
    kind: MaskKind


@dataclass(frozen=True, slots=True)
class RecognizedName:
    """The recognized name of an object, such as "cup", and its mean score over its keyframes, 0..1."""

    name: str
    score: float


ConfirmationMeans = Literal["dwell", "key", "request", "pinch"]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The wearer's confirmation that the shown object is meant.

    by: the means. number: counts all confirmations of a run from 1, so that two of one object differ.
    at_ns: when the wearer confirmed, on the publishing host's monotonic clock; of a pinch, the capture of its frame.
    """

    by: ConfirmationMeans
    number: int
    at_ns: int


Click = tuple[float, float, Literal[0, 1]]
"""x, y px, and 1 for the object or 0 for the background."""
MAX_CLICKS = 64


@dataclass(frozen=True, slots=True)
class LiveCorrection:
    """The user's clicks that the shown mask was corrected by, px of the mask's frame; motion carries them.

    number: that of the newest click or box in force, counted over a run from 1; 0 where all were undone. clicks: since
    the last box.
    """

    number: int
    clicks: Annotated[tuple[Click, ...], msgspec.Meta(max_length=MAX_CLICKS)] = ()


@dataclass(frozen=True, slots=True)
class FoundWord:
    """The word that the user gave, and how well the mask is of it, 0..1; 0 where it is of something else."""

    text: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class MaskResult:
    """The mask of the fixated object, in the pixels of `frame`.

    mask: (H, W) bool, None exactly when `state` is lost. object: id, the same while the same object is fixated.
    carried_ms: age of the decode. score: the decoder's predicted IoU, 0..1.
    confidence: the probability that this object is meant, 0..1: of masks at 0.8, 80 % are right.
    captured_ns: when the frame was captured, on the publishing host's monotonic clock; 0 when unknown.
    method: what made the mask: the model on a keyframe, or motion or colours of the frame itself. Without the model the
        state is preview, `object` and `score` are 0, and `keyframe` names the frame itself.
    alternatives: other masks that may be meant, most probable first; none unless a setting asks for them.
    label: what the object was recognized as; None where that is unknown.
    confirmed: the newest confirmation of this object; None until the wearer confirms it, and when it was lost since.
    word: the word in force; None without one. prompt: what selected the object: the gaze, or a word alone, while there
        is no gaze. Then `gaze` is no measurement: its confidence and radius are 0, x and y the middle of the region
        that the word fits, and its timestamp is the keyframe's.
    corrected: the user's corrections of this object; None without any, and when it was lost since.
    """

    frame: FrameRef
    keyframe: KeyframeRef
    gaze: GazeRef
    carried_ms: float
    object: int
    state: State
    score: float
    confidence: float
    mask: Mask | None
    timing_ns: TimingNs
    captured_ns: int = 0
    method: MaskMethod = "model"
    alternatives: tuple[MaskAlternative, ...] = ()
    label: RecognizedName | None = None
    confirmed: Confirmation | None = None
    word: FoundWord | None = None
    prompt: MaskPrompt = "gaze"
    corrected: LiveCorrection | None = None

    @property
    def is_guess(self) -> bool:
        """Whether the mask was made without the model, and belongs to no object."""
        return self.method != "model"

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """Bounding box x0, y0, x1, y1 of the mask, px, the last two exclusive; None without a mask."""
        return mask_shape(self.mask)[0]


def mask_shape(
    mask: Mask | None,
) -> tuple[tuple[int, int, int, int] | None, int, tuple[float, float] | None]:
    """Measure a mask's box (x0, y0, x1, y1, the last two exclusive), area and centroid, px.

    An empty mask has neither box nor centroid.
    """
    if mask is None or not mask.any():
        return None, 0, None
    columns, rows = mask.sum(0, dtype=np.int64), mask.sum(1, dtype=np.int64)
    xs, ys = np.flatnonzero(columns), np.flatnonzero(rows)
    area = int(columns.sum())
    centroid = float(columns @ np.arange(len(columns)) / area), float(rows @ np.arange(len(rows)) / area)
    return (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1), area, centroid


SourceState = Literal["connecting", "running", "waiting", "idle", "ended", "failed"]
"""connecting: not connected yet, or disconnected. waiting: connected, but without data. idle: without data because the
user gives none, such as a mouse that is elsewhere. ended: played to its end. failed: does not recover by itself."""


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """Accuracy of the map between a device's clock and the host's.

    offset_s: device clock minus host clock, now. uncertainty_ns: largest error of the map, now.
    age_ns: since the last probe. resets: number of jumps of the device clock.
    """

    offset_s: float
    uncertainty_ns: int
    age_ns: int
    resets: int


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """State and counters of a source. `dropped` counts received data that was not passed on, by reason."""

    state: SourceState
    reason: str = ""
    received: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    clock: ClockStatus | None = None


OnFrame = Callable[[Frame], None]
OnGaze = Callable[[GazeSample], None]
OnEvent = Callable[[SourceStatus], None]
"""Receives the status when state or reason change, on a thread of the source."""


class DataSource(Protocol):
    """A source of data. Started once; after `stop` returns, its threads have ended or never call again."""

    def stop(self) -> None:
        """Stop within a second. Allowed twice and before `start`, not from a callback."""

    def status(self) -> SourceStatus:
        """Return the present status; from any thread."""


@runtime_checkable
class FrameSource(DataSource, Protocol):
    """A source of frames."""

    def start(self, on_frame: OnFrame, on_event: OnEvent | None = None) -> None:
        """Start; `on_frame` is called on a thread of the source and should return soon."""


@runtime_checkable
class GazeSource(DataSource, Protocol):
    """A source of gaze samples, every one of them, in the order of arrival."""

    def start(self, on_gaze: OnGaze, on_event: OnEvent | None = None) -> None:
        """Start; `on_gaze` is called on a thread of the source and should return soon."""
