"""Evaluates streaming masks, for `streaming` (real time, over the wire), `tracker_ablation` and `intent` (stepped).

clips           frames and true masks of one object or of two side by side
gaze            simulated gaze that follows the objects
playback        log of sent frames and received masks, with times
scoring         streaming J&F and latency
stability       temporal stability of successive masks
gaze_switches   errors and delay after a saccade to another object
device          plays clips and gaze in real time, as an eye tracker does
programs        the measured programs: a command, a plain loop, a disc
stills          stills with several labelled objects, and the objects to fixate
fixations       plays stills to the tracker, one fixation of each object, and judges the last mask
embedding_cache embeddings on disk, by the picture's pixels
stepped_replay  steps the tracker through clips, with an encoder of a fixed duration in frames
figures         draws the figures
"""
