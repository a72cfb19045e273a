"""The page in a real browser with each kind of source: a clip of the server's, one of the page's, a phone's camera."""

import numpy as np
import pytest

from tests.browser import installed
from tests.realtime import scene
from tests.realtime.viewer.running import CAMERA, overlaps, serving, started, until_masked
from tests.realtime.viewer.showing import place_of

pytestmark = [
    pytest.mark.skipif(installed() is None, reason="no Chromium; .ci/setup or apt-get install chromium brings it"),
    pytest.mark.timeout(600),
]


def test_a_clip_of_the_servers_with_the_pages_mouse_is_found_again_after_a_restart(browser, tmp_path):
    clip, _ = scene.write_clip(tmp_path, 90, speed=0.5)
    with serving(f"file:{clip}?loop=1") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.view")
        until_masked(tab)
        assert np.median(overlaps(tab, tab)) >= 0.75
        assert tab.do("document.getElementById('modes').hidden")
        assert tab.complaints() == []
    tab.until("document.getElementById('warning').textContent.includes('connection is gone')")
    with serving(f"file:{clip}?loop=1", port=int(address.rsplit(":", 1)[1].strip("/"))):
        tab.until("gazecast.state.latest && document.getElementById('warning').hidden")
        tab.close()


def test_a_clip_of_the_pages(browser, tmp_path):
    from realtime.media.video_writer import OverlayWriter

    with OverlayWriter(tmp_path / "clip", scene.SIZE, 24) as writer:
        for index in range(48):
            writer.write(scene.picture(index, 0.5), index / 24)
    with serving("browser:") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.hello")
        tab.choose_file("#file", writer.path)
        tab.until("gazecast.state.view")
        until_masked(tab)
        assert np.median(overlaps(tab, tab)) >= 0.75
        assert tab.complaints() == []
        tab.close()


def test_a_finger_on_a_phone(browser):
    with serving("browser:") as address:
        tab = started(browser, address, (390, 844), phone=True)
        assert tab.do("document.documentElement.scrollWidth") <= 390
        x, y = place_of(tab, 0.5, 0.5)
        tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        tab.until("gazecast.state.latest?.head.gaze_trail.length > 0 && gazecast.state.latest.head.target")
        look = tab.do("gazecast.state.latest.head.gaze_trail.at(-1)")
        assert abs(look[0] - CAMERA[0] / 2) < 4
        assert abs(look[1] - CAMERA[1] / 2) < 4
        tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        tab.until("gazecast.state.latest.head.gaze_trail.length === 0")
        tab.close()


def test_a_camera_in_a_browser_that_gives_its_frames_to_the_page_alone(browser):
    """Firefox has no MediaStreamTrackProcessor: the page's own thread takes the frames."""
    with serving("browser:") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.hello")
        tab.do("void (window.MediaStreamTrackProcessor = undefined)")
        tab.click("#start-camera")
        tab.until("gazecast.state.view")
        until_masked(tab)
        assert np.median(overlaps(tab, tab)) >= 0.75
        assert tab.complaints() == []
        tab.click("#camera")
        tab.until("!gazecast.local.running && !gazecast.local.video.srcObject")
        tab.click("#camera")  # and once more
        tab.until("gazecast.state.view && gazecast.local.newest")
        tab.close()


def test_a_camera_goes_on_when_the_connection_was_lost_or_the_run_is_another(browser):
    with serving("browser:") as address:
        tab = started(browser, address)
        until_masked(tab)
        tab.do("void gazecast.link.socket.close()")
        tab.until("!gazecast.state.open")
        tab.until("gazecast.state.source.yours && gazecast.state.latest?.frame")
    tab.until("!gazecast.state.open")
    with serving("browser:", port=int(address.rsplit(":", 1)[1].strip("/"))):
        tab.until("gazecast.state.source.yours && gazecast.state.latest?.frame")
        assert tab.do("gazecast.local.running && Boolean(gazecast.local.stream)")
        until_masked(tab)
        tab.close()


