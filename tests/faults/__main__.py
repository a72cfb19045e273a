"""Prints the table of `docs/reliability.md`: `python -m tests.faults [NAME ...]`."""

from __future__ import annotations

import sys

from tests.faults.fault_table import SOURCE_FAULTS, FaultReport, inject_fault, open_stage

LASTS_S = 4.0


def main() -> None:
    """Inject the named faults, or all, and print a row for each."""
    names = sys.argv[1:]
    with open_stage() as stage:
        for fault in SOURCE_FAULTS:
            if not names or fault.name in names:
                print(format_row(inject_fault(stage, fault, LASTS_S)), flush=True)


def format_row(report: FaultReport) -> str:
    """Format one row of the table, in Markdown."""
    times = (f"{value:.2f}" if value is not None else "-" for value in (report.degraded_s, report.recovered_s))
    return " | ".join(("| " + report.cause, "; ".join(report.states), *times, str(report.lost), f"{report.stale} |"))


if __name__ == "__main__":
    main()
