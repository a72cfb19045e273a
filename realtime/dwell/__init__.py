"""Which thing is looked at, for how long, and whether it is still the same one. Pure; time is an argument."""

from realtime.dwell.machine import Dwell
from realtime.dwell.seen import Seen, Shown
from realtime.dwell.settings import DwellSettings, DwellSettingsError
from realtime.dwell.trace import Overlap, Trace, agreement, moved_together, near

__all__ = [
    "Dwell",
    "DwellSettings",
    "DwellSettingsError",
    "Overlap",
    "Seen",
    "Shown",
    "Trace",
    "agreement",
    "moved_together",
    "near",
]
