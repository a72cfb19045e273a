"""Kills and drains hosts of a Ray cluster while wearers look at things: python -m benchmarks.cluster.

Ray runs on this machine as two nodes, with one host and the fake engine on each. Simulated eye trackers, `gazecast
serve --ray` and its hosts are processes of their own; a subscriber for each wearer follows its stream by the directory.
Every wearer's pictures have a size of their own, so that a mask of another one cannot go unnoticed. Writes JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.whole_program.program import LineReader
from realtime import MaskSubscriber
from realtime.commands.doctor.probes import describe_processor
from realtime.comms.directory_client import DirectoryClient
from realtime.errors import GazecastError

RESULTS = Path(__file__).parent / "results" / "cluster.json"
OBJECT_STORE_BYTES = 80 * 2**20
WAIT_S = 120.0
"""Limit of everything that is waited for."""
STEADY_S, SETTLE_S = 4.0, 2.0
SETTINGS = """
engine.backend = "fake"
[cluster]
hosts = 2
spares = {spares}
cpus = 1
directory = "tcp://127.0.0.1:{directory}"
"""
SESSION = """
[[session]]
stream = "wearer-{number}"
source = "pupil://127.0.0.1:{port}"
"""


@dataclass(frozen=True, slots=True)
class ReceivedMask:
    """Holds what counts of a mask. at_s, captured_s: monotonic. host: how often the stream had moved before."""

    at_s: float
    captured_s: float
    object: int
    host: int
    is_own: bool


@dataclass
class Wearer:
    """Follows the stream of one wearer on a thread."""

    stream: str
    width: int
    masks: list[ReceivedMask] = field(default_factory=list)
    lost: int = 0

    def follow(self, address: str, stop: threading.Event) -> None:
        """Receive masks until `stop` is set."""
        with MaskSubscriber(f"{address}/{self.stream}") as subscriber:
            while not stop.is_set():
                message = subscriber.newest("mask", 0.1)
                if message is not None:
                    is_own = message.frame.width == self.width and message.stream == self.stream
                    self.masks.append(
                        ReceivedMask(
                            time.monotonic(), message.captured_ns / 1e9, message.object, subscriber.moves, is_own
                        )
                    )
                self.lost = subscriber.lost

    def since(self, at_s: float) -> list[ReceivedMask]:
        """Return the masks that came since a time."""
        return [mask for mask in list(self.masks) if mask.at_s >= at_s]

    def longest_gap_s(self, since_s: float, until_s: float) -> float:
        """Return the longest time without a mask."""
        times = [mask.at_s for mask in self.since(since_s) if mask.at_s <= until_s]
        return float(np.diff([since_s, *times, until_s]).max())


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Wait until something is true, and return it; `SystemExit` when it does not come."""
    print(f"waiting for {what}", file=sys.stderr, flush=True)
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        if found := condition():
            return found
        time.sleep(0.02)
    raise SystemExit(f"waited in vain for {what}")


def find_free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def start_process(stack: contextlib.ExitStack, *command: str) -> LineReader:
    """Start a module of Python, and end it with the stack."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    def end() -> None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()

    stack.callback(end)
    return LineReader(process)


@contextlib.contextmanager
def start_nodes(count: int) -> Iterator[str]:
    """Run Ray as several nodes of this machine, on loopback and with a token; gives the head's address."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }  # fmt: skip
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    try:
        for _ in range(count - 1):
            cluster.add_node(**options)
        yield str(cluster.address)
    finally:
        cluster.shutdown()


