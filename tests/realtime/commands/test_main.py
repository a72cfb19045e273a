"""The command as a user has it: exit codes, one line of error, signals."""

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from realtime.commands.main import main
from realtime.comms.mask_subscriber import MaskSubscriber
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.recording.reader import RecordingReader
from realtime.simulation.device import SimulatedTracker
from tests.realtime import scene
from tests.realtime.waiting import eventually

LOOKED_AT = Path(__file__).resolve().parents[3] / "docs" / "looked-at.jpg"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return scene.write_clip(tmp_path_factory.mktemp("scene"), 48)


def run_command(capsys, *argv):
    """Exit code and stderr of one call in this process."""
    return main(list(argv)), capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("run", "--source", "carrier:pigeon", "--gaze", "pupil://127.0.0.1:1"), "'carrier:pigeon' is no source of"),
        (("run", "--source", "file:/nowhere.mp4", "--gaze", "trace:x.csv"), "there is no /nowhere.mp4"),
        (("run", "--source", "camera:0"), "has no gaze of its own; add --gaze"),
        (("run", "--source", "pupil://127.0.0.1:1", "--gaze", "mouse"), "'mouse' is no source of gaze"),
        (("run", "--source", "pupil://127.0.0.1:1", "--engine", "magic"), "engine.backend must be one of openvino"),
        (("run", "--source", "pupil://127.0.0.1:1", "--publish", "here"), "'here' is no address"),
        (("run", "--set", "publish.jpeg_quality=900"), "publish.jpeg_quality must be 1 to 100, got 900"),
        (("run", "--set", "publish.colour=red"), "unknown setting publish.colour (allowed: endpoint"),
        (("run", "--set", "nonsense"), "--set wants KEY=VALUE"),
        (("run", "--set", "source=a", "--set", "source.b=c"), "source is a setting already, not a section"),
        (("run", "--set", "models=~nosuchuser9/x"), "models must be a path, got '~nosuchuser9/x'"),
        (("run", "--source", "file:~nosuchuser9/x.mp4", "--gaze", "pupil://127.0.0.1:1"), "'file:~nosuchuser9/x.mp4'"),
        (("run", "--set", 'publish.stream="a\\nb"'), "publish.stream must be at most 64 printable"),
        (("run", "--set", "tracker.motion.ring=0"), "tracker.motion.ring must be at least 2, at most 300, got 0"),
        (("run", "--set", "tracker.motion.ring=1000000000"), "ring must be at least 2, at most 300, got 1000000000"),
        (("run", "--set", "tracker.gaze.min_confidence=2"), "min_confidence must be within 0..1"),
        (("run", "--set", "engine.decoder_threads=-3"), "engine.decoder_threads must be at least 1, got -3"),
        (("run", "--config", "/nowhere.toml"), "cannot read /nowhere.toml"),
        (("simulate", "--video", "/nowhere.mp4"), "there is no /nowhere.mp4"),
        (("simulate", "--video", "a.mp4", "--calibrations", "here"), "--calibrations belongs to --scene"),
        (("run", "--source", "pupil://no-such-host"), "cannot resolve no-such-host: check the name or give its IP"),
        (("run", "--source", "rtsp://no-such-host/x", "--gaze", "pupil://127.0.0.1"), "cannot resolve no-such-host:"),
        (("run", "--source", "pupil://127.0.0.1", "--publish", "tcp://no-such-host:1"), "cannot resolve no-such-host"),
        (("simulate", "--scene", "table", "--host", "no-such-host"), "cannot resolve no-such-host: check the name"),
        (("calibrate", "gaze", "--source", "pupil://no-such-host", "--headless"), "cannot resolve no-such-host"),
        (("models", "pull", "sam_vit_z"), "no model is called 'sam_vit_z'; known: mobile_sam"),
        (("models", "pull", "mobile_sam", "--from", "/nowhere"), "/nowhere is not a folder"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_exit_code_2(capsys, argv, message):
    code, error = run_command(capsys, *argv)
    assert (code, message in error, "Traceback" in error) == (2, True, False), error


@pytest.mark.parametrize("flag", ["--requests", "--lerobot", "--foxglove"])
def test_an_output_at_a_host_that_cannot_be_resolved_is_refused(capsys, flag):
    address = "no-such-host:8765" if flag == "--foxglove" else "tcp://no-such-host:8765"
    argv = ("run", "--source", "pupil://127.0.0.1:1", "--publish", "tcp://127.0.0.1:0", flag, address)
    code, error = run_command(capsys, *argv)
    assert (code, error) == (2, "gazecast: cannot resolve no-such-host: check the name or give its IP address\n")


@pytest.mark.parametrize(
    "argv",
    [
        ("run", "--source", "pupil://127.0.0.1:1"),
        ("demo",),
        ("engine", "build"),
        ("engine", "verify"),
        ("segment", str(LOOKED_AT), "--everything"),
    ],
)
def test_tensorrt_without_a_gpu_is_refused_before_anything_is_opened(capsys, monkeypatch, argv):
    monkeypatch.setattr("realtime.commands.config_flags.count_nvidia_gpus", lambda: 0)
    monkeypatch.setattr("engines.weights.pull_model", lambda *args, **more: pytest.fail("fetched"))
    code, error = run_command(capsys, *argv, "--engine", "tensorrt")
    assert (code, "needs an NVIDIA GPU" in error, "--engine openvino" in error) == (2, True, True), error


def test_a_port_in_use_is_named(capsys):
    taken = PublisherSocket("tcp://127.0.0.1:0")
    code, error = run_command(capsys, "run", "--source", "pupil://127.0.0.1:1", "--publish", taken.endpoint)
    taken.close()
    assert code == 2
    assert f"cannot listen on {taken.endpoint}: the port is in use" in error


def test_a_window_without_a_display_is_refused(capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code, error = run_command(capsys, "run", "--source", "pupil://127.0.0.1:1", "--window")
    assert (code, "no display for --window" in error) == (2, True)


def test_corrupt_weights_without_a_way_to_fetch_them_are_refused(capsys, clip, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    folder = tmp_path / "mobile_sam"
    folder.mkdir()
    (folder / "encoder.onnx").write_bytes(b"not a model")
    (folder / "sam.onnx").write_bytes(b"not a model")
    code, error = run_command(capsys, "models", "path", "mobile_sam", "--models", str(tmp_path))
    assert (code, "fetch it again: gazecast models pull mobile_sam" in error) == (2, True), error


def test_printed_configuration_is_a_file_that_gives_the_same(capsys, tmp_path):
    main(["config", "--source", "pupil://10.0.0.1:50020", "--set", "tracker.gaze.min_confidence=0.7"])
    text = capsys.readouterr().out
    assert tomllib.loads(text)["tracker"]["gaze"]["min_confidence"] == 0.7
    file = tmp_path / "all.toml"
    file.write_text(text)
    main(["config", "--config", str(file)])
    assert capsys.readouterr().out == text


def test_flags_win_over_the_file(capsys, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('source = "camera:3"\n[publish]\nstream = "left"\n')
    main(["config", "--config", str(file), "--source", "camera:4"])
    config = tomllib.loads(capsys.readouterr().out)
    assert (config["source"], config["publish"]["stream"]) == ("camera:4", "left")


@pytest.mark.parametrize(("stop", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 50)])
def test_run_as_a_process_publishes_prints_json_and_obeys_a_signal_or_a_burst(clip, stop, times):
    device = SimulatedTracker(clip[0], clip[1], port=0)
    device.start()
    free = PublisherSocket("tcp://127.0.0.1:0")
    free.close()
    command = [sys.executable, "-m", "realtime", "run", "--engine", "fake", "--json", "--source",
               f"pupil://127.0.0.1:{device.port}", "--publish", free.endpoint]  # fmt: skip
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        MaskSubscriber(free.endpoint) as subscriber,
    ):
        try:
            eventually(lambda: subscriber.newest("mask", 0.05) is not None, "a mask")
            for _ in range(times):
                process.send_signal(stop)
            out, error = process.communicate(timeout=300)
        finally:
            process.kill()
            device.stop()
    lines = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, error
    assert [lines[0]["state"], lines[-1]["state"]] == ["starting", "stopping"]
    assert "Traceback" not in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_ends_it_at_once(number):
    code = (  # without the signal it waits for a frame until the test has failed
        "import sys; from realtime.__main__ import main; from realtime.pipeline import pipeline;"
        "pipeline.FIRST_FRAME_S = 1000; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "run", "--engine", "fake", "--json", "--publish", "tcp://127.0.0.1:0",
               "--source", "pupil://127.0.0.1:1"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert json.loads(process.stdout.readline())["state"] == "starting"
            process.send_signal(number)
            _, error = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in error


def test_a_reader_that_goes_away_ends_the_run_without_a_traceback(clip):
    command = [sys.executable, "-m", "realtime", "run", "--engine", "fake", "--json", "--publish", "tcp://127.0.0.1:0",
               "--source", f"file:{clip[0]}?loop=1", "--gaze", f"trace:{clip[1]}"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            process.stdout.readline()
            process.stdout.close()
            process.wait(timeout=300)
            error = process.stderr.read()
        finally:
            process.kill()
    assert "Traceback" not in error
    assert "BrokenPipe" not in error


def test_a_clip_without_masks_is_a_failure(clip, tmp_path):
    trace = tmp_path / "elsewhere.csv"
    trace.write_text("timestamp,x,y,confidence\n0,9,9,0.3\n0.9,9,9,0.3\n1.9,9000,9000,1\n")
    command = [sys.executable, "-m", "realtime", "run", "--engine", "fake", "--json", "--publish", "tcp://127.0.0.1:0",
               "--source", f"file:{clip[0]}?realtime=0", "--gaze", f"trace:{trace}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, "ended before anything was looked at" in done.stderr) == (1, True), done.stderr


def test_a_clip_whose_gaze_never_came_is_a_failure(clip):
    command = [sys.executable, "-m", "realtime", "run", "--engine", "fake", "--json", "--publish", "tcp://127.0.0.1:0",
               "--source", f"file:{clip[0]}", "--gaze", "pupil://127.0.0.1:1"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, "ended before any gaze came: " in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("speed", ["", "?realtime=0"])
def test_a_clip_of_one_frame_is_called_a_picture(tmp_path, capsys, speed):
    clip, trace = scene.write_clip(tmp_path, 1)
    flags = ("--engine", "fake", "--publish", "tcp://127.0.0.1:0", "--source", f"file:{clip}{speed}")
    assert main(["run", *flags, "--gaze", f"trace:{trace}"]) == 1
    assert "for a picture use: gazecast segment" in capsys.readouterr().err


def test_a_clip_at_any_speed_is_run_to_its_end_and_dwells_in_its_own_time(tmp_path):
    # Read from the recording: the run may end before a subscriber has connected.
    clip, trace = scene.write_clip(tmp_path, 36)
    kept = tmp_path / "kept.mcap"
    command = [sys.executable, "-m", "realtime", "run", "--engine", "fake", "--json", "--source",
               f"file:{clip}?realtime=0", "--gaze", f"trace:{trace}", "--publish", "tcp://127.0.0.1:0",
               "--record", str(kept)]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "stopping"
    recording = RecordingReader(kept)
    masks = (recording.read_mask(entry) for entry in recording.read_entries(("mask",)))
    states = {mask.frame.index: mask.state for mask in masks}
    first = min(index for index, state in states.items() if state != "lost")
    locked = min(index for index, state in states.items() if state == "locked")
    assert max(14, first) <= locked <= max(16, first + 2)  # 0.6 s at 24 frames a second, whatever that took here


def test_without_a_verb_the_help_is_printed(capsys):
    for argv in ([], ["engine"], ["calibrate"], ["models"]):
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        out, error = capsys.readouterr()
        assert (stopped.value.code, error) == (0, "")
        assert out.startswith(" ".join(["usage: gazecast", *argv]))
        assert "examples:" in out
