"""The simulated tracker's gaze as an LSL stream, received beside its own."""

from __future__ import annotations

from pathlib import Path

from realtime.session.inputs import open_frames, open_gaze
from realtime.types import Frame, GazeSample
from tests.realtime.lsl_network import unique
from tests.realtime.sources.video.clips import make_folder
from tests.realtime.waiting import eventually


def test_lsl_has_the_same_gaze_as_the_device(tmp_path: Path) -> None:
    from realtime.simulation.device import SimulatedTracker

    name = unique("simulated")
    make_folder(tmp_path / "clip", 24)
    device = SimulatedTracker(tmp_path / "clip", port=0, lsl=name, blink_every_s=0, seed=3)
    address = f"pupil://127.0.0.1:{device.port}"
    frames, own, stream = open_frames(address), open_gaze(address), open_gaze(f"lsl:{name}")
    pictures: list[Frame] = []
    sent: dict[float, GazeSample] = {}
    received: list[GazeSample] = []
    try:
        device.start()
        frames.start(pictures.append)
        own.start(lambda sample: sent.update({round(sample.captured_ns / 1e9, 2): sample}))
        stream.start(received.append)
        eventually(lambda: len(received) > 100 and pictures and len(sent) > 100)

        def is_same() -> bool:
            """Both have a sample of the same capture, in other units."""
            for sample in reversed(received):
                twin = sent.get(round(sample.captured_ns / 1e9, 2))
                if twin is not None and abs(twin.captured_ns - sample.captured_ns) < 2_000_000:
                    x, y = twin.to_px(pictures[-1].size)
                    return bool(abs(x - sample.x) < 0.5 and abs(y - sample.y) < 0.5)
            return False

        eventually(is_same)
    finally:
        for source in (frames, own, stream):
            source.stop()
        device.stop()
