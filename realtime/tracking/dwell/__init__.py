"""Decides which object is looked at, for how long, and whether it is the same one. Pure; time is an argument."""

from realtime.errors import DwellSettingsError
from realtime.tracking.dwell.mask_points import MaskAgreement, MaskPoints, compute_iou, is_near, map_together
from realtime.tracking.dwell.observation import DwellDecision, DwellInput
from realtime.tracking.dwell.settings import DwellSettings
from realtime.tracking.dwell.state_machine import DwellStateMachine

__all__ = [
    "DwellDecision",
    "DwellInput",
    "DwellSettings",
    "DwellSettingsError",
    "DwellStateMachine",
    "MaskAgreement",
    "MaskPoints",
    "compute_iou",
    "is_near",
    "map_together",
]
