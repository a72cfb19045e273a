"""Defines measured programs: a command over the wire, a plain loop without our library, a disc without a model."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.device import ClipDevice, NewestInput, NoMasksError
from benchmarks.streaming_eval.gaze import SimulatedGaze
from benchmarks.streaming_eval.playback import MaskArrival, PlaybackLog
from realtime.comms.messages import MaskMessage, read_message
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.errors import WireError

STOP_S = 10.0
QUEUE = 1000
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
SPREAD = np.array([58.395, 57.12, 57.375], np.float32)
SIDE = 1024


class MeasuredProgram(Protocol):
    """A program that runs while a device plays."""

    def start(self, device: ClipDevice) -> None:
        """Start to read from the device."""

    def ready(self) -> bool:
        """Check whether the first mask was received."""

    def dead(self) -> bool:
        """Check whether it has ended by itself."""

    def stop(self) -> list[MaskArrival]:
        """Stop it and return all its masks, in the order of their reception."""


class CommandProgram:
    """A program of its own, `{source}` and `{publish}` in whose command line stand for the two endpoints.

    Messages are only kept while it runs and read when it is over: the cores belong to what is measured.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._messages: list[tuple[float, bytes]] = []
        self._over = threading.Event()
        self._read = 0
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call
        self.bad: list[str] = []
        self.last_words = ""

    def start(self, device: ClipDevice) -> None:
        """Start the process and listen."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            publish = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        line = self._command.format(source=f"pupil://127.0.0.1:{device.port}", publish=publish)
        self._child = subprocess.Popen(
            shlex.split(line), stdout=subprocess.DEVNULL, stderr=self._stderr, start_new_session=True
        )
        self._listener = threading.Thread(target=self._listen, args=(publish,), daemon=True)
        self._listener.start()

    def _listen(self, endpoint: str) -> None:
        subscription = TopicSubscription(endpoint, "mask", newest_only=False, queue=QUEUE)
        while not self._over.is_set():
            if (payload := subscription.receive(0.05)) is not None:
                self._messages.append((time.monotonic(), payload))
        subscription.close()

    def ready(self) -> bool:
        """Check whether a message with a mask was received."""
        while self._read < len(self._messages):
            self._read += 1
            arrival = self._arrival(*self._messages[self._read - 1])
            if arrival is not None and arrival.mask is not None:
                return True
        return False

    def dead(self) -> bool:
        """Check whether the process has ended."""
        return self._child.poll() is not None

    def stop(self) -> list[MaskArrival]:
        """Interrupt it as Ctrl-C does; a process that does not end within STOP_S is killed and reported in `bad`."""
        self._over.set()
        self._listener.join()
        self.bad.clear()  # all messages are read once more
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGINT)
            try:
                self._child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait()
                self.bad.append(f"it did not stop within {STOP_S:.0f} s of an interrupt")
        self._stderr.seek(0)
        self.last_words = b"\n".join(self._stderr.read().splitlines()[-5:]).decode(errors="replace")
        self._stderr.close()
        found = [self._arrival(*message) for message in self._messages]
        return [arrival for arrival in found if arrival is not None]

    def _arrival(self, at_s: float, payload: bytes) -> MaskArrival | None:
        try:
            message = read_message("mask", payload)
        except WireError as error:  # a finding, not a crash
            self.bad.append(str(error))
            return None
        assert isinstance(message, MaskMessage)
        return MaskArrival(at_s, message.mask, message.frame.index, message.gaze.timestamp, message.object)


class _LoopProgram:
    """A loop on a thread of this process."""

    def __init__(self) -> None:
        self._arrivals: list[MaskArrival] = []
        self._error: Exception | None = None

    def start(self, device: ClipDevice) -> None:
        self._device = device
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self._thread.start()

    def ready(self) -> bool:
        return bool(self._arrivals)

    def dead(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> list[MaskArrival]:
        self._device.stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._arrivals

    def _guarded(self) -> None:
        try:
            self._run()
        except Exception as error:
            self._error = error

    def _run(self) -> None:
        raise NotImplementedError

    def _put(self, mask: np.ndarray, index: int, gaze_s: float) -> None:
        self._arrivals.append(MaskArrival(time.monotonic(), mask, index, gaze_s))


class DiscProgram(_LoopProgram):
    """A baseline without a model: a disc around the newest gaze, 50 times a second."""

    def __init__(self, radius_px: int) -> None:
        super().__init__()
        self._radius_px = radius_px

    def _run(self) -> None:
        while not self._device.stop.is_set():
            if (now := self._device.newest) is not None:
                mask = np.zeros(now.shape, np.uint8)
                cv2.circle(mask, (int(now.gaze_px[0]), int(now.gaze_px[1])), self._radius_px, 1, -1)
                self._put(mask > 0, now.index, now.gaze_s)
            time.sleep(0.02)


class StockProgram(_LoopProgram):
    """A loop of newest frame, encode, newest gaze, decode, show, with the published graphs in ONNX Runtime."""

    def __init__(self, models: Path) -> None:
        super().__init__()
        self._models = models

    def _run(self) -> None:
        import onnxruntime

        encoder, decoder = (
            onnxruntime.InferenceSession(str(self._models / name), providers=["CPUExecutionProvider"])
            for name in ("encoder.onnx", "sam.onnx")
        )
        while not self._device.stop.is_set():
            if (seen := self._device.newest) is None:
                time.sleep(0.005)
                continue
            height, width = seen.shape
            scale = SIDE / max(seen.shape)
            picture = np.asarray(cv2.imdecode(np.frombuffer(seen.jpeg, np.uint8), 1))
            small = cv2.resize(picture, (round(width * scale), round(height * scale)))
            padded = np.zeros((1, 3, SIDE, SIDE), np.float32)
            padded[0, :, : small.shape[0], : small.shape[1]] = ((small[..., ::-1] - MEAN) / SPREAD).transpose(2, 0, 1)
            embedding = encoder.run(None, {"input": padded})[0]
            newest = self._device.newest or seen
            logits = decoder.run(None, _prompt(embedding, newest, scale, seen.shape))[0]
            self._put(logits[0, 0] > 0, seen.index, newest.gaze_s)


def _prompt(embedding: np.ndarray, newest: NewestInput, scale: float, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Make the inputs of one click, with the padding point that the published decoder expects."""
    return {
        "image_embeddings": embedding,
        "point_coords": np.array([[np.array(newest.gaze_px) * scale, (0, 0)]], np.float32),
        "point_labels": np.array([[1, -1]], np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
        "orig_im_size": np.array(shape, np.float32),
    }


def measure_program(
    program: MeasuredProgram,
    clips: Sequence[Clip],
    gaze: dict[str, SimulatedGaze],
    fps: float,
    seed: int,
    ready_s: float,
) -> tuple[PlaybackLog, list[MaskArrival]]:
    """Play all clips to a program in real time; raises `NoMasksError` if it never gives one."""
    device = ClipDevice(clips, gaze, fps, seed)
    trouble: NoMasksError | None = None
    try:
        program.start(device)
        try:
            device.run(program.ready, program.dead, ready_s)
        except NoMasksError as error:
            trouble = error
        finally:
            device.stop.set()
            arrivals = program.stop()
    finally:
        device.close()
    if trouble is not None:
        last_words = program.last_words if isinstance(program, CommandProgram) else ""
        raise NoMasksError(f"{trouble}\n{last_words}".strip())
    if isinstance(program, CommandProgram) and (bad := program.bad):
        print(f"{len(bad)} messages that do not follow the contract, the first: {bad[0]}", file=sys.stderr)
    return device.played, arrivals
