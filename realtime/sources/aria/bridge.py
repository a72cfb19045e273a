"""Sends what Project Aria's client receives to gazecast, which runs this file in an interpreter that has the client.

A program of its own, which imports nothing of gazecast. Messages go to the standard output, as `messages.py` reads
them; what the client prints goes to the standard error. It ends when its standard input is closed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import struct
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta
from typing import Any

MAGIC = b"GCA1"
CAMERA = "camera-rgb"
UNKNOWN_DEPTH_M = 1.0
"""Distance that is taken where the eyes tell none; at 1 m the camera's distance from the eyes matters little."""
MAX_GAZE = 512
NO_CLIENT, NO_DEVICE = 3, 4


class Sender:
    """Writes messages on a thread: every gaze sample, and the newest frame."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._wake = threading.Condition()
        self._gaze: deque[dict[str, Any]] = deque()
        self._frame: tuple[dict[str, Any], bytes] | None = None
        self._dropped = {"frame": 0, "gaze": 0}
        threading.Thread(target=self._run, name="sender", daemon=True).start()

    def send_now(self, kind: str, **fields: Any) -> None:
        """Write a message that is not data, at once."""
        with self._wake:
            self._write({"type": kind, **fields}, b"")

    def put_gaze(self, **fields: Any) -> None:
        """Queue a gaze sample; the oldest one is lost when the reader is slow."""
        with self._wake:
            if len(self._gaze) == MAX_GAZE:
                self._gaze.popleft()
                self._dropped["gaze"] += 1
            self._gaze.append({"type": "gaze", "received_ns": time.monotonic_ns(), **fields})
            self._wake.notify()

    def put_frame(self, pixels: bytes, **fields: Any) -> None:
        """Keep the newest frame until it is written."""
        with self._wake:
            self._dropped["frame"] += self._frame is not None
            self._frame = {"type": "frame", "received_ns": time.monotonic_ns(), **fields}, pixels
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._gaze and self._frame is None:
                    self._wake.wait()
                messages = [(gaze, b"") for gaze in self._gaze]
                self._gaze.clear()
                if self._frame is not None:
                    messages.append(self._frame)
                    self._frame = None
                for header, payload in messages:
                    self._write({**header, "dropped": dict(self._dropped)}, payload)

    def _write(self, header: dict[str, Any], payload: bytes) -> None:
        text = json.dumps(header).encode()
        try:
            self._file.write(MAGIC + struct.pack("<II", len(text), len(payload)) + text)
            self._file.write(payload)
            self._file.flush()
        except OSError:  # gazecast has ended
            os._exit(0)


class GazeProjector:
    """Projects gaze, which is two angles and a depth from between the eyes, into the scene camera's picture."""

    def __init__(self) -> None:
        self._calibration: Any = None
        self._camera: Any = None

    def set_calibration(self, calibration: Any) -> None:
        """Use the device's calibration."""
        self._calibration, self._camera = calibration, calibration.get_camera_calib(CAMERA)

    @property
    def is_ready(self) -> bool:
        """Whether a calibration of the scene camera is known."""
        return self._camera is not None

    def project(self, gaze: Any) -> tuple[float, float] | None:
        """Return x and y, 0..1 of the picture from its top left; None outside the camera's view."""
        from projectaria_tools.core.mps.utils import get_gaze_vector_reprojection

        depth_m = gaze.depth if math.isfinite(gaze.depth) and gaze.depth > 0 else UNKNOWN_DEPTH_M
        pixel = get_gaze_vector_reprojection(gaze, CAMERA, self._calibration, self._camera, depth_m)
        if pixel is None:
            return None
        width, height = self._camera.get_image_size()
        return (float(pixel[0]) + 0.5) / float(width), (float(pixel[1]) + 0.5) / float(height)


