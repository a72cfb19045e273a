"""Lists how far learned weights may leave the old ones, which other pictures than the learned ones decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator

SHARES = (0.15, 0.25, 0.35, 0.5)
"""Of the learned weights. Larger ones lost more on pictures that had not chosen the share (docs/measurements)."""
MAX_LOSS = 0.005
"""Of the figures of other pictures; half of what the gate allows."""


def list_kept_shares(is_kept: Callable[[float], bool]) -> Iterator[float]:
    """Yield `SHARES`, growing, until one loses too much: what a larger one keeps then, it keeps by chance."""
    for share in SHARES:
        if not is_kept(share):
            return
        yield share
