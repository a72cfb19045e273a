"""Snapshots are pictures of what a person saw."""

import os
import stat
import sys

import pytest

from realtime.pipeline.observers import FrameResult
from realtime.viewer.snapshot import save_snapshot
from tests.realtime.recording.plain_recordings import frame


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_snapshot_is_for_its_user_alone_under_any_umask(tmp_path):
    before = os.umask(0)
    try:
        written = save_snapshot(FrameResult(frame(1), None), tmp_path / "snapshots", "one")
    finally:
        os.umask(before)
    assert {file.name for file in written} == {"one.json", "one-frame.png", "one-overlay.png"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in written} == {0o600}
