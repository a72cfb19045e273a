"""Collecting views ends with its source, and leaves no thread."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime.commands.calibrate.board_views import collect_views
from realtime.errors import RunFailed, SourceError, WindowError
from tests.realtime.commands.calibrate.boards import BOARD
from tests.realtime.waiting import eventually


def write_empty_clip(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 64, 3), 90, np.uint8))
    return folder


def test_a_clip_without_a_board_ends_with_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    spec = f"file:{write_empty_clip(tmp_path / 'clip', 5)}?realtime=0"
    assert collect_views(spec, BOARD, window=False, most_views=9, show_line=lambda text: None) == []
    eventually(lambda: threading.active_count() == before)


def test_a_source_that_cannot_be_opened_is_reported() -> None:
    with pytest.raises((SourceError, RunFailed)):
        collect_views("file:/nowhere/at/all.mp4", BOARD, window=False, most_views=9, show_line=lambda text: None)


def test_without_a_screen_a_window_is_refused_and_no_thread_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    before = threading.active_count()
    with pytest.raises(WindowError):
        collect_views(
            f"file:{write_empty_clip(tmp_path / 'clip', 2)}",
            BOARD,
            window=True,
            most_views=9,
            show_line=lambda text: None,
        )
    assert threading.active_count() == before
