"""`gazecast doctor`: what this machine can run, and what to do about what is missing."""

from realtime.commands.doctor.probes import examine, processor
from realtime.commands.doctor.report import DoctorFinding, DoctorReport, FindingState

__all__ = ["DoctorFinding", "DoctorReport", "FindingState", "examine", "processor"]
