"""Tests the live page in a real browser with each kind of source: server clip, page clip, camera, phone."""

import numpy as np
import pytest

from tests.browser import ChromeBrowser, find_browser
from tests.realtime import scene
from tests.realtime.viewer.page_pixels import page_position, write_camera
from tests.realtime.viewer.page_runs import CAMERA, measure_overlaps, open_with_camera, serve_run, wait_for_mask
from tests.realtime.waiting import eventually

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"
)
NOTE = "document.getElementById('start-note').textContent"


def test_a_page_reconnects_to_a_restarted_run_of_a_clip(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 90, speed=0.5)
    with serve_run(f"file:{clip}?loop=1") as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.stage.view")
        wait_for_mask(tab)
        assert np.median(measure_overlaps(tab, tab)) >= 0.75
        assert tab.evaluate("document.getElementById('modes').hidden")
        assert tab.console_errors() == []
    tab.wait_for("document.getElementById('warning').textContent.includes('Connection lost')")
    with serve_run(f"file:{clip}?loop=1", port=int(address.rsplit(":", 1)[1].strip("/"))):
        tab.wait_for("gazecast.state.latest && document.getElementById('warning').hidden")
        tab.close()


def test_the_page_plays_a_clip(browser, tmp_path):
    from realtime.media.video_writer import OverlayWriter

    with OverlayWriter(tmp_path / "clip", scene.SIZE, 24) as writer:
        for index in range(48):
            writer.write(scene.picture(index, 0.5), index / 24)
    with serve_run("browser:") as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.state.hello")
        tab.choose_file("#file", writer.path)
        tab.wait_for("gazecast.stage.view")
        wait_for_mask(tab)
        assert np.median(measure_overlaps(tab, tab)) >= 0.75
        assert tab.console_errors() == []
        tab.close()


FALSIFY = """
const Real = globalThis.Worker;
const patch = `const read = OffscreenCanvasRenderingContext2D.prototype.getImageData;
  OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...place) {
    const found = read.apply(this, place);
    for (let at = 0; at < found.data.length; at++) found.data[at] = at % 4 === 3 ? 255 : 32 * (at % 7);
    return found;
  };`;
const script = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
globalThis.Worker = class extends Real {
  constructor(url, options) { super(script(`import "${script(patch)}"; import "${url}";`), options); }
};
"""
"""Makes the page's worker read stripes, as Firefox does with privacy.resistFingerprinting."""


def test_a_browser_that_falsifies_canvas_readback_is_reported(browser):
    with serve_run("browser:") as address:
        tab = browser.open_tab("about:blank")
        tab.call("Page.setBypassCSP", enabled=True)
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=FALSIFY)
        tab.call("Page.navigate", url=address)
        tab.wait_for("window.gazecast?.state.hello")
        tab.click("#start-camera")
        tab.wait_for("document.body.innerText.includes('This browser falsifies the pictures that a page reads')")
        assert not tab.evaluate("gazecast.localVideo.isRunning")
        tab.close()


def test_a_portrait_camera_is_not_cut(tmp_path):
    camera = write_camera(tmp_path / "portrait.mjpeg", frames=30, size=(540, 960))
    with ChromeBrowser(camera) as portrait, serve_run("browser:") as address:
        tab = open_with_camera(portrait, address)
        assert tab.evaluate("[gazecast.stage.view.width, gazecast.stage.view.height]") == [540, 960]


def test_a_finger_on_a_phone_is_the_gaze(browser):
    with serve_run("browser:") as address:
        tab = open_with_camera(browser, address, (390, 844), phone=True)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        x, y = page_position(tab, 0.5, 0.5)
        tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        tab.wait_for("gazecast.state.latest?.header.gaze_trail.length > 0 && gazecast.state.latest.header.target")

        def is_gaze_there() -> bool:  # the page may still have moved the picture when it was touched first
            x, y = page_position(tab, 0.5, 0.5)
            tab.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y}])
            sample = tab.evaluate("gazecast.state.latest.header.gaze_trail.at(-1) ?? [0, 0]")
            return all(abs(at - side / 2) < 4 for at, side in zip(sample, CAMERA, strict=False))

        eventually(is_gaze_there)
        tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        tab.wait_for("gazecast.state.latest.header.gaze_trail.length === 0")
        tab.close()


def test_a_camera_works_without_a_media_stream_track_processor(browser):
    """Firefox has no MediaStreamTrackProcessor: the page's own thread reads the frames."""
    with serve_run("browser:") as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.state.hello")
        tab.evaluate("void (window.MediaStreamTrackProcessor = undefined)")
        tab.click("#start-camera")
        tab.wait_for("gazecast.stage.view")
        wait_for_mask(tab)
        assert np.median(measure_overlaps(tab, tab)) >= 0.75
        assert tab.console_errors() == []
        tab.click("#camera")
        tab.wait_for("!gazecast.localVideo.isRunning && !gazecast.localVideo.video.srcObject")
        tab.click("#camera")  # start it again
        tab.wait_for("gazecast.stage.view && gazecast.localVideo.newest")
        tab.close()


