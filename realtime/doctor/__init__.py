"""`gazecast doctor`: what this machine can run, and what to do about what is missing."""

from realtime.doctor.findings import Finding, Report, State
from realtime.doctor.look import examine, processor

__all__ = ["Finding", "Report", "State", "examine", "processor"]
