"""Tests gaze by webcam in a real browser: its camera, targets, error, and where the page's picture is looked at."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration.gaze import choreography
from calibration.gaze.matching import MIN_SAMPLES
from realtime.session import webcam_input
from realtime.sources.webcam_gaze import calibration_session
from tests.accessibility import find_violations
from tests.browser import find_browser
from tests.realtime import scene
from tests.realtime.viewer.page_runs import serve_run
from tests.realtime.waiting import eventually
from tests.realtime.webcam_eyes import SIZE, DiscFinder

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
)
WINDOW = (1280, 800)
CAMERA = """(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: %d, height: %d });
  const context = canvas.getContext("2d");
  window.lookAt = [0.5, 0.5]; // shares of the page; null: no face
  const draw = () => {
    const dot = document.getElementById("calibration-target"), panel = document.getElementById("calibration");
    const target = [parseFloat(dot.style.left) / 100, parseFloat(dot.style.top) / 100];
    const at = !panel.hidden && !dot.hidden ? target : window.lookAt;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!at) return;
    context.fillStyle = "#fff";
    context.beginPath();
    const [left, top] = gazecast.eyes.position.offset(); // eyes look at a place of the screen
    const x = (left + at[0] * innerWidth) / 1400, y = (top + at[1] * innerHeight) / 1000;
    context.arc(40 + 240 * x, 40 + 160 * y, 14, 0, 7);
    context.fill();
  };
  setInterval(draw, 20);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    window.wanted = wanted;
    return canvas.captureStream(30);
  };
})()"""
"""A camera in which the disc of `DiscFinder` is where the page's target is."""


@pytest.fixture
def networks(monkeypatch):
    """Put a finder of discs in the place of the networks."""
    monkeypatch.setattr(webcam_input, "FaceLandmarker", lambda folder: DiscFinder())
    monkeypatch.setattr(webcam_input.weights, "pull_model", lambda *args, **flags: None)
    # eyes that follow at once need less time for each target, and fewer of them
    monkeypatch.setattr(calibration_session, "build_screen_steps", lambda count: choreography.build_screen_steps(5))
    monkeypatch.setattr(choreography, "SETTLE_S", 0.25)
    monkeypatch.setattr(choreography, "TIMEOUT_S", 120.0)  # a busy machine evaluates few pictures
    monkeypatch.setattr(calibration_session, "SAMPLES_PER_TARGET", MIN_SAMPLES)


def test_eyes_are_calibrated_on_the_page_and_move_the_gaze(browser, tmp_path, networks):
    clip, _ = scene.write_clip(tmp_path, 60, speed=0.5)
    folder = tmp_path / "calibrations"
    with serve_run(f"file:{clip}?loop=1", gaze="webcam", webcam={"folder": str(folder)}) as address:
        tab = browser.open_tab(address, WINDOW)
        tab.wait_for("window.gazecast?.state.hello && gazecast.stage.view")
        assert tab.evaluate("document.getElementById('eyes-calibrate').disabled")
        tab.press_key("e")
        tab.wait_for("document.getElementById('notice').textContent.includes('Start the camera')")
        tab.evaluate(CAMERA % SIZE)
        tab.click("#eyes-camera")
        tab.wait_for("gazecast.eyes.eyes?.face")
        assert tab.evaluate("wanted.video.facingMode.ideal") == "user"
        tab.wait_for("document.getElementById('eyes-error').textContent === 'not calibrated for this screen'")
        tab.press_key("e")
        tab.wait_for("!document.getElementById('calibration-target').hidden")
        assert tab.evaluate("document.fullscreenElement?.id") in ("calibration", None)
        tab.wait_for("!document.getElementById('calibration-result').hidden", 300)
        result = tab.evaluate("gazecast.eyes.eyes.result")
        assert result["checks"] == 4
        assert result["error_px"] < 100
        title = tab.evaluate("document.getElementById('calibration-title').textContent")
        assert title == f"{round(result['error_px'])} px, {result['error_deg']:.1f}°"
        tab.click("#calibration-close")
        tab.wait_for("document.getElementById('calibration').hidden && !document.fullscreenElement")
        look_at_picture(tab, (0.3, 0.6))
        look_at_picture(tab, (0.7, 0.4))
        assert [path.suffix for path in folder.iterdir()] == [".json"]
        tab.evaluate("window.lookAt = null")
        tab.wait_for("document.getElementById('eyes-state').textContent === 'no face'")
        tab.evaluate("location.reload()")
        tab.wait_for("window.gazecast?.state.hello && !gazecast.eyes.camera.isRunning && gazecast.stage.view")
        tab.evaluate(CAMERA % SIZE)
        tab.click("#eyes-camera")
        tab.wait_for("document.getElementById('eyes-error').textContent.includes('px')")
        look_at_picture(tab, (0.5, 0.5))
        assert tab.console_errors() == []
        tab.close()


