"""Builds the graphs of the networks from arrays of weights; torch reads only SAM's own checkpoints."""
