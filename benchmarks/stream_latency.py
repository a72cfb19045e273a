"""Measures network streams from a real server, GStreamer's: python -m benchmarks.stream_latency [--seconds 10].

Each picture shows the time at which it was made, as blocks of black and white. From that: the error of its capture
time, its age when it is published, and the time to the first frame. A part of the script runs in a process with
GStreamer's Python bindings, which are not in this environment: Debian's python3-gi, gir1.2-gst-rtsp-server-1.0,
gstreamer1.0-plugins-good, -bad and -ugly.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from realtime.commands.doctor.probes import describe_processor

BITS, BLOCK = 52, 16
SIZE = BITS * BLOCK // 2, 4 * BLOCK
FPS = 20
SYSTEM_PYTHON = "/usr/bin/python3"
STREAMS = ("h264", "h264?transport=udp", "h265", "mjpeg")
SERVER = f"""
import sys, threading, time
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
BITS, BLOCK, FPS = {BITS}, {BLOCK}, {FPS}
WIDTH, HEIGHT = {SIZE[0]}, {SIZE[1]}
ENCODERS = {{
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=40 ! rtph264pay name=pay0 pt=96",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=40 ! rtph265pay name=pay0 pt=96",
    "mjpeg": "jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26",
}}

def paint(micros):
    bits = [micros >> bit & 1 for bit in range(BITS)]
    rows = []
    for half in (bits[:BITS // 2], bits[BITS // 2:]):
        line = b"".join((b"\\xff" if bit else b"\\0") * BLOCK for bit in half)
        rows.append(line * (HEIGHT // 2))
    return b"".join(rows) + b"\\x80" * (WIDTH * HEIGHT // 2)

def feed(factory, media):
    source = media.get_element().get_child_by_name("source")
    def push(source, length):
        at = source.count / FPS
        time.sleep(max(0, source.begun + at - time.monotonic()))
        buffer = Gst.Buffer.new_wrapped(paint(time.time_ns() // 1000))
        source.count += 1
        source.emit("push-buffer", buffer)
    source.count, source.begun = 0, time.monotonic()
    source.connect("need-data", push)

server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service("0")
for name, encoder in ENCODERS.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( appsrc name=source is-live=true do-timestamp=true format=time "
        f"caps=video/x-raw,format=I420,width={{WIDTH}},height={{HEIGHT}},framerate={{FPS}}/1 ! {{encoder}} )"
    )
    factory.set_shared(True)
    factory.connect("media-configure", feed)
    server.get_mount_points().add_factory("/" + name, factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def read_wall_us(image: np.ndarray) -> int:
    """Read the painted time, µs since 1970."""
    grey = image[:, :, 1].astype(float)
    blocks = grey.reshape(2, SIZE[1] // 2, BITS // 2, BLOCK)[:, 4:-4, :, 4:-4].mean(axis=(1, 3))
    return sum(1 << at for at, level in enumerate(blocks.reshape(-1)) if level > 127)


def measure(url: str, seconds: float) -> dict[str, object]:
    """Receive a stream, and compare capture times with the painted ones."""
    from realtime.session.inputs import open_frames

    rows: list[tuple[float, float, float]] = []
    source, begun_s = open_frames(url), time.monotonic()

    def on_frame(frame) -> None:
        now_s, wall_s = time.monotonic(), time.time()
        painted_s = read_wall_us(frame.image) / 1e6 - wall_s + now_s
        rows.append((now_s - begun_s, (frame.captured_ns / 1e9 - painted_s) * 1e3, (now_s - painted_s) * 1e3))

    source.start(on_frame)
    time.sleep(seconds)
    status = source.status()
    source.stop()
    if not rows:
        return {"stream": url, "reason": status.reason}
    first_s, errors, ages = rows[0][0], np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    steady = errors[len(errors) // 2 :]  # the sender's first report comes some seconds after the first frame
    return {
        "stream": url.rpartition("/")[2],
        "frames": len(rows),
        "dropped": status.dropped,
        "first_frame_s": round(first_s, 2),
        "capture_error_ms": [round(float(np.percentile(steady, q)), 1) for q in (5, 50, 95)],
        "capture_error_before_report_ms": round(float(np.median(errors[: FPS // 2])), 1),
        "age_ms": [round(float(np.percentile(ages, q)), 1) for q in (50, 95)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each stream")
    parser.add_argument("--streams", nargs="*", default=STREAMS)
    parser.add_argument("--python", default=SYSTEM_PYTHON, help="the Python that has GStreamer's bindings")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "stream_latency.json")
    args = parser.parse_args()
    if not Path(args.python).exists():
        sys.exit(f"skipped: there is no {args.python}")
    server = subprocess.Popen([args.python, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        assert server.stderr
        port = server.stdout.readline().strip()
        if not port:
            sys.exit(f"skipped: GStreamer is missing: {server.stderr.read().strip().splitlines()[-1]}")
        rows = []
        for stream in args.streams:
            rows.append(measure(f"rtsp://127.0.0.1:{port}/{stream}", args.seconds))
            print(json.dumps(rows[-1]), flush=True)
    finally:
        server.kill()
        server.wait()
    record = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": describe_processor(), "rows": rows}
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
