"""Runs `gazecast serve` with simulated wearers, and measures what each of them gets and costs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from benchmarks.whole_program.program import ProcessUse, end_process, measure_process
from realtime.comms.envelope import unpack

ROOT = Path(__file__).parents[2]
FIRST_MASKS_S, WARM_UP_S = 180.0, 6.0
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class HostLoad:
    """Holds what a host serves. greedy: size and rate of the first wearer, such as 1920x1080@120; empty for usual."""

    wearers: int
    engine: str = "fake"
    size: str = "640x360"
    fps: float = 15.0
    greedy: str = ""
    settings: tuple[str, ...] = ()
    """Lines of the settings file, before its sessions."""


@dataclass
class WearerTimes:
    """Holds what one wearer's messages say. In ms; a late mask counts with its age when it was published."""

    frame_to_mask: list[float] = field(default_factory=list)
    keyframe_age: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    keyframes: list[float] = field(default_factory=list)
    """Encode times of keyframes."""


@dataclass(frozen=True)
class HostMeasurement:
    """Holds one measurement: times by stream, and the process's use over `seconds`."""

    load: HostLoad
    seconds: float
    times: dict[str, WearerTimes]
    cores: float
    other_cores: float
    """What all other processes of the machine used: those of the wearers, and whatever else was running."""
    use: ProcessUse
    health: tuple[dict[str, Any], dict[str, Any]]
    """The host's `health` at the beginning and at the end."""

    def summarize(self) -> dict[str, Any]:
        """Return the figures, for JSON; percentiles over all wearers' masks, but for a greedy one."""
        usual = {name: times for name, times in self.times.items() if not (self.load.greedy and name == "w00")}
        masks = [len(times.frame_to_mask) / self.seconds for times in usual.values()]

        def pool(name: str) -> list[float]:
            return [value for times in usual.values() for value in getattr(times, name)]

        worst = max((float(np.percentile(times.frame_to_mask, 95)) for times in usual.values() if times.frame_to_mask),
                    default=None)  # fmt: skip
        return {
            "wearers": self.load.wearers, "engine": self.load.engine, "size": self.load.size, "fps": self.load.fps,
            "greedy": self.load.greedy, "seconds": round(self.seconds, 1),
            "masks_per_s": round(sum(masks), 1), "masks_per_s_each": round(sum(masks) / len(masks), 2),
            "masks_per_s_least": round(min(masks), 2), "worst_wearer_p95_ms": worst and round(worst, 1),
            "frame_to_mask_ms": percentiles(pool("frame_to_mask")),
            "keyframe_age_ms": percentiles(pool("keyframe_age")),
            "keyframes_per_s_each": round(len(pool("keyframes")) / self.seconds / len(usual), 2),
            "encode_ms": percentiles(pool("keyframes")), "decode_ms": percentiles(pool("decode")),
            "cores": round(self.cores, 3), "cores_each": round(self.cores / self.load.wearers, 4),
            "pss_mib": self.use.pss_mib and round(self.use.pss_mib, 1), "rss_mib": round(self.use.rss_mib, 1),
            "threads": self.use.threads, "engine_use": self._engine_use(),
        }  # fmt: skip

    def _engine_use(self) -> dict[str, Any]:
        """Return what the engine did in each second, and its last service times."""
        before, after = (health["engine"] for health in self.health)
        seconds = max(1e-9, (self.health[1]["published_ns"] - self.health[0]["published_ns"]) / 1e9)

        def rate(part: str, name: str) -> float:
            return float((after[part][name] - before[part][name]) / seconds)

        return {
            "encodes_per_s": round(rate("encode", "served"), 2), "decodes_per_s": round(rate("decode", "served"), 2),
            "busy_cores": round(rate("encode", "busy_s") + rate("decode", "busy_s"), 3),
            "encode_ms": after["encode"]["ms"], "decode_ms": after["decode"]["ms"],
            "decode_batches": {size: count - before["decode"]["batches"].get(size, 0)
                               for size, count in after["decode"]["batches"].items()},
            "decode_ratios": after["decode"]["ratios"], "encode_ratios": after["encode"]["ratios"],
            "fits": after["fits"], "limit": after["limit"], "precision": after["precision"],
            "picture_side": after["picture_side"], "side": after["encode"].get("side"),
            "other_cores": round(self.other_cores, 3),
        }  # fmt: skip


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p95 and p99; None without values."""
    if not values:
        return None
    found = np.percentile(values, PERCENTILES)
    return {f"p{percent}": round(float(value), 1) for percent, value in zip(PERCENTILES, found, strict=True)}


def write_settings(load: HostLoad, ports: Sequence[int], endpoint: str, path: Path) -> list[str]:
    """Write the host's file, and return the streams' names."""
    streams = [f"w{number:02}" for number in range(load.wearers)]
    lines = [*load.settings, f'publish.endpoint = "{endpoint}"', "publish.overlay = false",
             f'engine.backend = "{load.engine}"']  # fmt: skip
    for stream, port in zip(streams, ports, strict=True):
        lines += ["", "[[session]]", f'stream = "{stream}"', f'source = "pupil://127.0.0.1:{port}"']
    path.write_text("\n".join(lines) + "\n")
    return streams


@contextlib.contextmanager
def start_process(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Start a Python process of this repository, and end it."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            cwd=ROOT,
        )  # fmt: skip
        try:
            yield process
        finally:
            end_process(process)


class MaskListener:
    """Reads all wearers' messages; decodes no mask, since the cores belong to what is measured."""

    def __init__(self, endpoint: str, streams: Sequence[str]) -> None:
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, 100_000)
        self._socket.set(zmq.SUBSCRIBE, b"")
        self._socket.connect(endpoint)
        self._streams = set(streams)
        self.times: dict[str, WearerTimes] = defaultdict(WearerTimes)
        self.health: dict[str, Any] = {}
        self.foreign = 0

    def read(self, seconds: float) -> None:
        """Read what comes in the next seconds."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            if self._socket.poll(round(left_s * 1000) + 1):
                topic, _, payload = self._socket.recv().partition(b"\0")
                self._observe(topic.decode(), unpack(payload))

    def _observe(self, topic: str, fields: dict[str, Any]) -> None:
        stream = fields["stream"]
        if stream not in self._streams:
            if topic == "health":
                self.health = fields
            return
        times = self.times[stream]
        if topic == "keyframe":
            times.keyframes.append(fields["encode_ms"])
        elif topic == "mask" and fields["mask"] is not None:
            times.frame_to_mask.append((fields["published_ns"] - fields["captured_ns"]) / 1e6)
            if fields["method"] == "model":
                times.keyframe_age.append((fields["frame"]["timestamp"] - fields["keyframe"]["timestamp"]) * 1e3)
            timing = fields["timing_ns"]
            if timing["decode_end"] > timing["decode_start"]:
                times.decode.append((timing["decode_end"] - timing["decode_start"]) / 1e6)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close(0)


def measure_busy_s() -> float:
    """Return the time in which cores of the machine were busy, s, whoever used them."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")


