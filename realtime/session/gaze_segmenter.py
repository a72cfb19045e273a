"""Runs engine and tracker in a program's own loop: frames and gaze in, the mask of the fixated object out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from numbers import Real
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from engines import EngineSettings, load, weights
from realtime.errors import InputError
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import Tracker, TrackerSettings
from realtime.types import Frame, GazeSample, MaskResult

FIRST_INTERVAL_NS = 33_000_000
"""Gaze samples of the first frame are spread over this time."""
MAX_TIME_S = 2**63 / 1e9
"""What 64 bits of nanoseconds hold, 292 years; Unix times in other units than seconds are beyond."""


class GazeSegmenter:
    """Segments the fixated object in every frame of a program's own loop. One thread; no sockets.

    Time is that of the frames: a video gives the same masks at any playback speed (without `background`).
    """

    def __init__(
        self,
        engine: EngineSettings | None = None,
        settings: TrackerSettings | None = None,
        *,
        background: bool = False,
    ) -> None:
        """Open the engine, downloading the model's weights first if they are not cached.

        background: encode on a thread, so that `step` never waits for the encoder; for live input.
        Raises `engines.EngineError` when the engine cannot run on this machine or the weights cannot be fetched.
        """
        engine = engine or EngineSettings()
        folder = None if engine.backend == "fake" else weights.pull_model(engine.model)
        self._encoder, self._decoder = load(engine, folder)
        self._now_ns = 0
        settings = settings or TrackerSettings()
        if not background:  # no frame waits for a keyframe then
            settings = replace(settings, preview=replace(settings.preview, enabled=False))
        self._tracker = Tracker(self._decoder, lambda: self._now_ns, settings, frame_time=True)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="encode") if background else None
        self._encoding: Future[Keyframe] | None = None
        self._previous: Frame | None = None
        self._is_closed = False

    def step(self, image: Any, time_s: float, gaze: ArrayLike | None = ()) -> MaskResult | None:
        """Process the next frame; return its mask, or None until an object has been fixated.

        image: (H, W, 3) uint8, blue-green-red as OpenCV reads it; all of one size.
        time_s: when it was captured, seconds on any clock, above that of the frame before.
        gaze: (x, y) or (x, y, confidence) in pixels of this image, or several of them, oldest first, taken evenly
            since the frame before; none when the tracker has none. confidence is 0..1; below 0.6 counts as a blink.
        Raises `InputError` for a wrong type, shape, order or number, and after `close`.
        """
        if self._is_closed:
            raise InputError("this GazeSegmenter is closed; open another")
        frame = self._make_frame(image, time_s)
        samples = self._make_samples(gaze, frame)
        keyframe = self._poll_keyframe()
        self._previous, self._now_ns = frame, frame.captured_ns
        if self._tracker.should_encode(frame) and self._encoding is None:
            self._start_encoding(frame)
        return self._tracker.step(frame, samples, keyframe).result

    def reset(self) -> None:
        """Forget all frames, so that another video can begin at any time and size; object ids go on."""
        self._previous = self._encoding = None

    def hold(self, on: bool = True) -> int:
        """Keep the shown object independently of the gaze, or follow the gaze again; return its id.

        Raises `CommandRejected` when no object is shown.
        """
        return self._tracker.control.hold(on)

    def clear(self) -> None:
        """Show no mask until a new fixation begins."""
        self._tracker.control.clear()

    def step_level(self, step: int) -> None:
        """Show a part (-1) or a larger whole (1) of the object, from the next frame on."""
        if step not in (-1, 1):
            raise InputError(f"step must be -1 (a part) or 1 (a larger whole), got {step!r}")
        self._tracker.control.step_level(step)

    def step_alternative(self, step: int) -> int:
        """Show the next (1) or previous (-1) mask that may be meant, from the next frame on; returns the object's id.

        Raises `CommandRejected` when no object is shown, or there is no other mask.
        """
        if step not in (-1, 1):
            raise InputError(f"step must be -1 (the previous) or 1 (the next), got {step!r}")
        return self._tracker.control.step_alternative(step)

    def confirm(self, object_id: int | None = None) -> int:
        """Mark the shown object as meant: its masks are `confirmed` from the next frame on; returns its id.

        Raises `CommandRejected` when no object is shown, or another than `object_id`.
        """
        return self._tracker.control.confirm("request", object_id)

    def close(self) -> None:
        """Free the engine, after an encode that is running. Closing twice is allowed."""
        self._is_closed = True
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)
        self._encoder.close()
        self._decoder.close()

    def __enter__(self) -> GazeSegmenter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start_encoding(self, frame: Frame) -> None:
        if self._worker is not None:
            # The caller may write the next frame into the same array while this one is encoded.
            self._encoding = self._worker.submit(self._encode, replace(frame, image=frame.image.copy()))
            return
        self._encoding = Future()
        self._encoding.set_result(self._encode(frame))

    def _encode(self, frame: Frame) -> Keyframe:
        begin_ns = perf_counter_ns()
        embedding = self._encoder.encode(frame.image)
        return Keyframe.from_frame(frame, embedding, perf_counter_ns() - begin_ns, frame.captured_ns)

    def _poll_keyframe(self) -> Keyframe | None:
        """Return the keyframe when it is encoded; raises what the encoder raised."""
        if self._encoding is None or not self._encoding.done():
            return None
        done, self._encoding = self._encoding, None
        return done.result()

    def _make_frame(self, image: Any, time_s: float) -> Frame:
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(
                f"image must be a numpy array of uint8 and shape (height, width, 3), got {got}; "
                "for grey images use cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), for floats (image * 255).astype('uint8')"
            )
        if not image.size:
            raise InputError(f"image must have at least one pixel, got shape {image.shape}")
        # a nan is not below the limit either
        if isinstance(time_s, bool) or not isinstance(time_s, Real) or not abs(time_s) <= MAX_TIME_S:
            raise InputError(f"time_s must be a number of seconds up to {MAX_TIME_S:.2g}, got {time_s!r}")
        before, at_ns = self._previous, round(float(time_s) * 1e9)
        if before is not None and at_ns <= before.captured_ns:
            raise InputError(
                f"time_s must be above that of the frame before ({before.timestamp!r}), got {time_s!r}; "
                "call reset() before another video"
            )
        size = (image.shape[1], image.shape[0])
        if before is not None and size != before.size:
            raise InputError(
                f"image must have the size of the frame before ({before.size[0]} x {before.size[1]}), "
                f"got {size[0]} x {size[1]}; call reset() before another video, or resize the images"
            )
        index = before.index + 1 if before is not None else 0
        return Frame(np.ascontiguousarray(image), index, float(time_s), at_ns, at_ns)

    def _make_samples(self, gaze: ArrayLike | None, frame: Frame) -> Sequence[GazeSample]:
        """Check gaze samples and spread them over the time since the frame before, the last at the frame's time."""
        rows = _read_gaze(gaze)
        before = self._previous
        interval_ns = frame.captured_ns - before.captured_ns if before is not None else FIRST_INTERVAL_NS
        samples = []
        for number, (x, y, confidence) in enumerate(rows, 1):
            at_ns = frame.captured_ns - interval_ns * (len(rows) - number) // len(rows)
            samples.append(GazeSample(x, y, "px", confidence, at_ns / 1e9, at_ns, at_ns))
        return samples


def _read_gaze(gaze: ArrayLike | None) -> list[tuple[float, float, float]]:
    """Read (x, y[, confidence]) rows; raises `InputError`."""
    expected = "gaze must be (x, y) or (x, y, confidence) in pixels of the image, or a sequence of them"
    if gaze is None:
        return []
    try:
        table = np.asarray(gaze, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{expected}; got {gaze!r}") from None
    if not table.size:
        return []
    table = table[None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] not in (2, 3):
        raise InputError(f"{expected}; got an array of shape {np.shape(gaze)}")
    if not np.isfinite(table).all():
        raise InputError(f"gaze must be finite numbers, got {table.tolist()}; leave out the samples of a blink")
    confidence = table[:, 2] if table.shape[1] == 3 else np.ones(len(table))
    if ((confidence < 0) | (confidence > 1)).any():
        raise InputError(f"the confidence of gaze must be within 0..1, got {confidence.tolist()}")
    return [(float(x), float(y), float(c)) for (x, y), c in zip(table[:, :2], confidence, strict=True)]