PACE = """(async () => {
  const { Pace } = await import("/flow_control.js"), pace = new Pace(), said = [];
  const at = (now) => said.push(pace.due(now));
  at(0); pace.sent(0, 0);
  at(100);                        // not answered: it would only wait
  at(260);                        // nobody answers: the engine is being opened
  pace.sent(260, 260);
  pace.answered(0, 261); at(270); // the first one, which was given up: not this one's answer
  pace.answered(260, 290); at(291);
  for (let now = 300, i = 0; i < 80; i++, now += 40) { pace.sent(now, now); pace.answered(now, now + 35); }
  pace.sent(5000, 5000); at(5010); at(5020); // about to be answered
  pace.again(); at(5020);
  return said;
})()"""


SLOWER = """(async () => {
  const { Pace } = await import("/flow_control.js"), pace = new Pace(), sent = [];
  let away = [];
  for (let ms = 0; ms < 12000; ms += 33) {
    const takes = ms < 4000 ? 30 : 100; // then something else wants the machine
    for (const one of away.filter((one) => one + takes <= ms)) pace.answered(one, one + takes);
    away = away.filter((one) => one + takes > ms);
    if (pace.due(ms)) { pace.sent(ms, ms); away.push(ms); sent.push(ms); }
  }
  const within = (from, to) => sent.filter((ms) => ms >= from && ms < to).length;
  return [within(3000, 4000), within(11000, 12000)];
})()"""

STARTING = """(async () => {
  const { StreamClock } = await import("/flow_control.js"), times = new StreamClock();
  const came = [[0, 1120], [33, 1043], [66, 1076], [99, 1109], [132, 1162], [165, 1175]];
  return came.map(([stream, now]) => times.here(stream, now));
})()"""

UNTAKEN = """(async () => {
  const worker = new Worker("/frames.js", { type: "module" }), canvas = new OffscreenCanvas(64, 48);
  canvas.getContext("2d");
  let given = 0, frame = 0, told = () => {};
  worker.onmessage = ({ data }) => { if (data.picture) { given++; told(); } };
  const readable = new ReadableStream({
    async pull(stream) {
      stream.enqueue(new VideoFrame(canvas, { timestamp: 33333 * frame++ }));
    },
  }, { highWaterMark: 0 });
  worker.postMessage({ stream: readable }, [readable]);
  const until = async (done) => { while (!done()) await new Promise((go) => setTimeout(go, 10)); };
  await until(() => frame > 30);
  const before = given;
  worker.postMessage({ took: true });
  await until(() => given > before);
  worker.terminate();
  return [before, given];
})()"""


def test_frames_go_up_when_the_last_ones_mask_is_here_or_about_to_be_and_no_more_than_are_taken(browser):
    with serving("browser:") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.hello")
        assert tab.do(PACE) == [True, False, True, False, True, False, True, True]
        usual, slower = tab.do(SLOWER)
        assert usual >= 28
        assert slower <= 11  # one for each answer, and not all that then wait for it
        assert tab.do(STARTING) == [1120, None, None, None, 1142, 1175]
        assert tab.do(UNTAKEN) == [3, 4]
        tab.close()


def test_what_the_page_shows_of_its_own_is_new_or_said_to_be_old(browser, tmp_path):
    (tmp_path / "clip.mp4").write_text("no clip")
    with serving("browser:") as address:
        tab = browser.open(address)
        tab.until("window.gazecast?.state.hello")
        tab.choose_file("#file", tmp_path / "clip.mp4")
        tab.until("document.getElementById('start-note').textContent.startsWith('This browser cannot play clip.mp4')")
        tab.click("#start-camera")
        tab.until("gazecast.state.view && !document.getElementById('start-note').textContent")
        assert not tab.do("document.getElementById('stage').classList.contains('still')")
        tab.do("void (gazecast.local.worker.onmessage = null)")  # as a camera that another program has taken
        tab.until("document.getElementById('stage').classList.contains('still')")
        tab.until("document.getElementById('warning').textContent.startsWith('No new picture')")
        tab.do("void gazecast.local.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
        tab.until("document.getElementById('notice').textContent.startsWith('The camera has gone')")
        tab.until("!gazecast.local.running && !document.getElementById('start').hidden")
        tab.close()
