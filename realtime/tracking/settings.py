"""Defines the tracker's settings and its output for a frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.gaze.settings import GazeSettings
from realtime.tracking.keyframe_selection import KeyframeSettings
from realtime.tracking.mask_refinement import RefinementSettings
from realtime.tracking.mask_selection import SelectionSettings
from realtime.tracking.motion.layered_motion import LayerSettings
from realtime.tracking.motion.optical_flow import MotionSettings
from realtime.tracking.motion_segmentation import SegmentationSettings
from realtime.tracking.prompter import PrompterSettings
from realtime.tracking.setting_checks import check_settings
from realtime.tracking.word_search import WordState
from realtime.types import MaskResult


@dataclass(frozen=True, slots=True)
class WordSettings:
    """Settings of the search for a word.

    alone_s: time without gaze on the picture after which the word alone selects the object, s; the eyes often leave a
        headset's picture for less.
    """

    alone_s: float = 1.0

    def __post_init__(self) -> None:
        """Check that it is a time."""
        if not 0 <= self.alone_s <= 60:
            raise ValueError(f"alone_s must be 0 to 60, got {self.alone_s}")


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Settings of every part of the tracker, as in the configuration file.

    frame_share: edges are sharpened as long as a mask is ready within this share of the time between frames.
    """

    frame_share: float = 0.7

    gaze: GazeSettings = field(default_factory=GazeSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
    carry: LayerSettings = field(default_factory=LayerSettings)
    keyframes: KeyframeSettings = field(default_factory=KeyframeSettings)
    prompter: PrompterSettings = field(default_factory=PrompterSettings)
    choice: SelectionSettings = field(default_factory=SelectionSettings)
    clean: RefinementSettings = field(default_factory=RefinementSettings)
    dwell: DwellSettings = field(default_factory=DwellSettings)
    preview: SegmentationSettings = field(default_factory=SegmentationSettings)
    word: WordSettings = field(default_factory=WordSettings)

    def __post_init__(self) -> None:
        """Check the share."""
        check_settings(self, shares=("frame_share",))


@dataclass(frozen=True, slots=True)
class TrackerOutput:
    """The tracker's output for one frame.

    result: to be published; None until an object has been fixated.
    word: the word in force; None without one.
    speed: motion of the fastest part of the picture, in shares of its longest side per frame; None if unknown.
    gaze_captured_ns, keyframe_captured_ns: host times of the sample and the keyframe behind `result`; 0 without one.
    """

    result: MaskResult | None
    gaze_captured_ns: int = 0
    keyframe_captured_ns: int = 0
    speed: float | None = None
    word: WordState | None = None
