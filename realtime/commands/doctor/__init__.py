"""`gazecast doctor`: what this machine can run, and what to do about what is missing."""

from realtime.commands.doctor.probes import examine, processor
from realtime.commands.doctor.report import Finding, Report, State

__all__ = ["Finding", "Report", "State", "examine", "processor"]