def look_at_picture(tab, place):
    """Look at a place in 0..1 of the shown frame, and wait until the run's gaze is there."""
    tab.wait_for("JSON.parse(gazecast.eyes.sentScreen || '{}').picture")
    aim = f"""(() => {{
      const [x, y] = {json.dumps(place)}, {{ picture }} = JSON.parse(gazecast.eyes.sentScreen);
      const [left, top] = gazecast.eyes.position.offset();
      const client = [picture[0] + x * picture[2] - left, picture[1] + y * picture[3] - top];
      window.lookAt = [client[0] / innerWidth, client[1] / innerHeight];
    }})()"""

    def is_there():
        tab.evaluate(aim)  # again, as the page may move its picture
        trail = tab.evaluate("gazecast.state.latest.header.gaze_trail")
        return trail and np.hypot(*(np.array(trail[-1][:2]) / scene.SIZE - place)) < 0.1

    eventually(is_there, f"gaze at {place}", 240)  # eyes are drawn and searched by software alone


def test_a_blocked_camera_and_a_lost_one_are_reported(browser, tmp_path, networks):
    clip, _ = scene.write_clip(tmp_path, 30)
    with serve_run(f"file:{clip}?loop=1", gaze="webcam", webcam={"folder": str(tmp_path)}) as address:
        tab = browser.open_tab(address, WINDOW)
        tab.wait_for("window.gazecast?.state.hello")
        tab.evaluate(
            """navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotAllowedError"); }"""
        )
        tab.click("#eyes-camera")
        tab.wait_for("document.getElementById('notice').textContent.includes('blocks the camera')")
        tab.evaluate(CAMERA % SIZE)
        tab.click("#eyes-camera")
        tab.wait_for("gazecast.eyes.eyes?.face")
        tab.evaluate("gazecast.eyes.camera.stream.getVideoTracks()[0].onended()")
        tab.wait_for("document.getElementById('notice').textContent.includes('disconnected')")
        tab.wait_for("document.getElementById('eyes-camera').textContent === 'Start the camera'")
        tab.close()


def test_escape_ends_a_calibration(browser, tmp_path, networks):
    clip, _ = scene.write_clip(tmp_path, 30)
    with serve_run(f"file:{clip}?loop=1", gaze="webcam", webcam={"folder": str(tmp_path)}) as address:
        tab = browser.open_tab(address, WINDOW)
        tab.wait_for("window.gazecast?.state.hello")
        tab.evaluate(CAMERA % SIZE)
        tab.click("#eyes-camera")
        tab.wait_for("gazecast.eyes.eyes?.face")
        tab.click("#eyes-calibrate")
        tab.wait_for("gazecast.eyes.eyes?.target")
        for kind in ("rawKeyDown", "keyUp"):
            tab.call("Input.dispatchKeyEvent", type=kind, key="Escape")
        tab.wait_for("document.getElementById('calibration').hidden && !gazecast.eyes.eyes.calibrating")
        tab.close()


def test_a_page_of_another_run_shows_nothing_of_eyes(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 30)
    with serve_run(f"file:{clip}?loop=1") as address:
        tab = browser.open_tab(address, WINDOW)
        tab.wait_for("window.gazecast?.state.hello && gazecast.stage.view")
        assert tab.evaluate("document.getElementById('eyes').hidden")
        tab.close()


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_controls_and_the_result_have_no_violations(browser, tmp_path, networks, size):
    clip, _ = scene.write_clip(tmp_path, 30)
    with serve_run(f"file:{clip}?loop=1", gaze="webcam", webcam={"folder": str(tmp_path)}) as address:
        tab = browser.open_tab(address, size, phone=size[0] < 500)
        tab.wait_for("window.gazecast?.state.hello && !document.getElementById('eyes').hidden")
        tab.evaluate(CAMERA % SIZE)
        tab.evaluate("document.getElementById('eyes-camera').click()")
        tab.wait_for("gazecast.eyes.eyes?.face")
        assert find_violations(tab) == []
        tab.evaluate("""(() => {
          document.getElementById("calibration").hidden = false;
          gazecast.eyes.showResult({ error_px: 70, error_deg: 1.7, precision_deg: 1, distance_mm: 600, checks: 4 }, "");
        })()""")
        assert find_violations(tab) == []
        box = "document.getElementById('calibration-result').getBoundingClientRect()"
        assert tab.evaluate(f"{box}.left >= 0 && {box}.right <= innerWidth")
        tab.close()
