"""The whole path with the fake engine: a device in software, real sockets, a subscriber."""

import threading

import numpy as np
import pytest

from engines import EngineError, EngineSettings, ModelError, load
from engines.fake import open_fake
from realtime.comms.mask_subscriber import MaskSubscriber
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.infra.clock import now_ns
from realtime.pipeline.adaptive_encoder import AdaptiveEncoder
from realtime.pipeline.context import PipelineOptions
from realtime.pipeline.control import CommandQueue, UserCommand
from realtime.pipeline.observers import PipelineObserver
from realtime.pipeline.pipeline import Pipeline
from realtime.pipeline.publisher import MessagePublisher
from realtime.session.inputs import open_frames, open_gaze
from realtime.simulation.device import SimulatedTracker
from realtime.tracking.tracker import Tracker
from realtime.types import SourceStatus
from tests.realtime import scene
from tests.realtime.waiting import eventually, find_threads, promptly

FAKE = EngineSettings(backend="fake")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return scene.write_clip(tmp_path_factory.mktemp("scene"), 90)


@pytest.fixture
def device(clip):
    simulator = SimulatedTracker(clip[0], clip[1], port=0, blink_every_s=0)
    simulator.start()
    yield simulator
    simulator.stop()


class Running(PipelineObserver):
    """A pipeline on a device, with its publisher and a subscriber."""

    def __init__(
        self, port, open_engine=lambda size: load(FAKE, None), endpoint="tcp://127.0.0.1:0", observers=(), **options
    ):
        self.publisher = PublisherSocket(endpoint)
        self.healths = []
        self.pipeline = Pipeline(
            open_frames(f"pupil://127.0.0.1:{port}"), open_gaze(f"pupil://127.0.0.1:{port}"), open_engine,
            Tracker, MessagePublisher(self.publisher, "test", now_ns),
            PipelineOptions(observers=[self, *observers], **options),
        )  # fmt: skip
        self.subscriber = MaskSubscriber(self.publisher.endpoint, ("mask", "overlay", "keyframe", "health"))

    def on_health(self, health):
        self.healths.append(health)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.pipeline.stop()
        self.publisher.close()
        self.subscriber.close()

    def newest(self, topic="mask", when=lambda message: True):
        found = []

        def has_message():
            message = self.subscriber.newest(topic, 0.02)
            if message is not None and when(message):
                found.append(message)
            return bool(found)

        eventually(has_message, f"a {topic} message")
        return found[-1]


def test_the_fixated_object_is_masked_in_the_frame_of_the_message(device):
    with Running(device.port) as running:
        running.pipeline.start()
        overlaps, distances = [], []
        for _ in range(12):
            message = running.newest(when=lambda m: m.state in ("preview", "locked"))
            assert (message.frame.width, message.frame.height) == scene.SIZE
            overlaps.append(scene.iou(message.mask, scene.truth(message.frame.index % 90)))
            distances.append(abs(message.gaze.x - scene.centre(message.frame.index % 90)[0]))
        assert np.median(overlaps) > 0.75
        assert np.median(distances) < 12
        assert message.stream == "test"
        passes = message.frame.index // 90  # of the clip, on a busy machine; it jumps at each begin, to a new object
        assert 1 <= message.object <= 1 + passes
        assert 0 <= message.score <= 1
        assert message.keyframe.index <= message.frame.index
        timing = message.timing_ns
        assert timing.decode_start < timing.decode_end <= message.published_ns
        assert timing.frame_received <= message.published_ns


def test_the_other_topics_are_published_too(device):
    with Running(device.port) as running:
        running.pipeline.start()
        assert running.newest("overlay").jpeg[:2] == b"\xff\xd8"
        assert running.newest("keyframe").encode_ms > 0
        health = running.newest("health", lambda h: h.state == "running" and "decode" in h.latency_ms)
        assert health.engine["backend"] == "fake"
        assert set(health.latency_ms) >= {"frame_to_mask", "gaze_to_mask", "keyframe_age", "decode", "encode"}


def test_health_reports_reasons_that_are_not_utf8(device, monkeypatch):
    with Running(device.port) as running:
        status = SourceStatus("running", "opening \udcff.mkv of rtsp://me:secret@10.0.0.7/a")
        monkeypatch.setattr(type(running.pipeline._frame_source), "status", lambda self: status)
        running.pipeline.start()
        reason = running.newest("health", lambda h: h.reason).reason
        assert "\\xff.mkv of rtsp://10.0.0.7/a" in reason


