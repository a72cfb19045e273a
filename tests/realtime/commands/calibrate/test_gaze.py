"""`gazecast calibrate gaze`, `validate` and `drift` on a recording, and `run --calibration`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from calibration import PinholeCamera, RecordError
from calibration import record as records
from realtime.commands.calibrate.gaze import read_presses
from realtime.commands.main import main
from realtime.comms.messages import read_message
from realtime.comms.sockets.publisher import PublisherSocket
from realtime.comms.sockets.subscription import TopicSubscription
from realtime.errors import SettingsError
from realtime.simulation.calibration_wearer import TARGET_S, SimulatedBias, TargetClip
from realtime.sources.calibrated import MIN_RADIUS_DEG, load_gaze_calibration
from tests.realtime.commands.calibrate.wearer import DEG_PX, FPS, SIZE, calibrate, read_json, record, trace
from tests.realtime.waiting import eventually

BIAS = SimulatedBias((14.0, -9.0), 3.0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return record(tmp_path_factory.mktemp("wearer") / "clip")


@pytest.fixture(scope="module")
def made(clip, tmp_path_factory):
    """(file, folder) of a calibration made through the command."""
    folder = tmp_path_factory.mktemp("made")
    out = folder / "gaze.json"
    code = calibrate("gaze", clip, trace(folder / "t.csv", BIAS), "--targets", "5", "--out", str(out))
    assert code == 0
    return out, folder


def test_the_record_names_camera_device_and_size(made):
    loaded = load_gaze_calibration(made[0], "file:x", SIZE)
    checked = loaded.calibration.validation
    assert checked.verdict == "pass"
    assert checked.accuracy_deg < 0.4
    assert len(checked.targets) == 4
    assert loaded.record.camera == "file"
    assert loaded.record.device == "trace"
    assert loaded.record.size == SIZE


def test_the_report_is_a_png_and_an_html_page(made):
    page = cv2.imread(str(made[1] / "gaze-report.png"))
    assert page.shape[0] > 800
    assert page.shape[1] > 1000
    html = (made[1] / "gaze-report.html").read_text()
    assert "Gaze calibration" in html
    assert html.count("<figure>") == 4
    assert "No camera calibration was given" in html


def test_a_camera_calibration_gives_exact_degrees(clip, tmp_path, capsys):
    camera = PinholeCamera(SIZE, 400.0, 400.0, 240.0, 160.0, (-0.1, 0.0, 0.0, 0.0, 0.0))
    file = tmp_path / "camera.json"
    records.save_record(
        file,
        records.CalibrationRecord("camera", "", "c", SIZE, "2026-01-01T00:00:00+00:00", {"camera": camera.to_dict()}),
    )
    gaze = trace(tmp_path / "t.csv", BIAS)
    code = calibrate(
        "gaze", clip, gaze, "--targets", "5", "--camera", str(file), "--out", str(tmp_path / "g.json"), "--json"
    )
    body = read_json(capsys)
    assert code == 0
    assert body["verdict"] == "pass"
    assert body["view"]["camera"]["fx"] == 400.0
    wrong = tmp_path / "wrong.json"
    small = PinholeCamera((640, 480), 400.0, 400.0, 320.0, 240.0)
    records.save_record(
        wrong,
        records.CalibrationRecord(
            "camera", "", "c", small.size, "2026-01-01T00:00:00+00:00", {"camera": small.to_dict()}
        ),
    )
    assert calibrate("gaze", clip, gaze, "--camera", str(wrong)) == 2
    assert "640 x 480" in capsys.readouterr().err


def test_validate_measures_a_slip_and_drift_corrects_it(clip, made, tmp_path, capsys):
    file = tmp_path / "gaze.json"
    file.write_text(made[0].read_text())
    slip = SimulatedBias((14.0 + 1.2 * DEG_PX, -9.0 + 0.9 * DEG_PX), 3.0)  # by 1.5 degrees
    slipped = trace(tmp_path / "slipped.csv", slip)
    kept = ("--calibration", str(file), "--json")
    calibrate("validate", clip, slipped, *kept)
    before = read_json(capsys)["validation"]
    assert before["accuracy_deg"] == pytest.approx(1.5, abs=0.3)
    assert calibrate("drift", clip, slipped, *kept) == 0
    drifted = read_json(capsys)
    assert drifted["error_deg"] == pytest.approx(1.5, abs=0.3)
    assert drifted["left_deg"] < 0.2
    assert calibrate("validate", clip, slipped, *kept) == 0
    assert read_json(capsys)["validation"]["accuracy_deg"] < 0.5


def test_too_large_a_drift_is_refused(clip, made, tmp_path, capsys):
    file = tmp_path / "gaze.json"
    file.write_text(made[0].read_text())
    gone = trace(tmp_path / "gone.csv", SimulatedBias((14.0 + 8 * DEG_PX, 0.0)))
    assert calibrate("drift", clip, gone, "--calibration", str(file)) == 1
    assert "too much for drift: calibrate again" in capsys.readouterr().err
    assert calibrate("validate", clip, gone, "--calibration", str(file)) == 1
    assert "of no use" in capsys.readouterr().err
    with pytest.raises(RecordError, match="did not pass its validation"):  # so that it is not used
        load_gaze_calibration(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 0.4}, "0 usable targets are too few"),
        ({"noise_px": 60.0}, "no calibration was written"),
    ],
)
def test_unusable_gaze_is_refused(clip, tmp_path, capsys, change, message):
    out = tmp_path / "gaze.json"
    code = calibrate("gaze", clip, trace(tmp_path / "t.csv", BIAS, **change), "--targets", "5", "--out", str(out))
    assert code in (1, 2)
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_fixated_and_pressed_objects_calibrate(clip, tmp_path, capsys):
    """The recording's own targets serve as objects, with times and positions in a file."""
    rows = ["timestamp,x,y,role"]
    for at_s, _, aim in TargetClip(5, SIZE).aims():
        if aim.jumped:
            rows.append(f"{at_s + 0.8 * TARGET_S:.2f},{aim.x:.1f},{aim.y:.1f},{'fit' if len(rows) < 6 else 'check'}")
    points = tmp_path / "points.csv"
    points.write_text("\n".join(rows) + "\n")
    out = ("--out", str(tmp_path / "gaze.json"), "--json")
    code = calibrate("gaze", clip, trace(tmp_path / "t.csv", BIAS), "--method", "press", "--points", str(points), *out)
    body = read_json(capsys)
    assert code == 0
    assert len(body["validation"]["targets"]) == 4
    assert body["validation"]["accuracy_deg"] < 0.5


