"""Tests whether what was measured twice on the same looks is better than chance makes it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

EXACT = 12
"""Up to so many differences every pattern of signs is counted; of more, patterns are drawn."""
DRAWS = 20_000
_NOISE = 1e-9


def compute_p_value(differences: Sequence[float]) -> float:
    """Compute how often chance alone makes the sum of paired differences so great, 0..1: a one-sided test.

    differences: after minus before, one for each unit whose sign could as well be the other one if nothing had changed.
    The signs are flipped in every way (Fisher, "The Design of Experiments", 1935, section 21), or at random (Phipson
    and Smyth, 2010). So no distribution is assumed, and four units never suffice for 0.05.
    """
    found = np.array([each for each in differences if abs(each) > _NOISE])
    if not len(found):
        return 1.0
    least = found.sum() - _NOISE * len(found)
    if len(found) <= EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(found))))
        return float((signs @ found >= least).mean())
    signs = np.random.default_rng(len(found)).choice((-1.0, 1.0), (DRAWS, len(found)))
    return float((1 + (signs @ found >= least).sum()) / (1 + DRAWS))
