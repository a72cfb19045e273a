"""Evaluates streaming masks, for `streaming` (real time, over the wire) and `tracker_ablation` (stepped).

clips           frames and true masks of one object or of two side by side
gaze            simulated gaze that follows the objects
playback        log of sent frames and received masks, with times
scoring         streaming J&F and latency
stability       temporal stability of successive masks
gaze_switches   errors and delay after a saccade to another object
device          plays clips and gaze in real time, as an eye tracker does
programs        the measured programs: a command, a plain loop, a disc
stepped_replay  steps the tracker through clips, with an encoder of a fixed duration in frames
figures         draws the figures
"""
