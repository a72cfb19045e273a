"""The figures of a review: seconds and corrections a mask, and the share that was accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.commands.main import main
from realtime.correction.frame_corrector import CorrectionTarget
from realtime.correction.loop_metrics import measure_loop
from realtime.recording.labels import ObjectLabel
from tests.realtime.correction.moving_disc import COUNT, open_corrector, record, share_of


def test_the_report_counts_what_was_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path)
    assert main(["review", str(path), "--report"]) == 0
    assert "no mask was accepted or corrected yet" in capsys.readouterr().out
    _, editor, corrector = open_corrector(path)
    for number, seconds in ((15, 2.0), (15, 1.0), (20, 3.0)):
        corrector.click(CorrectionTarget(number, 1, seconds), share_of(number), on=True)
    while corrector.carry_next(lambda done, total: True):
        pass
    corrector.accept(CorrectionTarget(15, 1, 4.0))
    corrector.paint(CorrectionTarget(20, 1, 2.0), [(0.1, 0.1)], 0.02, on=True)
    editor.undo()
    editor.set_label(1, ObjectLabel(keep=False))
    metrics = measure_loop([editor.state])
    assert (metrics.accepted, metrics.corrected, metrics.corrections, metrics.dropped) == (1, 2, 3, 1)
    assert metrics.carried == COUNT - 2
    assert metrics.seconds == 12.0  # the time of an undone correction was spent, too
    assert (metrics.seconds_a_mask, metrics.corrections_a_mask) == (4.0, 1.0)
    assert metrics.accepted_share == pytest.approx(1 / 3)
    assert main(["review", str(path), "--report"]) == 0
    assert "4.0 s a mask, 1.00 corrections a mask, 33% accepted" in capsys.readouterr().out
