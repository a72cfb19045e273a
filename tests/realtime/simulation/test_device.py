"""The simulated device, tested over its own sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest

from realtime.comms.sockets.pupil import PupilSubscription
from realtime.comms.sockets.request_reply import RequestSocket
from realtime.errors import SourceError, TransportError
from realtime.simulation import clip_player, encoded_frames
from realtime.simulation.device import SimulatedTracker
from tests.realtime.sources.video.clips import make_folder, make_video, number_in
from tests.realtime.waiting import eventually, find_threads

HOST = "127.0.0.1"


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SimulatedTracker]]:
    monkeypatch.setattr(clip_player, "_MAX_LATE_S", 1000.0)  # a busy machine does not shift the timeline
    running: list[SimulatedTracker] = []

    def begin(video: Path | None = None, trace: str | None = None, **options: Any) -> SimulatedTracker:
        gaze: Any = "wander"
        if trace is not None:
            gaze = tmp_path / "trace.csv"
            gaze.write_text(trace)
        simulator = SimulatedTracker(video or make_folder(tmp_path / "clip", 6), gaze, port=0, **options)
        running.append(simulator)
        return simulator

    earlier = find_threads()
    yield begin
    before = earlier | {thread for thread in threading.enumerate() if not thread.name.startswith("simulator ")}
    for simulator in running:
        simulator.stop()
    eventually(lambda: find_threads() <= before, "the end of all threads")


class Listener:
    """Receives all messages of a simulator, from before it plays."""

    def __init__(self, simulator: SimulatedTracker, *topics: str) -> None:
        self.remote = RequestSocket(f"tcp://{HOST}:{simulator.port}", timeout_s=60)
        self.simulator = simulator
        self.messages: list[tuple[str, dict[str, Any], list[bytes]]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(topics or ("frame.world", "gaze."),))

    def _listen(self, topics: tuple[str, ...]) -> None:
        feed = PupilSubscription(f"tcp://{HOST}:{self.simulator.publish_port}", topics, queue=10_000)
        while not self._stop.is_set():
            parts = feed.receive(0.05)
            if parts:
                self.messages.append((parts[0].decode(), msgpack.unpackb(parts[1]), parts[2:]))
        feed.close()

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        self.remote.close()

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [fields for name, fields, _ in list(self.messages) if name.startswith(topic)]


REPLIES = [
    ("v", "3.6.7.0"),
    ("T 100.0", "Timesync successful."),
    ("T soon", "'soon' cannot be converted to float."),
    ("R", "OK"),
    ("R my recording", "OK"),
    ("r", "OK"),
    ("C", "OK"),
    ("c", "OK"),
    ("hello", "Unknown command."),
    ("", "Unknown command."),
]


def test_answers_like_pupil_remote(simulate: Callable[..., SimulatedTracker]) -> None:
    simulator = simulate()
    simulator.start()
    with Listener(simulator, "notify.") as listener:
        for request, reply in REPLIES:
            assert listener.remote.request(request) == reply
        assert int(listener.remote.request("SUB_PORT")) == simulator.publish_port
        assert int(listener.remote.request("PUB_PORT")) not in (simulator.publish_port, simulator.port)
        before, reported, after = simulator.clock_s(), float(listener.remote.request("t")), simulator.clock_s()
        assert before <= reported <= after
        assert 100 <= reported < 110

        def forwarded() -> bool:
            notice = msgpack.packb({"subject": "mine"})
            assert listener.remote.send_message("notify.mine", notice) == "Message forwarded."
            return bool(listener.of("notify.mine"))

        eventually(forwarded)


def test_its_clock_has_an_epoch_of_its_own(simulate: Callable[..., SimulatedTracker], tmp_path: Path) -> None:
    clip = make_folder(tmp_path / "one", 2)
    offsets = {round(simulate(clip, seed=seed).clock_s() - time.monotonic()) for seed in range(4)}
    assert len(offsets) == 4
    assert 0 not in offsets


def test_frames_in_order_at_the_clips_rate(simulate: Callable[..., SimulatedTracker], tmp_path: Path) -> None:
    simulator = simulate(make_video(tmp_path / "clip.mp4", 20, fps=40))
    with Listener(simulator, "frame.world") as listener:
        simulator.start()
        eventually(lambda: len(listener.messages) >= 40)
    first = next(head["index"] for _, head, _ in listener.messages if head["index"] % 20 == 0)
    second = [(head, raw[0]) for _, head, raw in listener.messages if first <= head["index"] < first + 20]
    assert [head["index"] for head, _ in second] == list(range(first, first + 20))
    assert {(head["width"], head["height"], head["format"]) for head, _ in second} == {(64, 48, "jpeg")}
    steps = np.diff([head["timestamp"] for head, _ in second])
    assert np.median(steps) == pytest.approx(1 / 40, abs=1e-6)
    assert [number_in(cv2.imdecode(np.frombuffer(raw, np.uint8), 1)) for _, raw in second] == list(range(20))


def test_trace_is_sent_at_its_own_times_with_origin_bottom_left(simulate: Callable[..., SimulatedTracker]) -> None:
    rows = [(0.00, 16, 12, 1.0), (0.03, 32, 12, 0.8), (0.10, -8, 96, 0.7), (0.11, "", "", 1.0)]
    simulator = simulate(trace="timestamp,x,y,confidence\n" + "".join(f"{t},{x},{y},{c}\n" for t, x, y, c in rows))
    with Listener(simulator) as listener:
        simulator.start()
        eventually(lambda: len(listener.of("gaze.")) > 12)
    samples = listener.of("gaze.")
    first = next(i for i, sample in enumerate(samples) if sample["norm_pos"] == [0.25, 0.75])
    cycle = samples[first : first + 5]
    assert [sample["norm_pos"] for sample in cycle] == [
        pytest.approx(p) for p in ([0.25, 0.75], [0.5, 0.75], [-0.125, -1.0], [-0.125, -1.0], [0.25, 0.75])
    ]
    assert [sample["confidence"] for sample in cycle] == [1.0, 0.8, 0.7, 0.0, 1.0]
    since_s = [sample["timestamp"] - cycle[0]["timestamp"] for sample in cycle]
    assert since_s == pytest.approx([0, 0.03, 0.10, 0.11, 6 / 24], abs=1e-6)
    assert {sample["topic"] for sample in samples} == {"gaze.2d.01."}


def test_gaze_and_frames_agree_on_the_clock(simulate: Callable[..., SimulatedTracker]) -> None:
    points = "".join(f"{i / 24},{i},0\n" for i in range(6))  # x tells the frame that is on show
    simulator = simulate(trace="timestamp,x,y\n" + points)
    with Listener(simulator) as listener:
        simulator.start()
        eventually(lambda: len(listener.of("gaze.")) > 12)
    shown = {round(head["timestamp"], 4): head["index"] % 6 for head in listener.of("frame.world")}
    pairs = [
        (shown[at], round(sample["norm_pos"][0] * 64))
        for sample in listener.of("gaze.")
        if (at := round(sample["timestamp"], 4)) in shown
    ]
    assert len(pairs) > 6
    assert all(a == b for a, b in pairs)


def test_wandering_gaze_has_its_rate_its_blinks_and_its_noise(simulate: Callable[..., SimulatedTracker]) -> None:
    simulator = simulate(rate_hz=400, blink_every_s=0.5, noise_px=2.0)
    with Listener(simulator, "gaze.") as listener:
        simulator.start()
        eventually(lambda: len(listener.messages) > 500)
    samples = listener.of("gaze.")
    times = np.array([sample["timestamp"] for sample in samples])
    assert np.median(np.diff(times)) == pytest.approx(1 / 400, abs=1e-6)
    confidence = np.array([sample["confidence"] for sample in samples])
    assert set(confidence) == {0.0, 0.95}
    # of every half second the eyes are closed for 0.15 s, also where a busy machine skipped samples
    for value, lasts_s in ((0.0, 0.15), (0.95, 0.35)):
        phases = np.sort(times[confidence == value] % 0.5)
        pause_s = np.diff([*phases, phases[0] + 0.5]).max()
        assert 0.5 - pause_s == pytest.approx(lasts_s, abs=0.03)
    spread = np.std(np.diff([sample["norm_pos"][0] * 64 for sample in samples]))
    assert 0.3 < spread < 3  # of a plain picture's still gaze, by the noise


def test_clip_too_large_to_keep_is_encoded_again(
    simulate: Callable[..., SimulatedTracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded_frames, "CACHE_BYTES", 1000)
    simulator = simulate()
    with Listener(simulator, "frame.world") as listener:
        simulator.start()
        eventually(lambda: len(listener.messages) > 14)
    numbers = [
        (head["index"] % 6, number_in(cv2.imdecode(np.frombuffer(raw[0], np.uint8), 1)))
        for _, head, raw in listener.messages
    ]
    assert all(a == b for a, b in numbers)


def test_clip_that_goes_away_ends_it_with_our_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded_frames, "CACHE_BYTES", 10)
    path = make_video(tmp_path / "clip.mp4", 4)
    simulator = SimulatedTracker(path, port=0)
    path.unlink()
    with pytest.raises(SourceError, match="cannot be opened"):
        simulator.serve()


def test_serve_ends_with_the_clip_and_frees_the_port(tmp_path: Path) -> None:
    clip = make_folder(tmp_path / "clip", 2)
    simulator = SimulatedTracker(clip, port=0, loop=False)
    port = simulator.port
    simulator.serve()
    again = SimulatedTracker(clip, port=port)
    with pytest.raises(TransportError, match="in use"):
        SimulatedTracker(clip, port=port)
    again.stop()
    again.stop()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate_hz": 0}, "gaze rate of 0 Hz; expected"),
        ({"rate_hz": float("nan")}, "gaze rate of nan Hz"),
        ({"noise_px": -1}, "noise -1 px"),
        ({"blink_every_s": -1}, "blinks every -1 s"),
        ({"gaze": Path("nowhere.csv")}, "cannot read the gaze trace nowhere.csv"),
        ({"video": Path("nowhere.mp4")}, "there is no nowhere.mp4"),
    ],
)
def test_bad_input_is_named_before_the_start(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    given = {"video": make_folder(tmp_path / "clip", 2), "port": 0} | options
    with pytest.raises(SourceError, match=message):
        SimulatedTracker(**given)