class Bridge:
    """Holds the callbacks that the client calls on threads of its own."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._projector = GazeProjector()
        self._decoder: Any = None
        self._has_validity = False

    def on_calibration(self, calibration: Any) -> None:
        """Receive the device's calibration."""
        self._projector.set_calibration(calibration)
        if not self._projector.is_ready:
            self._sender.send_now("note", text=f"the calibration of the glasses has no {CAMERA}")

    def on_gaze(self, gaze: Any) -> None:
        """Receive a gaze sample."""
        time_ns = gaze.tracking_timestamp // timedelta(microseconds=1) * 1000
        if not self._projector.is_ready:
            self._sender.put_gaze(time_ns=time_ns, flaw="no calibration of the camera yet")
            return
        is_valid = bool(getattr(gaze, "combined_gaze_valid", False))
        self._has_validity |= is_valid  # models of eye tracking that do not fill it never set it
        is_seen = (is_valid or not self._has_validity) and math.isfinite(gaze.yaw + gaze.pitch)
        point = self._projector.project(gaze) if is_seen else None
        if point is None or not all(map(math.isfinite, point)):
            self._sender.put_gaze(time_ns=time_ns)
        else:
            self._sender.put_gaze(time_ns=time_ns, x=point[0], y=point[1])

    def on_rgb(self, image_data: Any, record: Any) -> None:
        """Receive a decoded picture of the scene camera, (H, W, 3) red-green-blue or (H, W)."""
        pixels = image_data.to_numpy_array()
        if pixels.ndim not in (2, 3) or not pixels.size or pixels.dtype.itemsize != 1:
            self._sender.send_now("note", text="pictures arrive that were not decoded")
            return
        self._sender.put_frame(
            pixels.tobytes(),
            time_ns=int(record.capture_timestamp_ns),
            height=int(pixels.shape[0]),
            width=int(pixels.shape[1]),
            channels=1 if pixels.ndim == 2 else int(pixels.shape[2]),
        )

    def on_encoded_rgb(self, image_data: Any, record: Any) -> None:
        """Receive a picture of a recording, and decode it where that is needed."""
        if self._decoder is None:
            from aria.image_decoder import ImageDecoder

            self._decoder = ImageDecoder(hw_accel=sys.platform == "darwin")
        with suppress(Exception):  # one that is decoded already, or cannot be
            self._decoder.decode_image(image_data, record)
        self.on_rgb(image_data, record)


def replay(path: str, speed: float, bridge: Bridge, sender: Sender) -> int:
    """Play a recording by the client's own replay; returns the exit code."""
    from aria import sdk_gen2

    data = sdk_gen2.StreamDataInterface(enable_image_decoding=True)
    data.register_device_calib_callback(bridge.on_calibration)
    data.register_rgb_callback(bridge.on_encoded_rgb)
    data.register_eye_gaze_callback(bridge.on_gaze)
    config = sdk_gen2.ReplaySourceConfig()
    config.filename, config.speed_multiplier = path, speed
    try:
        session = sdk_gen2.create_replay_source(config, data)
    except RuntimeError as error:
        session, why = None, str(error).strip().splitlines()
        sender.send_now("failed", text=f"the client cannot play {path}: {why[-1] if why else 'no reason given'}")
        return 1
    if session is None:
        sender.send_now("failed", text=f"the client cannot play {path}; it plays .vrs of Aria Gen 2")
        return 1
    while not session.is_finished():
        time.sleep(0.05)
    time.sleep(0.2)  # the last data may be on their way
    sender.send_now("end")
    return 0


def receive_live(profile: str, bridge: Bridge, sender: Sender, ended: threading.Event) -> int:
    """Start streaming on the glasses that are connected; returns the exit code."""
    from aria import sdk_gen2, stream_receiver

    client = sdk_gen2.DeviceClient()
    client.set_client_config(sdk_gen2.DeviceClientConfig())
    try:
        device = client.connect()
    except RuntimeError as error:
        why = str(error).strip().splitlines()
        sender.send_now("note", text=f"no Aria glasses can be reached ({why[-1] if why else 'no reason given'})")
        return NO_DEVICE
    config = sdk_gen2.HttpStreamingConfig()
    config.profile_name = profile
    device.set_streaming_config(config)
    server = sdk_gen2.HttpServerConfig()
    server.address, server.port = "0.0.0.0", 6768  # noqa: S104 - the glasses connect to it
    receiver = stream_receiver.StreamReceiver(enable_image_decoding=True)
    receiver.set_server_config(server)
    receiver.register_device_calib_callback(bridge.on_calibration)
    receiver.register_rgb_callback(bridge.on_rgb)
    receiver.register_eye_gaze_callback(bridge.on_gaze)
    receiver.start_server()
    device.start_streaming()
    try:
        ended.wait()
    finally:
        device.stop_streaming()
    return 0


def main() -> int:
    """Run until the recording ends, or the standard input."""
    sender = Sender(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # the client prints
    parser = argparse.ArgumentParser()
    parser.add_argument("--replay", default="")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--profile", default="profile9")
    args = parser.parse_args()
    ended = threading.Event()

    def watch() -> None:
        while sys.stdin.buffer.read(1):
            pass
        ended.set()
        time.sleep(0.3 if not args.replay else 0.0)  # to end streaming
        os._exit(0)

    threading.Thread(target=watch, name="stdin", daemon=True).start()
    try:
        import aria.sdk_gen2
        import projectaria_tools.core.mps.utils
    except ImportError as error:
        sender.send_now("failed", text=f"Project Aria's client is not installed for {sys.executable} ({error})")
        return NO_CLIENT
    del aria, projectaria_tools
    sender.send_now("hello")
    bridge = Bridge(sender)
    code = (
        replay(args.replay, args.speed, bridge, sender)
        if args.replay
        else receive_live(args.profile, bridge, sender, ended)
    )
    sys.stdout.flush()
    os._exit(code)  # the client's threads would keep the process


if __name__ == "__main__":
    sys.exit(main())