def measure_host(load: HostLoad, seconds: float) -> HostMeasurement:
    """Serve the wearers, wait for all their masks, and measure; SystemExit with the reason where none come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    greedy = ("--greedy", load.greedy) if load.greedy else ()
    command = (str(load.wearers), "--size", load.size, "--fps", str(load.fps), *greedy)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        devices = stack.enter_context(start_process("-m", "benchmarks.many.wearers", *command))
        assert devices.stdout is not None
        ports = json.loads(devices.stdout.readline())
        streams = write_settings(load, ports, endpoint, folder / "host.toml")
        host = stack.enter_context(start_process("-m", "realtime", "serve", str(folder / "host.toml"), "--json"))
        listener = MaskListener(endpoint, streams)
        stack.callback(listener.close)
        until_s = time.monotonic() + FIRST_MASKS_S
        while sum(bool(times.frame_to_mask) for times in listener.times.values()) < load.wearers:
            if host.poll() is not None or time.monotonic() > until_s:
                with_masks = sorted(name for name, times in listener.times.items() if times.frame_to_mask)
                raise SystemExit(f"no masks of all {load.wearers} wearers, only of {with_masks}")
            listener.read(0.5)
        listener.read(WARM_UP_S)
        listener.times.clear()
        health, begun_s = listener.health, time.monotonic()
        before, busy_s = measure_process(host.pid), measure_busy_s()
        listener.read(seconds)
        lasted_s = time.monotonic() - begun_s
        after = measure_process(host.pid)
        others = measure_busy_s() - busy_s - (after.cpu_s - before.cpu_s)
        return HostMeasurement(
            load, lasted_s, dict(listener.times), (after.cpu_s - before.cpu_s) / lasted_s, others / lasted_s, after,
            (health, listener.health),
        )  # fmt: skip
