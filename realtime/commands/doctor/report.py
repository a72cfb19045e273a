"""What was found on a machine, said to a person or to a program. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

FindingState = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One thing that was looked at. `advice` is what to do, where there is something to do."""

    section: str
    name: str
    state: FindingState
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All findings, in the order in which they are to be read."""

    findings: tuple[DoctorFinding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing stands in the way of a run."""
        return all(finding.state != "problem" for finding in self.findings)

    def text(self) -> str:
        """For a person: one line a finding, under its section, advice below."""
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

    def json(self) -> str:
        """For a program."""
        return json.dumps({"healthy": self.healthy, "findings": [asdict(finding) for finding in self.findings]})
