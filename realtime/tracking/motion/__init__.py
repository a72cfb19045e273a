"""Motion between frames: dense flow in a bounded ring, chained from the newest frame back to any older one.

A map is kept the way it is used: for every pixel of the *newer* frame, where it was in the *older* one. A mask of the
older frame is then brought to now by sampling it there, without holes, and a gaze point is taken back by one look-up.
"""

from realtime.tracking.motion.common_fate import measure_common_fate
from realtime.tracking.motion.flow_chain import FlowChain, structural_similarity
from realtime.tracking.motion.optical_flow import FlowHistory, MotionSettings

__all__ = ["FlowChain", "FlowHistory", "MotionSettings", "measure_common_fate", "structural_similarity"]
