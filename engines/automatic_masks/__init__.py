"""Everything in a picture, each thing with its mask: SAM's automatic mask generator on our engines."""

from engines.automatic_masks.found import Found
from engines.automatic_masks.generate import Step, Steps, everything, everything_in, finished, segment
from engines.automatic_masks.settings import EverythingSettings

__all__ = ["EverythingSettings", "Found", "Step", "Steps", "everything", "everything_in", "finished", "segment"]