def test_no_overlay_is_drawn_without_a_subscriber(device):
    with Running(device.port, wants_overlay=lambda: False) as running:
        running.pipeline.start()
        running.newest("health", lambda h: h.rates.get("masks", 0) > 0)
        assert "overlays" not in running.healths[-1].rates


def test_stop_ends_every_thread_and_frees_the_port(device):
    before = find_threads()
    running = Running(device.port)
    running.pipeline.start()
    running.newest()
    running.__exit__()
    eventually(lambda: find_threads() <= before, "the end of all threads")
    PublisherSocket(running.publisher.endpoint).close()


def test_health_is_published_from_the_start_with_the_missing_inputs(clip):
    opening = threading.Event()

    def open_engine(size):
        assert opening.wait(60)
        return load(FAKE, None)

    with Running(1, open_engine) as running:  # nobody listens there
        starter = threading.Thread(target=running.pipeline.start)
        starter.start()
        health = running.newest("health")
        assert health.state == "starting"
        assert "frames: none yet" in health.reason
        assert "gaze: none yet" in health.reason
        opening.set()
        starter.join(60)
        health = running.newest("health", lambda h: h.state == "degraded")
        assert "127.0.0.1:1" in health.reason


def test_the_device_may_go_and_come_back_on_its_port(clip, device):
    with Running(device.port) as running:
        running.pipeline.start()
        running.newest(when=lambda m: m.mask is not None)
        device.stop()
        running.newest("health", lambda h: h.state == "degraded" and "frames: stopped" in h.reason)
        again = SimulatedTracker(clip[0], clip[1], port=device.port, blink_every_s=0)
        again.start()
        try:
            running.newest(when=lambda m: m.mask is not None and m.frame.index < 80)
            running.newest("health", lambda h: h.state == "running")
        finally:
            again.stop()


class Flaky:
    """An encoder or decoder that fails on request."""

    def __init__(self, inside):
        self._inside, self.failing = inside, False
        self.info, self.close = inside.info, inside.close

    def _do(self, name, *args):
        if self.failing:
            raise RuntimeError("out of memory")
        return getattr(self._inside, name)(*args)

    def encode(self, image):
        return self._do("encode", image)

    def decode(self, embedding, prompts):
        return self._do("decode", embedding, prompts)


@pytest.mark.parametrize("stage", ["encode", "track"])
def test_an_engine_that_fails_degrades_health_and_the_loop_continues(device, stage):
    encoder, decoder = map(Flaky, load(FAKE, None))
    with Running(device.port, lambda size: (encoder, decoder)) as running:
        running.pipeline.start()
        running.newest(when=lambda m: m.mask is not None)
        broken = encoder if stage == "encode" else decoder
        broken.failing = True
        health = running.newest("health", lambda h: h.state == "degraded")
        assert f"{stage}: out of memory" in health.reason
        assert health.dropped[f"{stage}.failed"] > 0
        broken.failing = False
        running.newest("health", lambda h: h.state == "running")
        running.newest(when=lambda m: m.mask is not None)


class Unprepared(AdaptiveEncoder):
    """The fake encoder, for which no other picture side can be compiled."""

    side, info = 256, None

    def __init__(self, inside):
        self.info, self.encode, self.close = inside.info, inside.encode, inside.close

    def observe_frame(self, frame, speed):
        pass

    def prepare_sides(self, stopping):
        raise EngineError("no such graph")


def test_a_side_that_cannot_be_compiled_is_reported_and_the_run_continues(device):
    encoder, decoder = load(FAKE, None)
    with Running(device.port, lambda size: (Unprepared(encoder), decoder)) as running:
        running.pipeline.start()
        running.newest("health", lambda h: h.state == "degraded" and "prepare: no such graph" in h.reason)
        running.newest(when=lambda m: m.mask is not None)


def test_an_engine_that_does_not_open_raises_and_stop_is_still_clean(device):
    def refuse(size):
        raise ModelError("no weights")

    before = find_threads()
    with Running(device.port, refuse) as running, pytest.raises(ModelError, match="no weights"):
        running.pipeline.start()
    eventually(lambda: find_threads() <= before, "the end of all threads")


def test_the_engine_is_opened_for_the_size_of_the_first_frame(device):
    sizes = []

    def note(size):
        sizes.append(size)
        return load(FAKE, None)

    with Running(device.port, note) as running:
        running.pipeline.start()
        running.newest()
    assert sizes == [scene.SIZE]


