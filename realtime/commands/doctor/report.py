"""Formats the findings about a machine as text or JSON. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

FindingState = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """Holds the result of one check; `advice`: the remedy, empty if none is needed."""

    section: str
    name: str
    state: FindingState
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Holds all findings in the order of the report."""

    findings: tuple[DoctorFinding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether there is no problem that prevents a run."""
        return all(finding.state != "problem" for finding in self.findings)

    def to_text(self) -> str:
        """Format one line a finding, under its section, with advice below."""
        marks = {"ok": "  ", "note": "- ", "problem": "! "}
        width = max((len(finding.name) for finding in self.findings), default=0)
        lines: list[str] = []
        section = ""
        for finding in self.findings:
            if finding.section != section:
                section = finding.section
                lines += [""] * bool(lines) + [section]
            lines.append(f"  {marks[finding.state]}{finding.name:<{width}}  {finding.text}".rstrip())
            if finding.advice:
                lines.append(f"    {'':<{width}}  -> {finding.advice}")
        problems = sum(finding.state == "problem" for finding in self.findings)
        return "\n".join([*lines, "", f"{problems} problem(s)" if problems else "Ready to run."])

    def to_json(self) -> str:
        """Format as one JSON object."""
        return json.dumps({"healthy": self.is_healthy, "findings": [asdict(finding) for finding in self.findings]})