def test_a_camera_continues_after_a_lost_connection_and_a_restarted_run(browser):
    with serve_run("browser:") as address:
        tab = open_with_camera(browser, address)
        wait_for_mask(tab)
        tab.evaluate("void gazecast.connection.socket.close()")
        tab.wait_for("!gazecast.state.isOpen")
        tab.wait_for("gazecast.state.source.yours && gazecast.state.latest?.frame")
    tab.wait_for("!gazecast.state.isOpen")
    with serve_run("browser:", port=int(address.rsplit(":", 1)[1].strip("/"))):
        tab.wait_for("gazecast.state.source.yours && gazecast.state.latest?.frame")
        assert tab.evaluate("gazecast.localVideo.isRunning && Boolean(gazecast.localVideo.stream)")
        wait_for_mask(tab)
        tab.close()


FLOW = """(async () => {
  const { FlowControl } = await import("/flow_control.js"), flow = new FlowControl(), due = [];
  const at = (now) => due.push(flow.isDue(now));
  at(0); flow.onSent(0, 0);
  at(100);                        // not answered: it would only wait
  at(260);                        // no answer at all: the engine is being opened
  flow.onSent(260, 260);
  flow.onAnswer(0, 261); at(270); // of the first frame, which was given up: not the answer to this one
  flow.onAnswer(260, 290); at(291);
  for (let now = 300, i = 0; i < 80; i++, now += 40) { flow.onSent(now, now); flow.onAnswer(now, now + 35); }
  flow.onSent(5000, 5000); at(5010); at(5020); // about to be answered
  flow.reset(); at(5020);
  return due;
})()"""


SLOWER = """(async () => {
  const { FlowControl } = await import("/flow_control.js"), flow = new FlowControl(), sent = [];
  let inFlight = [];
  for (let ms = 0; ms < 12000; ms += 33) {
    const delay = ms < 4000 ? 30 : 100; // then another program loads the machine
    for (const each of inFlight.filter((each) => each + delay <= ms)) flow.onAnswer(each, each + delay);
    inFlight = inFlight.filter((each) => each + delay > ms);
    if (flow.isDue(ms)) { flow.onSent(ms, ms); inFlight.push(ms); sent.push(ms); }
  }
  const within = (from, to) => sent.filter((ms) => ms >= from && ms < to).length;
  return [within(3000, 4000), within(11000, 12000)];
})()"""

STARTING = """(async () => {
  const { StreamClock } = await import("/flow_control.js"), clock = new StreamClock();
  const arrivals = [[0, 1120], [33, 1043], [66, 1076], [99, 1109], [132, 1162], [165, 1175]];
  return arrivals.map(([stream, now]) => clock.toPageTime(stream, now));
})()"""

UNRECEIVED = """(async () => {
  const worker = new Worker("/frame_worker.js", { type: "module" }), canvas = new OffscreenCanvas(64, 48);
  canvas.getContext("2d");
  let pictures = 0, frame = 0;
  worker.onmessage = ({ data }) => { if (data.picture) pictures++; };
  const readable = new ReadableStream({
    async pull(stream) {
      stream.enqueue(new VideoFrame(canvas, { timestamp: 33333 * frame++ }));
    },
  }, { highWaterMark: 0 });
  worker.postMessage({ stream: readable }, [readable]);
  const until = async (isDone) => { while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 10)); };
  await until(() => frame > 30);
  const before = pictures;
  worker.postMessage({ received: true });
  await until(() => pictures > before);
  worker.terminate();
  return [before, pictures];
})()"""


def test_flow_control_sends_one_frame_at_a_time_and_the_worker_queues_few(browser):
    with serve_run("browser:") as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.state.hello")
        assert tab.evaluate(FLOW) == [True, False, True, False, True, False, True, True]
        usual, slower = tab.evaluate(SLOWER)
        assert usual >= 28
        assert slower <= 11  # one for each answer
        assert tab.evaluate(STARTING) == [1120, None, None, None, 1142, 1175]
        assert tab.evaluate(UNRECEIVED) == [3, 4]
        tab.close()


def test_a_page_marks_its_own_frozen_picture_and_reports_a_lost_camera(browser, tmp_path):
    (tmp_path / "clip.mp4").write_text("no clip")
    with serve_run("browser:") as address:
        tab = browser.open_tab(address)
        tab.wait_for("window.gazecast?.state.hello")
        tab.choose_file("#file", tmp_path / "clip.mp4")
        tab.wait_for(f"{NOTE}.startsWith('This browser cannot play clip.mp4')")
        tab.click("#start-camera")
        tab.wait_for(f"gazecast.stage.view && !{NOTE}")
        assert not tab.evaluate("document.getElementById('stage').classList.contains('stale')")
        tab.evaluate("void (gazecast.localVideo.worker.onmessage = null)")  # like a camera that another program uses
        tab.wait_for("document.getElementById('stage').classList.contains('stale')")
        tab.wait_for("document.getElementById('warning').textContent.startsWith('No new picture')")
        tab.evaluate("void gazecast.localVideo.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
        tab.wait_for("document.getElementById('notice').textContent.startsWith('The camera was disconnected')")
        tab.wait_for("!gazecast.localVideo.isRunning && !document.getElementById('start').hidden")
        tab.close()
