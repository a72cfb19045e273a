"""Which thing is looked at, for how long, and whether it is still the same one. Pure; time is an argument."""

from realtime.errors import DwellSettingsError
from realtime.tracking.dwell.mask_points import Overlap, Trace, agreement, moved_together, near
from realtime.tracking.dwell.observation import Seen, Shown
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.dwell.state_machine import Dwell

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
