"""Calls every reader with a million invalid inputs, and writes the figures: `python -m tests.fuzz`; needs Linux."""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tests.fuzz.failures import ROOT
from tests.fuzz.fuzz_run import fuzz_reader
from tests.fuzz.readers import READERS

RESULTS = ROOT / "benchmarks" / "results" / "fuzz.json"


def run_readers(names: Iterable[str], jobs: int, *limits: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run each reader in a process of its own, and yield its figures when it has ended. limits: of `fuzz_reader`."""
    context = multiprocessing.get_context("fork")
    waiting = list(names)
    running: dict[Any, tuple[str, Any]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_send_figures, args=(sender, waiting[0], *limits))
            process.start()
            sender.close()
            running[receiver] = waiting.pop(0), process
        for receiver in wait(list(running)):
            name, process = running.pop(receiver)
            try:
                yield name, receiver.recv()
            except EOFError:  # a library crashed
                process.join()
                yield name, {"runs": 0, "failures": {f"ended with code {process.exitcode}": ""}}


def _send_figures(sender: Connection, name: str, *limits: Any) -> None:
    sender.send(fuzz_reader(name, *limits))


def main() -> int:
    """Run the readers and write their figures; 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="READER", help=f"all without one: {', '.join(READERS)}")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs for each reader (default: a million)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="end each reader sooner (default: no limit)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default: 1)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the figures go (default: %(default)s)")
    args = parser.parse_args()
    figures = json.loads(args.out.read_text()) if args.names and args.out.exists() else {}
    for name, found in run_readers(args.names or READERS, args.jobs, args.runs, args.seed, args.seconds):
        figures[name] = found
        print(f"{name:20} {json.dumps(found)}", flush=True)
        args.out.write_text(json.dumps(dict(sorted(figures.items())), indent=1) + "\n")
    return int(any(found["failures"] for found in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