def test_stop_does_not_wait_for_a_slow_encoder(device):
    encoder, decoder = open_fake()
    begun, resume = threading.Event(), threading.Event()

    def encode(image):
        begun.set()
        resume.wait(600)
        raise RuntimeError("too late")

    encoder.encode = encode
    running = Running(device.port, lambda size: (encoder, decoder))
    running.pipeline.start()
    running.newest("health", lambda h: h.state == "running")
    assert begun.wait(60)
    try:
        with promptly():
            running.__exit__()
    finally:
        resume.set()
    PublisherSocket(running.publisher.endpoint).close()


class Hanging(Flaky):
    """An encoder or decoder that returns when it is resumed."""

    def __init__(self, inside):
        super().__init__(inside)
        self.resume = threading.Event()
        self.resume.set()

    def _do(self, name, *args):
        self.resume.wait(600)
        return super()._do(name, *args)


@pytest.mark.parametrize("stage", ["encode", "track"])
def test_a_thread_that_hangs_is_named_and_the_run_still_stops(device, stage):
    encoder, decoder = map(Hanging, load(FAKE, None))
    with Running(device.port, lambda size: (encoder, decoder)) as running:
        running.pipeline.start()
        running.newest(when=lambda m: m.mask is not None)
        broken = encoder if stage == "encode" else decoder
        broken.resume.clear()
        try:
            health = running.newest("health", lambda h: stage in h.hung)
            assert health.state == "degraded"
            assert f"{stage}: one frame takes longer than" in health.reason
            stopper = threading.Thread(target=running.pipeline.stop)
            stopper.start()
            stopper.join(60)
            assert not stopper.is_alive()
        finally:
            broken.resume.set()


def test_a_source_that_does_not_stop_is_left_to_itself(device, monkeypatch):
    resume = threading.Event()
    with Running(device.port) as running:
        running.pipeline.start()
        running.newest()
        source = running.pipeline._frame_source
        stop = source.stop
        monkeypatch.setattr(source, "stop", lambda: (resume.wait(600), stop()))
        stopper = threading.Thread(target=running.pipeline.stop)
        stopper.start()
        stopper.join(60)
        assert not stopper.is_alive()
        resume.set()


def test_health_has_a_table_of_streams(device):
    with Running(device.port) as running:
        running.pipeline.start()
        streams = running.newest("health", lambda h: h.state == "running" and "keyframes" in h.streams).streams
        assert set(streams) == {"frames", "gaze", "masks", "keyframes"}
        assert streams["frames"].is_alive
        assert streams["gaze"].rate > 0
        device.stop()
        running.newest("health", lambda h: not h.streams["frames"].is_alive)


def test_previews_come_before_the_first_keyframe_of_a_slow_encoder_and_its_mask_is_locked_after_it(device):
    encoder, decoder = open_fake()
    encode, resume = encoder.encode, threading.Event()

    def encode_late(image):
        resume.wait(600)
        return encode(image)

    encoder.encode = encode_late
    try:
        with Running(device.port, lambda size: (encoder, decoder)) as running:
            running.pipeline.start()
            preview = running.newest(when=lambda m: m.method == "motion")
            assert (preview.state, preview.object, preview.score) == ("preview", 0, 0.0)
            assert preview.confidence <= 0.6
            assert scene.iou(preview.mask, scene.truth(preview.frame.index % 90)) > 0.5
            resume.set()
            locked = running.newest(when=lambda m: m.state == "locked")
            assert (locked.method, locked.object) == ("model", 1)
            assert scene.iou(locked.mask, scene.truth(locked.frame.index % 90)) > 0.5
    finally:
        resume.set()


class Failing(PipelineObserver):
    name = "a guest"

    def fail(self, *args):
        raise OSError("the pipe is closed")

    on_frame = on_gaze = on_tracker_call = on_mask = on_command = on_health = fail


def test_an_observer_that_fails_stops_nothing_and_is_reported(device):
    commands = CommandQueue()
    with Running(device.port, observers=[Failing()], commands=commands) as running:
        running.pipeline.start()
        running.newest(when=lambda m: m.state in ("preview", "locked"))
        commands.put(UserCommand("snapshot"))
        first = running.newest("health", lambda h: h.dropped.get("a guest.failed", 0) > 5)
        assert "a guest: the pipe is closed" in first.reason
        running.newest("health", lambda h: h.seq >= first.seq + 2)


def test_the_age_of_a_decode_is_that_at_publication(device):
    with Running(device.port) as running:
        running.pipeline.start()

        def between_ms():
            """From when the age was taken until it was published."""
            message = running.newest()
            return (message.published_ns - message.timing_ns.decode_end) / 1e6 - message.carried_ms

        assert min(between_ms() for _ in range(5)) >= 0
        eventually(lambda: between_ms() < 5, "an age that was taken last")
