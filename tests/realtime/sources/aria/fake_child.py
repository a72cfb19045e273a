"""A process in the place of the bridge, which sends what a test asks for: fake_child.py MODE."""

import json
import os
import signal
import struct
import sys
import threading
import time


def send(kind, payload=b"", **fields):
    text = json.dumps({"type": kind, "received_ns": time.monotonic_ns(), **fields}).encode()
    sys.stdout.buffer.write(b"GCA1" + struct.pack("<II", len(text), len(payload)) + text + payload)
    sys.stdout.buffer.flush()


def send_data(number, **fields):
    at_ns = time.monotonic_ns() + 10**15  # the device's clock
    send("gaze", time_ns=at_ns, **(fields or {"x": 0.25, "y": 0.5}))
    pixels = bytes([number % 256, 0, 255]) * 12  # red-green-blue
    send("frame", pixels, time_ns=at_ns, width=4, height=3, channels=3, dropped={"frame": number // 10, "gaze": 0})


def watch_input():
    sys.stdin.buffer.read()
    os._exit(0)


mode = sys.argv[1]
if mode != "deaf":
    threading.Thread(target=watch_input, daemon=True).start()
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("a line of the client", file=sys.stderr, flush=True)
if mode == "nothing":
    time.sleep(600)
if mode == "crash at once":
    print("XR_CHECK failed: \x1b[31mbad file\x1b[0m", file=sys.stderr, flush=True)
    os.abort()
if mode == "noise":
    sys.stdout.buffer.write(b"Hello, I print here" * 100)
    sys.stdout.flush()
    time.sleep(600)
if mode == "no device":
    send("note", text="no Aria glasses can be reached (timeout)")
    sys.exit(4)
if mode == "failed":
    send("failed", text="the client cannot play x.vrs")
    sys.exit(1)
send("hello")
if mode == "odd":
    for fields in ({}, {"x": "0.5", "y": 1}, {"x": 1e9, "y": 0}, {"x": 0.5}, {"x": True, "y": False}):
        send("gaze", time_ns=1, **fields)
    send("gaze", x=0.5, y=0.5)
    send("gaze", x=0.5, y=0.5, time_ns=-1)
    send("gaze", time_ns=1, flaw="no calibration of the camera yet")
    send("frame", b"123", time_ns=1, width=4, height=3, channels=3)
    send("frame", b"123", time_ns=1, width=-1, height=-1, channels=3)
    send("surprise")
number = 0
while True:
    send_data(number)
    if mode == "blink":
        send("gaze", time_ns=time.monotonic_ns() + 10**15)
    number += 1
    if mode == "crash" and number == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "end" and number == 5:
        send("end")
        time.sleep(600)
    time.sleep(0.01)
