"""Prints the tables of `docs/reliability.md`: `python -m tests.faults [NAME ...]`."""

from __future__ import annotations

import re
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.fault_stage import open_stage
from tests.faults.fault_table import FAULTS
from tests.faults.injection import FaultReport, inject_fault
from tests.faults.process_faults import STATES, EndReport, end_run

LASTS_S = 4.0
FAULT_HEAD = "| fault | cause | states seen | to `degraded`, s | to recovery, s | frames without a mask | stale |"
END_HEAD = "| state | signal | ended after, s | exit code | port free | frames lost of the recording | file closed |"


def main() -> None:
    """Inject the named faults, or all, and print a row for each; without names, end runs in all states, too."""
    names = sys.argv[1:]
    _print_head(FAULT_HEAD)
    with open_stage() as stage:
        for fault in FAULTS:
            if not names or fault.name in names:
                _print(format_fault(inject_fault(stage, fault, max(LASTS_S, fault.least_s))))
    if names:
        return
    _print_head(END_HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for state in STATES:
                _print(format_end(end_run(state, number, Path(folder))))


def _print_head(head: str) -> None:
    _print(f"\n{head}\n" + "|---" * (head.count("|") - 1) + "|")


def _print(text: str) -> None:
    print(text, flush=True)


def format_fault(report: FaultReport) -> str:
    """Format one row of the table, in Markdown, with states that do not name this machine's ports and folders."""
    states = re.sub(r"tcp://[\d.:]+", "tcp://HOST:PORT", "; ".join(f"`{state}`" for state in report.states))
    states = re.sub(r"/\S+/run.mcap", "run.mcap", states)
    times = (f"{value:.2f}" if value is not None else "never" for value in (report.degraded_s, report.recovered_s))
    return f"| {report.name} | {report.cause} | {states} | {' | '.join(times)} | {report.lost} | {report.stale} |"


def format_end(report: EndReport) -> str:
    """Format one row of the table, in Markdown."""
    lost = "" if report.frames_lost is None else str(report.frames_lost)
    closed = {None: "", True: "yes", False: "no, it opens"}[report.is_complete]
    free = "yes" if report.is_port_free else "no"
    return (
        f"| {report.state} | {report.signal} | {report.took_s:.2f} | {report.exit_code} | {free} | {lost} | {closed} |"
    )


if __name__ == "__main__":
    main()
