"""Measures how a Neon is received: clocks, delays, and the time until masks come again after a restart.

    python -m benchmarks.neon_latency [--seconds 10] [--loss 0.01] [--engine fake] [--video CLIP]

A simulated Neon in a process of its own plays a clip at 1600 x 1200, 30 frames and 200 gaze samples a second, over UDP
on this computer, with lost packets and a clock that is off. Its capture times are exact, so that the error of the
mapped ones is known. The clip is encoded once, before anything is measured. Delays are from a capture to its arrival
at the observer, for frames decoded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from realtime.comms.mask_subscriber import MaskSubscriber
from realtime.infra.clock import now_ns
from realtime.session.inputs import open_frames, open_gaze
from realtime.simulation.neon.companion_device import CompanionFaults, SimulatedNeon
from realtime.sources.video.video_reader import VideoFile

CLIP = Path(__file__).parents[1] / "realtime/commands/demo/table.mp4"
AWAY_S, WARM_UP_S, PATIENCE_S = 3.0, 3.0, 60.0
FPS = 30.0


class ThirtyFrames(VideoFile):
    """A clip that is played at the frame rate of a Neon, whatever its own is."""

    def frames(self):
        """Yield (seconds, picture) at 30 a second."""
        for number, (_, image) in enumerate(super().frames()):
            yield number / FPS, image


def serve(args):
    """Be the device; obeys `away` and `back`, and prints when its clip is encoded and when its port is open."""
    clip = ThirtyFrames(args.video)
    clip.fps = FPS
    device = SimulatedNeon(clip, port=0, faults=CompanionFaults(args.loss, args.clock_offset_ms / 1e3))
    device.start()
    time.sleep(1.5 * (clip.duration_s or 10))
    print(json.dumps({"port": device.port, "epoch_s": device.epoch_s}), flush=True)
    for line in sys.stdin:
        if line.strip() == "away":
            device.go_away()
        else:
            device.come_back()
            while not device._is_listening.is_set():
                time.sleep(0.001)
            print(json.dumps({"back_ns": now_ns()}), flush=True)
    device.stop()


@contextmanager
def simulated_device(args):
    """Run the device in another process: (its process, port, unix seconds minus monotonic)."""
    command = [sys.executable, "-m", "benchmarks.neon_latency", "--serve", "--video", str(args.video)]
    command += ["--loss", str(args.loss), "--clock-offset-ms", str(args.clock_offset_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, *json.loads(process.stdout.readline()).values()
        finally:
            process.stdin.close()
            process.wait(10)


def describe(values):
    """Write median, 95th percentile and largest value, ms."""
    return "{:.1f} / {:.1f} / {:.1f}".format(*np.percentile(values, [50, 95, 100]))


def receive(address, epoch_s, seconds, *, frames):
    """Receive for some seconds; returns rows of clock errors and delays, ms."""
    seen = {"frames": [], "gaze": []}
    frame_source = open_frames(address)
    gaze_source = open_gaze(address)

    def observe(kind, item):
        seen[kind].append((item.timestamp - epoch_s, item.captured_ns / 1e9, now_ns() / 1e9))

    if frames:
        frame_source.start(lambda frame: observe("frames", frame))
    gaze_source.start(lambda sample: observe("gaze", sample))
    time.sleep(WARM_UP_S + seconds)
    frame_source.stop()
    gaze_source.stop()
    result = {}
    for kind, rows in seen.items():
        rows = np.array([row for row in rows if row[2] > rows[-1][2] - seconds]) if rows else np.zeros((0, 3))
        if len(rows):
            true, captured, arrived = rows.T
            errors_ms, delays_ms = np.abs(captured - true) * 1e3, (arrived - true) * 1e3
            result[kind] = {"rate": len(rows) / seconds, "clock_ms": errors_ms, "delay_ms": delays_ms}
    return result, frame_source.status()


def wait_for_mask(masks, since_ns):
    """Wait for a mask of a frame that was captured after a time; returns when it was published."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        message = masks.newest("mask", 0.5)
        if message is not None and message.captured_ns > since_ns and message.mask is not None:
            return message.published_ns
    raise SystemExit("no mask came")


def measure_restarts(args, address, epoch_s, process):
    """Run gazecast, and switch the device off and on.

    Returns the seconds until masks come again, the delays of masks and those of the gaze samples behind them, ms.
    """
    endpoint = "tcp://127.0.0.1:47655"
    command = [sys.executable, "-m", "realtime", "run", "--source", address, "--publish", endpoint]
    command += ["--engine", args.engine]
    found, delays, gaze_delays = [], [], {}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        threading.Thread(
            target=lambda: [print(line, end="", file=sys.stderr) for line in run.stderr], daemon=True
        ).start()
        try:
            with MaskSubscriber(endpoint) as masks:
                wait_for_mask(masks, now_ns())
                for _ in range(args.restarts):
                    until = time.monotonic() + 2
                    while time.monotonic() < until:
                        message = masks.newest("mask", 0.5)
                        if message is not None:
                            delays.append((message.published_ns - message.captured_ns) / 1e6)
                            seen_s = message.gaze.timestamp
                            gaze_delays[seen_s] = message.timing_ns.gaze_received / 1e6 - (seen_s - epoch_s) * 1e3
                    process.stdin.write("away\n")
                    process.stdin.flush()
                    time.sleep(AWAY_S)
                    process.stdin.write("back\n")
                    process.stdin.flush()
                    back_ns = json.loads(process.stdout.readline())["back_ns"]
                    found.append((wait_for_mask(masks, back_ns) - back_ns) / 1e9)
        finally:
            run.terminate()
            run.wait(20)
    return found, delays, list(gaze_delays.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--loss", type=float, default=0.01)
    parser.add_argument("--clock-offset-ms", type=float, default=250.0)
    parser.add_argument("--engine", default="fake")
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--video", type=Path, default=CLIP)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args)
        return
    with simulated_device(args) as (process, port, epoch_s):
        address = f"neon://127.0.0.1:{port}"
        alone, _ = receive(address, epoch_s, args.seconds / 2, frames=False)
        both, status = receive(address, epoch_s, args.seconds, frames=True)
        if args.restarts:
            restarts, delays, gaze_delays = measure_restarts(args, address, epoch_s, process)
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}; loss "
          f"{args.loss:.1%}, clock off by {args.clock_offset_ms:g} ms; median / p95 / largest\n")  # fmt: skip
    print("| what | figure |\n|---|---|")
    for kind in ("frames", "gaze"):
        print(f"| {kind}: received a second | {both[kind]['rate']:.0f} |")
        print(f"| {kind}: error of the capture time, ms | {describe(both[kind]['clock_ms'])} |")
    print(f"| gaze: capture to observer while video is decoded, ms | {describe(both['gaze']['delay_ms'])} |")
    print(f"| gaze: the same without video, ms | {describe(alone['gaze']['delay_ms'])} |")
    print(f"| frames: capture to observer, decoded, ms | {describe(both['frames']['delay_ms'])} |")
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(status.dropped.items()))
    print(f"| frames: dropped of {status.received} | {dropped} |")
    if args.restarts:
        print(f"| gaze: capture to arrival in a whole run, ms | {describe(gaze_delays)} |")
        print(f"| from the device's return to the first mask, s | {', '.join(f'{value:.2f}' for value in restarts)} |")
        print(f"| mask: capture to publication, ms | {describe(delays)} |")


if __name__ == "__main__":
    main()