class ClusterTrial:
    """A cluster with wearers who look at things; `kill_host` and `drain_host` measure what they notice."""

    def __init__(self, stack: contextlib.ExitStack, wearers: int, spares: int, folder: Path) -> None:
        sizes = [(640 - 16 * number, 360) for number in range(wearers)]
        devices = [
            start_process(stack, "benchmarks.whole_program.device", "--size", f"{width}x{height}", "--frames-hz", "15",
                          "--gaze-hz", "60")
            for width, height in sizes
        ]  # fmt: skip
        ports = [wait_for(lambda each=each: each.lines and each.lines[0], "a device") for each in devices]
        file = folder / "cluster.toml"
        file.write_text(
            SETTINGS.format(spares=spares, directory=find_free_port())
            + "".join(SESSION.format(number=number, port=port) for number, port in enumerate(ports))
        )
        address = stack.enter_context(start_nodes(2))
        began_s = time.monotonic()
        self.serve = start_process(stack, "realtime", "serve", str(file), "--ray", address, "--json")
        line = self.serve.wait_for("wearer-0: ")
        self.directory = line.removeprefix("wearer-0: ").rpartition("/")[0]
        self.client = stack.enter_context(
            contextlib.closing(DirectoryClient(self.directory.replace("gazecast", "tcp"), timeout_s=1))
        )
        self.wearers = [Wearer(f"wearer-{number}", width) for number, (width, _) in enumerate(sizes)]
        stop = threading.Event()
        threads = [
            threading.Thread(target=each.follow, args=(self.directory, stop), daemon=True) for each in self.wearers
        ]
        stack.callback(lambda: [stop.set(), *(thread.join(5) for thread in threads)])
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: all(each.masks for each in self.wearers), "the first masks")
        except SystemExit as error:
            lines = "\n".join(list(self.serve.lines)[-5:])
            raise SystemExit(f"{error}: {self.hosts()}\n{lines}") from None
        self.start_s = time.monotonic() - began_s
        time.sleep(SETTLE_S)

    def hosts(self) -> dict[str, Any]:
        """Return the hosts by name; none while the directory does not answer."""
        try:
            return {host["name"]: host for host in self.client.list_hosts()["hosts"]}
        except GazecastError:
            return {}

    def measure_steady(self) -> dict[str, Any]:
        """Measure without any disturbance."""
        since_s = time.monotonic()
        time.sleep(STEADY_S)
        return self._summarize(since_s, [each.stream for each in self.wearers])

    def kill_host(self) -> dict[str, Any]:
        """Kill the process of the host with most sessions, and measure until it is back."""
        name, host = max(self.hosts().items(), key=lambda item: len(item[1]["streams"]))
        streams, before = host["streams"], {each.stream: each.masks[-1] for each in self.wearers}
        killed_s = time.monotonic()
        os.kill(host["pid"], signal.SIGKILL)
        noticed_s = self._wait_for_host(name, lambda state: state != "up") - killed_s
        affected = [each for each in self.wearers if each.stream in streams]
        for each in affected:
            wait_for(lambda each=each: each.masks[-1].host > before[each.stream].host, f"{each.stream} elsewhere")
        back_s = self._wait_for_host(name, lambda state: state == "up") - killed_s
        time.sleep(SETTLE_S)
        first = [next(mask for mask in each.masks if mask.host > before[each.stream].host) for each in affected]
        return {
            **self._summarize(killed_s, streams),
            "noticed_s": round(noticed_s, 2),
            "first_mask_s": [round(mask.at_s - killed_s, 2) for mask in first],
            "host_is_back_s": round(back_s, 2),
            "stale": sum(mask.captured_s < killed_s for mask in first),
        }

    def drain_host(self) -> dict[str, Any]:
        """Drain the host with most sessions, and measure until it has none."""
        name, host = max(self.hosts().items(), key=lambda item: len(item[1]["streams"]))
        since_s = time.monotonic()
        self.client.drain_host(name)
        wait_for(lambda: (found := self.hosts().get(name)) and not found["streams"], "the last session to leave")
        time.sleep(SETTLE_S)
        measured = self._summarize(since_s, host["streams"])
        self.client.resume_host(name)
        return measured

    def kill_directory(self) -> dict[str, Any]:
        """Kill the directory's process, and measure until it answers again."""
        pid = self.client.list_hosts()["pid"]
        since_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: any(each.lines for each in [self.serve]) and self._directory_pid() not in (0, pid), "another")
        back_s = time.monotonic() - since_s
        time.sleep(SETTLE_S)
        return {**self._summarize(since_s, []), "directory_is_back_s": round(back_s, 2)}

    def _directory_pid(self) -> int:
        try:
            return int(self.client.list_hosts()["pid"])
        except GazecastError:
            return 0

    def _wait_for_host(self, name: str, condition: Callable[[str], bool]) -> float:
        wait_for(lambda: (host := self.hosts().get(name)) and condition(host["state"]), f"the state of {name}")
        return time.monotonic()

    def _summarize(self, since_s: float, streams: Sequence[str]) -> dict[str, Any]:
        """Summarize what all received since a time. streams: those that were moved."""
        until_s = time.monotonic()
        gaps = {each.stream: round(each.longest_gap_s(since_s, until_s), 2) for each in self.wearers}
        masks = [mask for each in self.wearers for mask in each.since(since_s)]
        ages = [1e3 * (mask.at_s - mask.captured_s) for mask in masks]
        return {
            "moved": len(streams),
            "masks": len(masks),
            "masks_of_others": sum(not mask.is_own for mask in masks),
            "longest_gap_s_moved": max((gaps[stream] for stream in streams), default=None),
            "longest_gap_s_others": max((gap for stream, gap in gaps.items() if stream not in streams), default=None),
            "age_ms_p50_p99_max": [round(float(age)) for age in (*np.percentile(ages, (50, 99)), max(ages))],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wearers", type=int, default=4)
    parser.add_argument("--spares", type=int, default=0, help="hosts that are ready to take the place of another")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    import tempfile

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        trial = ClusterTrial(stack, args.wearers, args.spares, Path(folder))
        measured: dict[str, Any] = {"steady": trial.measure_steady()}
        for number in range(1, args.kills + 1):
            measured[f"kill -9 of a host, {number}"] = trial.kill_host()
        measured["drain"] = trial.drain_host()
        measured["kill -9 of the directory"] = trial.kill_directory()
    import ray

    result = {
        "machine": describe_processor(), "date": datetime.now(UTC).date().isoformat(), "ray": ray.__version__,
        "wearers": args.wearers, "spares": args.spares, "frames_hz": 15, "start_s": round(trial.start_s, 1),
        "measured": measured,
    }  # fmt: skip
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, row in measured.items():
        print(f"{name}: {json.dumps(row)}")


if __name__ == "__main__":
    main()
