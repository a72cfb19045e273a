"""Does the newest mask fit the thing now? What `streaming` (real time, over the wire) and `keeping_up` (stepped) share.

clips     frames and true masks, one thing or two side by side
looks     the gaze that follows them
played    what was sent and what came back, with times
scoring   streaming J&F, latency
steady    whether successive masks stay the same thing
switches  what happens when the eyes go to another thing
device    plays clips and gaze in real time, as an eye tracker does
programs  what is measured: a command, the usual loop, a disc
stepping  the tracker stepped through clips, with an encoder that takes so many frames
pictures  the figures drawn
"""
