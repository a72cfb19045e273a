"""Tests stepping the tracker through a clip: the age of keyframes, and that each part can be disabled."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.streaming_eval.clips import Clip
from benchmarks.streaming_eval.gaze import simulate_gaze
from benchmarks.streaming_eval.playback import PlaybackLog
from benchmarks.streaming_eval.scoring import score_playback
from benchmarks.streaming_eval.stepped_replay import (
    ClickMethod,
    EncodingCache,
    RememberingDecoder,
    SteppedRun,
    StepResult,
    TrackerMethod,
    replay_stepped,
)
from benchmarks.tracker_ablation import ABLATIONS, change_settings, parse_variants
from engines import Decoder, EngineSettings, Prompt, load
from realtime.errors import SettingsError
from realtime.tracking.keyframe import Keyframe
from realtime.tracking.tracker import TrackerSettings
from realtime.types import Frame, GazeSample
from tests.benchmarks.test_clips import moving

FPS = 24.0


class Noting:
    """A follower that only records its input."""

    def __init__(self, wants: bool = True) -> None:
        self.wants = wants
        self.ages: list[int | None] = []
        self.samples: list[GazeSample] = []
        self._keyframe: Keyframe | None = None

    def step(self, frame: Frame, samples: Sequence[GazeSample], keyframe: Keyframe | None) -> StepResult | None:
        self._keyframe = keyframe or self._keyframe
        self.ages.append(frame.index - self._keyframe.index if self._keyframe else None)
        assert all(sample.captured_ns <= frame.captured_ns for sample in samples)
        self.samples += samples
        return StepResult(None, 0.0, None, self.wants)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return moving("a", 12)


def stepped(clip: Clip, make: object, late: int) -> SteppedRun:
    encoder, decoder = load(EngineSettings(backend="fake"), None, frame_size=clip.size)
    out = SteppedRun(PlaybackLog(FPS))
    gaze = simulate_gaze(clip, FPS, 0.0, 1)
    replay_stepped(out, clip, gaze, EncodingCache(encoder, clip), RememberingDecoder(decoder), make, late)  # type: ignore[arg-type]
    return out


@pytest.mark.parametrize(
    ("late", "ages"),
    [
        (1, [None, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (3, [None, None, None, 3, 4, 5, 3, 4, 5, 3, 4, 5]),
        (8, [None] * 8 + [8, 9, 10, 11]),
    ],
)
def test_a_keyframe_is_as_late_as_encoding_takes(clip: Clip, late: int, ages: list[int | None]) -> None:
    follower = Noting()
    out = stepped(clip, lambda decoder, clip: follower, late)
    assert follower.ages == ages
    assert len(out.step_ms) == len(out.played.sent) == 12
    # 200 Hz from the first frame until the last one's time
    assert len(follower.samples) == int(11 / FPS * 200) + 1 == len(out.played.gaze_s)


def test_frames_that_are_not_wanted_are_not_encoded(clip: Clip) -> None:
    follower = Noting(wants=False)
    stepped(clip, lambda decoder, clip: follower, 1)
    assert follower.ages == [None] * 12


def test_the_tracker_follows_a_disc_that_the_fake_engine_sees(clip: Clip) -> None:
    out = stepped(clip, lambda decoder, clip: TrackerMethod(decoder, TrackerSettings()), 1)
    found = score_playback(out.played, out.arrivals)
    assert found.jf > 0.8
    assert found.unknown == (0, 0)
    assert out.decodes > 0


def test_plain_ways_are_ordered(clip: Clip) -> None:
    def jf(way: str) -> float:
        out = stepped(clip, lambda decoder, clip: ClickMethod(decoder, way, clip.objects[0]), 3)  # type: ignore[arg-type]
        return score_playback(out.played, out.arrivals).jf

    assert jf("best") >= jf("warped") > jf("old")


def test_a_remembering_decoder_answers_as_the_decoder_and_asks_it_once(clip: Clip) -> None:
    encoder, decoder = load(EngineSettings(backend="fake"), None, frame_size=clip.size)
    asked = []

    class Counting:
        info = decoder.info
        close = decoder.close

        def decode(self, embedding: object, prompts: Sequence[Prompt]) -> object:
            asked.append(len(prompts))
            return decoder.decode(embedding, prompts)  # type: ignore[arg-type]

    embedding = encoder.encode(clip.pictures[0])
    counted: Decoder = Counting()  # type: ignore[assignment]
    remembering = RememberingDecoder(counted)
    first, again = (remembering.decode(embedding, [Prompt.click(40.0, 45.0)])[0] for _ in range(2))
    assert first is again
    assert asked == [1]
    assert remembering.asked == 2
    other = remembering.decode(embedding, [Prompt.click(5.0, 5.0)])[0]
    assert other is not first
    dense = Prompt.click(40.0, 45.0, mask_logits=first.logits[0])
    assert remembering.decode(embedding, [dense])[0] is not first
    remembering.forget()
    remembering.decode(embedding, [Prompt.click(40.0, 45.0)])
    assert asked == [1, 1, 1, 1]


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_is_a_setting_that_differs_from_the_default(name: str) -> None:
    assert change_settings(ABLATIONS[name], name) != TrackerSettings()


def test_an_ablation_of_an_unknown_part_is_refused() -> None:
    with pytest.raises(SettingsError, match="without magic: unknown setting"):
        change_settings({"choice.magic": 0}, "magic")


def test_rows_of_ones_own() -> None:
    assert parse_variants(["mine=choice.agreement=0.3, dwell.remember=2"]) == {
        "mine": {"choice.agreement": 0.3, "dwell.remember": 2}
    }
