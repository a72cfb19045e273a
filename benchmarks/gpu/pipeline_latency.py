"""Measures the latency of the pipeline from gaze sample to mask, on synthetic frames and gaze, without sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from benchmarks.gpu.report import percentiles
from engines import Decoder, Encoder, Image
from realtime.comms.envelope import unpack
from realtime.infra.clock import now_ns
from realtime.pipeline.context import PipelineOptions
from realtime.pipeline.pipeline import Pipeline
from realtime.pipeline.publisher import MessagePublisher
from realtime.sources.base import SourceMonitor
from realtime.tracking.tracker import Tracker
from realtime.types import Frame, GazeSample

SIZE = (1280, 720)
GAZE_HZ = 200.0
PICTURES = 64


class PacedSource:
    """A thread that calls back at a fixed rate by the clock, until it is stopped."""

    def __init__(self, rate_hz: float, make: Callable[[int], Any]) -> None:
        self._period_ns, self._make = 1e9 / rate_hz, make
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._monitor = SourceMonitor("running")

    def start(self, on_item: Callable[[Any], None], on_event: Any = None) -> None:
        """See `FrameSource`."""
        self._thread = threading.Thread(target=self._run, args=(on_item,), daemon=True)
        self._thread.start()

    def _run(self, on_item: Callable[[Any], None]) -> None:
        begun_ns, index = now_ns(), 0
        while not self._stop.is_set():
            due_ns = begun_ns + round(index * self._period_ns)
            if (wait_ns := due_ns - now_ns()) > 0:
                time.sleep(wait_ns / 1e9)
            on_item(self._make(index))
            index += 1

    def stop(self) -> None:
        """See `FrameSource`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def status(self) -> Any:
        """See `FrameSource`."""
        return self._monitor.status()


class LatencySink:
    """A `MessageSender` that records the latencies of every mask that the engine made."""

    def __init__(self) -> None:
        self.gaze_ms: list[float] = []
        self.frame_ms: list[float] = []
        self.encode_ms: list[float] = []

    def send(self, topic: str, payload: bytes) -> bool:
        """See `MessageSender`."""
        message = unpack(payload)
        if topic == "keyframe":
            self.encode_ms.append(float(message["encode_ms"]))
        elif (
            topic == "mask" and message["mask"] is not None and message["state"] in ("preview", "locked")
            and message["method"] == "model"
        ):  # fmt: skip
            timing, published_ns = message["timing_ns"], message["published_ns"]
            self.gaze_ms.append((published_ns - timing["gaze_received"]) / 1e6)
            self.frame_ms.append((published_ns - timing["frame_received"]) / 1e6)
        return True


def render_frames() -> list[Image]:
    """Render a bright disc that moves on a circle over a wavy ground."""
    rng = np.random.default_rng(5)
    ground = cv2.resize(rng.integers(60, 200, (9, 16, 3)).astype(np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
    found = []
    for index in range(PICTURES):
        picture = ground.copy()
        cv2.circle(picture, disc_center(index), 90, (30, 40, 220), -1)
        found.append(np.asarray(picture, np.uint8))
    return found


def disc_center(index: float) -> tuple[int, int]:
    """Compute the disc's centre in a picture."""
    turn = 2 * np.pi * index / PICTURES
    return round(SIZE[0] / 2 + 150 * np.cos(turn)), round(SIZE[1] / 2 + 100 * np.sin(turn))


def measure_pipeline(engine: tuple[Encoder, Decoder], by: str, fps: int, seconds: float) -> dict[str, Any]:
    """Measure the latencies at one rate; the first fifth is not counted."""
    pictures, start_ns = render_frames(), now_ns()
    step = 30 / fps  # the disc moves as fast at every rate

    def frame(index: int) -> Frame:
        at_ns = now_ns()
        return Frame(pictures[int(index * step) % PICTURES], index, (at_ns - start_ns) / 1e9, at_ns, at_ns)

    def gaze(index: int) -> GazeSample:
        at_ns = now_ns()
        x, y = disc_center((at_ns - start_ns) / 1e9 * 30)
        return GazeSample(float(x), float(y), "px", 1.0, (at_ns - start_ns) / 1e9, at_ns, at_ns)

    kept = LatencySink()
    pipeline = Pipeline(
        PacedSource(fps, frame), PacedSource(GAZE_HZ, gaze), lambda size: engine, Tracker,
        MessagePublisher(kept, "benchmark", now_ns), PipelineOptions(wants_overlay=lambda: False),
    )  # fmt: skip
    pipeline.start()
    time.sleep(seconds / 5)
    before = len(kept.gaze_ms), pipeline.mask_count
    time.sleep(seconds * 4 / 5)
    masks = pipeline.mask_count - before[1]
    gaze_ms, frame_ms = kept.gaze_ms[before[0] :], kept.frame_ms[before[0] :]
    pipeline.stop()
    if not gaze_ms or not kept.encode_ms:
        raise RuntimeError(f"no mask of a gaze sample was published in {seconds * 4 / 5:.0f} s; give it more --seconds")
    return {
        "by": by, "fps": fps, "gaze_hz": GAZE_HZ, "seconds": seconds,
        "gaze_to_mask_ms": percentiles(gaze_ms), "frame_to_mask_ms": percentiles(frame_ms),
        "masks_hz": round(masks / (seconds * 4 / 5), 1), "encode_ms": percentiles(kept.encode_ms)["p50"],
    }  # fmt: skip
