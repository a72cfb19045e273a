"""The tracker's working picture suits how long a frame took in the runs before."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import EngineSettings, load
from engines.speed import SpeedRecord
from realtime.infra.metrics import MetricsSnapshot
from realtime.pipeline.adaptive_encoder import AdaptiveEncoder
from realtime.session.tracking_speed import choose_working_side, record_tracking


class MeasuredEncoder(AdaptiveEncoder):
    """Knows its machine's speed only."""

    def __init__(self, root: Path, slow: bool = False) -> None:
        self.record, self.slow = SpeedRecord(root, {"machine": "this"}), slow

    @property
    def is_slow(self) -> bool:
        return self.slow

    @property
    def speed(self) -> SpeedRecord:
        return self.record


def measured(tracking_ms: float, masks: float = 24.0) -> MetricsSnapshot:
    return MetricsSnapshot({"masks": masks}, {"track": {"p50": tracking_ms, "p95": 2 * tracking_ms}})


@pytest.mark.parametrize(
    ("usual_ms", "slow", "side_px"),
    [
        (None, False, 320), (None, True, 320), (18.0, False, 360), (22.0, False, 360), (18.0, True, 320),
        (24.0, False, 320), (33.0, False, 280), (500.0, False, 280),
    ],
)  # fmt: skip
def test_the_longest_side_at_which_a_frame_is_tracked_in_time_is_chosen(
    tmp_path: Path, usual_ms: float | None, slow: bool, side_px: int
) -> None:
    encoder = MeasuredEncoder(tmp_path, slow)
    if usual_ms is not None:
        encoder.speed.write_tracking(usual_ms)
    assert choose_working_side(encoder) == side_px


@pytest.mark.parametrize("usual_ms", [15.0, 19.0, 25.0, 30.0, 60.0])
def test_the_choice_does_not_change_from_run_to_run_on_one_machine(tmp_path: Path, usual_ms: float) -> None:
    encoder, chosen = MeasuredEncoder(tmp_path), []
    for _ in range(6):
        side = choose_working_side(encoder)
        record_tracking(encoder, measured(usual_ms * (side / 360) ** 2), side)
        chosen.append(side)
    assert len(set(chosen[1:])) == 1


def test_a_run_without_masks_and_another_engine_record_nothing(tmp_path: Path) -> None:
    encoder = MeasuredEncoder(tmp_path)
    record_tracking(encoder, measured(30.0, masks=0.2), 360)
    record_tracking(encoder, MetricsSnapshot({"masks": 24.0}, {}), 360)
    assert encoder.speed.read_tracking() is None
    fake, _ = load(EngineSettings(backend="fake"), None)
    record_tracking(fake, measured(30.0), 360)
    assert choose_working_side(fake) == 360


def test_one_run_on_a_busy_machine_counts_for_half(tmp_path: Path) -> None:
    encoder = MeasuredEncoder(tmp_path)
    for ms in (16.0, 24.0):
        record_tracking(encoder, measured(ms), 360)
    assert encoder.speed.read_tracking() == pytest.approx(20.0)
    record_tracking(encoder, measured(5000.0), 360)
    assert encoder.speed.read_tracking() == pytest.approx(30.0)
