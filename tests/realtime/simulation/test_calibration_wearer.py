"""The virtual wearer: where it samples, and how its tracker is off."""

from __future__ import annotations

import threading

import pytest

from calibration.gaze.markers import find_marker_centres
from realtime.errors import SourceError
from realtime.simulation.calibration_wearer import SimulatedBias, TargetClip
from realtime.simulation.device import SimulatedTracker
from realtime.sources.pupil.device_sources import PupilFrames, PupilGaze
from tests.realtime.waiting import eventually


def test_the_eyes_rest_on_the_marker_that_is_shown():
    clip = TargetClip(5, (480, 320))
    shown = []
    for _, image, aim in clip.aims():
        if aim.jumped:
            ((number, at),) = find_marker_centres(image).items()
            assert at == pytest.approx((aim.x, aim.y), abs=0.7)
            shown.append(number)
    assert len(shown) == len(set(shown)) == 9


@pytest.mark.parametrize("size", [(100, 100), (9000, 500)])
def test_a_picture_without_room_for_markers_is_refused(size):
    with pytest.raises(SourceError, match="240 to 4096"):
        TargetClip(9, size)


def test_errors_have_the_requested_size():
    assert SimulatedBias((30.0, -20.0)).measure(100.0, 50.0, (640, 480)) == (130.0, 30.0)
    bent = SimulatedBias(distortion_px=10.0, seed=3)
    offsets = {tuple(round(b - a, 6) for a, b in zip(at, bent.measure(*at, (640, 480)), strict=True)) for at in
               [(0.0, 0.0), (640.0, 0.0), (320.0, 240.0), (640.0, 480.0)]}  # fmt: skip
    assert (0.0, 0.0) in offsets  # nothing in the middle
    assert len(offsets) == 4
    assert all(abs(value) <= 35 for offset in offsets for value in offset)
    with pytest.raises(SourceError, match="up to 1000"):
        SimulatedBias((float("nan"), 0.0))


def test_published_gaze_has_the_bias():
    device = SimulatedTracker(TargetClip(5, (480, 320)), port=0, blink_every_s=0, error=SimulatedBias((24.0, -16.0)))
    frames, gaze = PupilFrames("127.0.0.1", device.port), PupilGaze("127.0.0.1", device.port)
    seen, samples, lock = [], [], threading.Lock()

    def on_frame(frame):
        with lock:
            seen.append(frame)

    try:
        device.start()
        gaze.start(samples.append)
        frames.start(on_frame)
        eventually(lambda: len(seen) > 3 and len(samples) > 50, "frames and gaze")
    finally:
        frames.stop()
        gaze.stop()
        device.stop()
    (at,) = find_marker_centres(seen[-1].image).values()
    near = [sample for sample in samples if abs(sample.captured_ns - seen[-1].captured_ns) < 20_000_000]
    assert near
    x, y = near[0].to_px((480, 320))
    assert (x - at[0], y - at[1]) == pytest.approx((24.0, -16.0), abs=1.0)