@pytest.mark.parametrize("row", ["1,2", "1,2,inf,fit", "nan,2,3,fit", "1,2,3,both"])
def test_invalid_points_are_refused_with_their_line(tmp_path, row):
    points = tmp_path / "points.csv"
    points.write_text(f"timestamp,x,y,role\n1,2,3,fit\n{row}\n")
    with pytest.raises(SettingsError, match="line 3"):
        read_presses(points)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("gaze", "--headless"), "--source is missing"),
        (("gaze", "--headless", "--source", "camera:0"), "has no gaze of its own"),
        (("gaze", "--headless", "--source", "file:/nowhere.mp4", "--gaze", "trace:x.csv"), "there is no /nowhere.mp4"),
        (("gaze", "--headless", "--method", "press", "--source", "pupil://h:1"), "needs --points FILE.csv"),
        (("drift", "--headless", "--source", "pupil://h:1", "--calibration", "/nowhere.json"), "cannot read /nowhere"),
        (("gaze", "--headless", "--source", "pupil://127.0.0.1:9", "--timeout", "nan"), "--timeout must be above 0"),
        (("gaze", "--headless", "--source", "pupil://127.0.0.1:9", "--timeout", "0"), "--timeout must be above 0"),
    ],
)
def test_wrong_use_is_one_line(capsys, argv, message):
    assert main(["calibrate", *argv]) == 2
    assert message in capsys.readouterr().err


def test_run_refuses_a_calibration_of_other_frames(made, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    cv2.imwrite(str(other / "0.png"), np.zeros((240, 320, 3), np.uint8))
    gaze = tmp_path / "t.csv"
    gaze.write_text("timestamp,x,y,confidence\n0,1,1,1\n")
    fake = ("--engine", "fake", "--gaze", f"trace:{gaze}")
    assert main(["run", "--source", f"file:{other}", *fake, "--calibration", str(made[0])]) == 2
    assert "480 x 320, these are 320 x 240" in capsys.readouterr().err
    named = tmp_path / "camera.json"
    fields = json.loads(made[0].read_text()) | {"camera": "camera:1"}
    named.write_text(json.dumps(fields))
    pupil = ("--source", "pupil://127.0.0.1:9", "--engine", "fake")
    assert main(["run", *pupil, "--calibration", str(named)]) == 2
    assert "made with the frames of 'camera:1', these are of 'pupil'" in capsys.readouterr().err


def test_run_publishes_corrected_gaze_with_its_radius(clip, made, tmp_path):
    """Published gaze is corrected, and its radius is the validated error.

    Learning from fixated objects is off, as the fake engine's masks have their centres anywhere.
    """
    gaze = trace(tmp_path / "t.csv", BIAS)
    free = PublisherSocket("tcp://127.0.0.1:0")
    free.close()
    steady, errors = [], tmp_path / "errors.txt"
    subscription = TopicSubscription(free.endpoint, "mask", newest_only=False, queue=1000)
    flags = ["--engine", "fake", "--publish", free.endpoint, "--json", "--calibration", str(made[0])]
    source = ["--source", f"file:{clip}?realtime=0&fps={FPS}&loop=1", "--gaze", f"trace:{gaze}"]
    command = [sys.executable, "-m", "realtime", "run", *source, *flags, "--set", "learn_drift=false"]
    with errors.open("w") as log, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log) as process:
        try:

            def has_enough_masks():
                assert process.poll() is None, errors.read_text()
                payload = subscription.receive(0.05)
                message = read_message("mask", payload) if payload is not None else None
                if message is not None and message.state in ("preview", "locked"):
                    steady.append(message)
                return len(steady) >= 40

            eventually(has_enough_masks, "masks", 300)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            subscription.close()
    aims = np.array([(aim.x, aim.y) for _, _, aim in TargetClip(5, SIZE).aims()])
    off = [np.linalg.norm(aims - (m.gaze.x, m.gaze.y), axis=1).min() for m in steady]
    assert np.median(off) < 3.0  # of 17 px that the tracker is off
    checked = load_gaze_calibration(made[0]).calibration.radius_deg
    radii = [m.gaze.radius for m in steady]
    assert np.median(radii) == pytest.approx(max(checked, MIN_RADIUS_DEG) * DEG_PX, rel=0.1)
