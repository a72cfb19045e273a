"""Compares four wearers of one host with four runs at once, by streaming J&F: python -m benchmarks.many.accuracy.

All look at the same clip, of two objects side by side: two at the left one, two at the right one, with errors of their
own. Four runs at once take turns on the cores, so that each has a quarter of the machine. Host and runs are measured by
turns, with `--hosts 2` two hosts of two wearers each, too, and all of them begin with the same remembered speed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import zmq

from benchmarks.many.host_run import start_process
from benchmarks.streaming_eval.clips import Clip, load_clips, pair_neighbours
from benchmarks.streaming_eval.device import ClipDevice
from benchmarks.streaming_eval.gaze import simulate_gaze
from benchmarks.streaming_eval.playback import MaskArrival
from benchmarks.streaming_eval.scoring import percentiles, score_playback
from engines.settings import default_cache_dir
from realtime.comms.messages import MaskMessage, read_message

WEARERS, NOISE_PX = 4, 10.0
KINDS = {0: "runs", 1: "host"}


class ArrivalListener:
    """Keeps all mask messages with the times of their reception, and reads them when all is over."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, 100_000)
        self._socket.set(zmq.SUBSCRIBE, b"mask\0")
        for endpoint in endpoints:
            self._socket.connect(endpoint)
        self._messages: list[tuple[float, bytes]] = []
        self.seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            if self._socket.poll(50):
                payload = self._socket.recv().partition(b"\0")[2]
                self._messages.append((time.monotonic(), payload))
                if len(self.seen) < WEARERS:
                    message = read_message("mask", payload)
                    if isinstance(message, MaskMessage) and message.mask is not None:
                        self.seen.add(message.stream)

    def close(self) -> dict[str, list[MaskArrival]]:
        """Stop, and return the masks by stream."""
        self._over.set()
        self._thread.join()
        self._socket.close(0)
        found: dict[str, list[MaskArrival]] = defaultdict(list)
        for at_s, payload in self._messages:
            message = read_message("mask", payload)
            assert isinstance(message, MaskMessage)
            found[message.stream].append(
                MaskArrival(at_s, message.mask, message.frame.index, message.gaze.timestamp, message.object)
            )
        return found


@contextlib.contextmanager
def keep_speed() -> Iterator[None]:
    """Restore what the cache says of this machine's speed: a crowded program would have the next one begin slowly."""
    folder = default_cache_dir()
    notes = {file: file.read_bytes() for file in folder.glob("speed-*.json")}
    try:
        yield
    finally:
        for file, content in notes.items():
            file.write_bytes(content)


def measure(clip: Clip, fps: float, seed: int, *, hosts: int, ready_s: float) -> dict[str, object]:
    """Measure four wearers of so many hosts, or, with 0, of a run each."""
    streams, devices = [f"w{number}" for number in range(WEARERS)], []
    for number in range(WEARERS):
        seen = replace(clip, objects=(clip.objects[number % 2],))
        gaze = {seen.name: simulate_gaze(seen, fps, NOISE_PX, 10 * seed + number)}
        devices.append(ClipDevice([seen], gaze, fps, seed + number))
    with contextlib.ExitStack() as stack:
        stack.enter_context(keep_speed())
        for device in devices:
            stack.callback(device.close)
        endpoints = start_programs(stack, streams, [device.port for device in devices], hosts)
        listener = ArrivalListener(endpoints)
        players = [
            threading.Thread(
                target=device.run, args=(lambda: len(listener.seen) == WEARERS, lambda: False, ready_s), daemon=True
            )
            for device in devices
        ]
        for player in players:
            player.start()
        for player in players:
            player.join()
        arrivals = listener.close()
    scores = [score_playback(device.played, arrivals[name]) for name, device in zip(streams, devices, strict=True)]
    return {
        "kind": KINDS.get(hosts, f"{hosts} hosts"), "seed": seed, "clip": clip.name,
        "jf_each": [round(score.jf, 3) for score in scores], "jf": round(float(np.mean([s.jf for s in scores])), 3),
        "masks_per_s": round(float(np.mean([s.masks_per_s for s in scores])), 1),
        "frame_to_mask_ms": percentiles([ms for score in scores for ms in score.frame_to_mask_ms]),
        "foreign_frames": int(sum(score.unknown[0] for score in scores)),
    }  # fmt: skip


def start_programs(stack: contextlib.ExitStack, streams: Sequence[str], ports: Sequence[int], hosts: int) -> list[str]:
    """Start hosts that share the wearers, or a run for each; returns the addresses where they publish."""
    endpoints = []
    for _ in range(hosts or len(streams)):
        with socket.create_server(("127.0.0.1", 0)) as server:
            endpoints.append(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    if not hosts:
        for stream, port, endpoint in zip(streams, ports, endpoints, strict=True):
            source = f"pupil://127.0.0.1:{port}"
            stack.enter_context(start_process("-m", "realtime", "run", "--source", source, "--publish", endpoint,
                                              "--set", f"publish.stream={stream}", "--json"))  # fmt: skip
        return endpoints
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for number, endpoint in enumerate(endpoints):
        lines = [f'publish.endpoint = "{endpoint}"', "publish.overlay = false"]
        for stream, port in list(zip(streams, ports, strict=True))[number::hosts]:
            lines += ["[[session]]", f'stream = "{stream}"', f'source = "pupil://127.0.0.1:{port}"']
        file = folder / f"host-{number}.toml"
        file.write_text("\n".join(lines) + "\n")
        stack.enter_context(start_process("-m", "realtime", "serve", str(file), "--json"))
    return endpoints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="CLIPS")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="clips to use, two or more")
    parser.add_argument("--hosts", type=int, nargs="*", default=[1, 0], choices=range(WEARERS + 1),
                        help="numbers of hosts to measure; 0 for a run of each wearer")  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--fps", type=float, default=24.0)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--ready-s", type=float, default=120.0, help="longest wait for all first masks")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    clips = pair_neighbours(load_clips(args.data, args.only), round(args.seconds * args.fps))
    rows = []
    for seed in args.seeds:
        for clip in clips:
            for hosts in args.hosts:
                rows.append(measure(clip, args.fps, seed, hosts=hosts, ready_s=args.ready_s))
                print(json.dumps(rows[-1]), flush=True)
    if args.out:
        args.out.write_text(json.dumps({"fps": args.fps, "rows": rows}, indent=1) + "\n")
        print(args.out, file=sys.stderr)


if __name__ == "__main__":
    main()
