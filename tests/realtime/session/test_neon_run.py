"""A run on a simulated Neon: masks of its frames, its events in the recording, and the same bytes again."""

import threading

import pytest

from engines import EngineSettings, load
from realtime.commands.replay import read_recorded_config
from realtime.comms.mask_subscriber import MaskSubscriber
from realtime.config.schema import load_config
from realtime.recording.exact_replay import ExactReplay
from realtime.recording.reader import RecordingReader
from realtime.session.run import run
from realtime.simulation.neon.companion_device import CompanionFaults, SimulatedNeon
from realtime.tracking.tracker import Tracker
from tests.realtime import scene
from tests.realtime.kept_view import KeptView
from tests.realtime.waiting import eventually


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    clip, _ = scene.write_clip(tmp_path_factory.mktemp("scene"), 48)
    path = tmp_path_factory.mktemp("neon") / "neon.mcap"
    faults = CompanionFaults(loss=0.01, clock_offset_s=0.25)
    device = SimulatedNeon(clip, port=0, size=(320, 240), blink_every_s=1.5, faults=faults)
    device.start()
    config = load_config(None, {
        "source": f"neon://127.0.0.1:{device.port}", "engine": {"backend": "fake"},
        "record": {"file": str(path), "frames": "png"}, "publish": {"endpoint": "tcp://127.0.0.1:0"},
    })  # fmt: skip
    stop, view = threading.Event(), KeptView()
    thread = threading.Thread(target=run, args=(config, view), kwargs={"stop": stop})
    thread.start()
    try:
        eventually(lambda: view.endpoint)
        with MaskSubscriber(view.endpoint) as masks:
            for _ in range(2):
                for _ in range(10):
                    eventually(lambda: masks.newest("mask", 0.2) is not None)
                device.go_away()
                eventually(lambda: masks.newest("mask", 1.0) is None)
                device.come_back()
            for _ in range(10):
                eventually(lambda: masks.newest("mask", 0.2) is not None)
    finally:
        stop.set()
        thread.join(60)
        device.stop()
    return RecordingReader(path)


def test_its_events_are_recorded_with_the_gaze(recording):
    kinds = {sample.event.kind for sample in recording.read_samples() if sample.event}
    assert {"saccade", "fixation"} <= kinds


def test_the_run_is_done_again_to_the_byte(recording):
    encoder, decoder = load(EngineSettings(backend="fake"), None)
    config = read_recorded_config(recording)
    replay = ExactReplay(
        recording, encoder, decoder, lambda decoder, clock_ns: Tracker(decoder, clock_ns, config.tracker)
    )
    assert list(replay.replay_masks())
    assert replay.summary.masks == replay.summary.identical >= 30
    assert replay.summary.clock_mismatches == replay.summary.failed == 0
