"""Everything in a picture, each thing with its mask: SAM's automatic mask generator on our engines."""

from engines.automatic_masks.found import AutomaticMask
from engines.automatic_masks.generate import GenerationStep, Steps, everything, everything_in, finished, segment
from engines.automatic_masks.settings import AutomaticSettings

__all__ = [
    "AutomaticMask",
    "AutomaticSettings",
    "GenerationStep",
    "Steps",
    "everything",
    "everything_in",
    "finished",
    "segment",
]
