"""Measures motion between frames: dense optical flow in a bounded ring, chained back to any older frame.

A map holds, for every pixel of the *newer* frame, its position in the *older* one. A mask of the older frame is carried
forward by sampling it there, without holes, and a gaze point is carried back by one look-up.
"""

from realtime.tracking.motion.common_fate import measure_common_fate
from realtime.tracking.motion.flow_chain import FlowChain, structural_similarity
from realtime.tracking.motion.optical_flow import FlowHistory, MotionSettings

__all__ = ["FlowChain", "FlowHistory", "MotionSettings", "measure_common_fate", "structural_similarity"]
