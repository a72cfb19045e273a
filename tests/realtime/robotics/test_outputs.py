"""Tests the outputs of a run for other programs."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from realtime.commands.main import main
from realtime.config.schema import PublishConfig, RunConfig
from realtime.robotics.outputs import open_robot_outputs
from tests.realtime.scene import write_clip
from tests.realtime.waiting import eventually


def test_no_output_is_opened_by_default() -> None:
    with ExitStack() as stack:
        assert open_robot_outputs(RunConfig(), None, stack, pytest.fail) == []


def test_configured_outputs_are_opened_reported_and_closed() -> None:
    pytest.importorskip("rosbags", reason="ROS 2 messages need rosbags: pip install -e '.[robotics]'")
    pytest.importorskip("foxglove", reason="Foxglove's server needs foxglove-sdk: pip install -e '.[robotics]'")
    config, lines = RunConfig(publish=PublishConfig(foxglove="0", lerobot="tcp://127.0.0.1:0")), list[str]()
    with ExitStack() as stack:
        foxglove, lerobot = open_robot_outputs(config, None, stack, lines.append)
        assert lines == [f"for Foxglove: {foxglove.address}", f"for LeRobot: camera gazecast at {lerobot.endpoint}"]
        assert foxglove.address.startswith("ws://127.0.0.1:")
    for observer in (foxglove, lerobot):
        eventually(lambda observer=observer: not observer._thread.is_alive(), "ended")


def test_a_port_in_use_ends_the_run_before_it_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, trace = write_clip(tmp_path, 2)
    with ExitStack() as stack:
        config = RunConfig(publish=PublishConfig(lerobot="tcp://127.0.0.1:0"))
        (in_use,) = open_robot_outputs(config, None, stack, lambda text: None)
        run = ["run", "--engine", "fake", "--source", f"file:{clip}", "--gaze", f"trace:{trace}"]
        assert main([*run, "--publish", "tcp://127.0.0.1:*", "--lerobot", in_use.endpoint]) == 2
    errors = capsys.readouterr().err
    assert in_use.endpoint in errors
    assert "the port is in use" in errors
