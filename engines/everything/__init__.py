"""Everything in a picture, each thing with its mask: SAM's automatic mask generator on our engines."""

from engines.everything.found import Found
from engines.everything.generate import Step, Steps, everything, everything_in, finished, segment
from engines.everything.settings import EverythingSettings

__all__ = ["EverythingSettings", "Found", "Step", "Steps", "everything", "everything_in", "finished", "segment"]
