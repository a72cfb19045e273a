"""Chooses the word that a user gives with each fixation of a still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from benchmarks.streaming_eval.stills import FixationTarget, Still

WordKind = Literal["none", "right", "absent", "wrong"]
"""right: the target's name. absent: the name of something that is not in the picture. wrong: that of another object in
it, where there is one of another name."""
WORD_KINDS: tuple[WordKind, ...] = get_args(WordKind)


class WordChooser:
    """Chooses words of one kind; the same seed gives the same words."""

    def __init__(self, kind: WordKind, stills: Sequence[Still], seed: int) -> None:
        self._kind = kind
        self._names = sorted(frozenset().union(*(still.categories for still in stills)))
        self._rng = np.random.default_rng([seed, 17])

    def __call__(self, still: Still, target: FixationTarget) -> str:
        """Return the word for a fixation of one target; "" for none."""
        absent = [name for name in self._names if name not in still.categories]
        others = sorted(still.categories - {target.category})
        match self._kind:
            case "none":
                return ""
            case "right":
                chosen = target.category
            case "absent":
                chosen = str(self._rng.choice(absent))
            case "wrong":
                chosen = str(self._rng.choice(others or absent))
        return chosen.replace("_", " ")
