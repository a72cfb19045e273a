"""Implements `gazecast doctor`: checks what this machine can run and what is missing."""

from realtime.commands.doctor.probes import describe_processor, examine_machine
from realtime.commands.doctor.report import DoctorFinding, DoctorReport, FindingState

__all__ = ["DoctorFinding", "DoctorReport", "FindingState", "describe_processor", "examine_machine"]
