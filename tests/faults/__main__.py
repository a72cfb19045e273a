"""Prints the tables of `docs/reliability.md`: `python -m tests.faults [NAME ...]`."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.cache_faults import CacheReport, has_weights, share_cache
from tests.faults.fault_stage import open_camera_stage, open_stage
from tests.faults.fault_table import CAMERA_FAULTS, COMBINED_FAULTS, FAULTS
from tests.faults.injection import FaultReport, inject_fault
from tests.faults.process_faults import MEMORY_LIMIT, STATES, EndReport, end_run

LASTS_S = 4.0
STAGES = ((open_stage, FAULTS), (open_stage, COMBINED_FAULTS), (open_camera_stage, CAMERA_FAULTS))
FAULT_HEAD = "| fault | cause | states seen | to `degraded`, s | to recovery, s | frames without a mask | stale |"
END_HEAD = "| state | signal | ended after, s | exit code | port free | frames lost of the recording | file closed |"
CACHE_HEAD = "| runs on one cache | first mask after, s | masks after its removal | states after it | exit codes |"


def main() -> None:
    """Inject the named faults, or all, and print a row for each; without names, end runs in all states, too."""
    names = sys.argv[1:]
    _print_head(FAULT_HEAD)
    for open_all, faults in STAGES:
        if chosen := [fault for fault in faults if not names or fault.name in names]:
            with open_all() as stage:
                for fault in chosen:
                    _print(format_fault(inject_fault(stage, fault, max(LASTS_S, fault.least_s))))
    if names:
        return
    _print_head(END_HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for state in STATES:
                _print(format_end(end_run(state, number, Path(folder))))
        with contextlib.suppress(OSError):  # where no group can be made
            _print(format_end(end_run("recording", MEMORY_LIMIT, Path(folder))))
        if has_weights():
            _print_head(CACHE_HEAD)
            _print(format_cache(share_cache(Path(folder), LASTS_S)))


def _print_head(head: str) -> None:
    _print(f"\n{head}\n" + "|---" * (head.count("|") - 1) + "|")


def _print(text: str) -> None:
    print(text, flush=True)


def format_fault(report: FaultReport) -> str:
    """Format one row of the table, in Markdown, with states that do not name this machine's ports and folders."""
    states = re.sub(r"tcp://[\d.:]+", "tcp://HOST:PORT", "; ".join(f"`{state}`" for state in report.states))
    states = re.sub(r"/\S+/(run\S*.mcap)", r"\1", states)
    times = [f"{value:.2f}" if value is not None else "never" for value in (report.degraded_s, report.recovered_s)]
    if report.is_permanent and report.degraded_s is not None and report.recovered_s is not None:
        times[1] += f" ({report.recovered_s - report.degraded_s:.2f} after `degraded`)"
    return f"| {report.name} | {report.cause} | {states} | {' | '.join(times)} | {report.lost} | {report.stale} |"


def format_end(report: EndReport) -> str:
    """Format one row of the table, in Markdown."""
    lost = "" if report.frames_lost is None else str(report.frames_lost)
    closed = {None: "", True: "yes", False: "no, it opens"}[report.is_complete]
    free = "yes" if report.is_port_free else "no"
    return (
        f"| {report.state} | {report.signal} | {report.took_s:.2f} | {report.exit_code} | {free} | {lost} | {closed} |"
    )


def format_cache(report: CacheReport) -> str:
    """Format one row of the table, in Markdown."""
    columns = (report.ready_s, report.masks, report.states, report.exit_codes)
    texts = (
        ", ".join(f"{each:.1f}" if isinstance(each, float) else f"{each}" for each in column) for column in columns
    )
    return f"| two at once, removed while running | {' | '.join(texts)} |"


if __name__ == "__main__":
    main()
