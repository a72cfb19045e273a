// The live page: connects the server, the page's own camera, the pointer and the controls. Start reading here.

import { createDrawScheduler } from "./animation.js";
import { Connection } from "./connection.js";
import { LiveCorrection } from "./live_correction.js";
import { EyePanel } from "./eye_panel.js";
import { LatencySeries } from "./latency_chart.js";
import { LiveView } from "./live_view.js";
import { LocalVideo } from "./local_video.js";
import { showNotice } from "./notice.js";
import * as panel from "./panel.js";
import { PointerGaze } from "./pointer_gaze.js";
import { RecordingPanel } from "./recording_panel.js";
import { Stage } from "./stage.js";
import { onThemeChange } from "./theme.js";
import { WordPanel } from "./word_panel.js";

const HOLD_TIMEOUT_MS = 1000; // after which the hold button is released if there was nothing to hold
const UPDATE_INTERVAL_MS = 200;
const NO_SOURCE = { yours: false, active: false, label: "" };
const $ = (id) => document.getElementById(id);

const state = {
  isOpen: false, // whether the server is connected
  hello: null, health: null, source: NO_SOURCE, // the last message of each kind
  latest: null, // the newest mask: {header, contours, path, arrivedMs, bitmap, frame, points, isOld}
  shown: null, // {seq, index, age, target} of the last mask on the screen
  confirmedNumber: 0, // of the newest confirmation that was shown
  mode: "compensated", toggles: { hold: false, record: false }, heldMs: 0,
  label: "", // of the page's own camera or clip
};
const series = { gaze: new LatencySeries("--gaze"), screen: new LatencySeries("--screen"), keyframe: new LatencySeries("--keyframe") };
const scheduleDraw = createDrawScheduler((now) => {
  if (view.update(now)) scheduleDraw();
});
const connection = new Connection({ onOpen, onClose, onText, onFrame });
const localVideo = new LocalVideo(connection, { onFrame: redraw, onEnd: onVideoEnd });
const stage = new Stage($("stage"), $("picture"), $("overlay"));
const pointer = new PointerGaze(stage, connection, scheduleDraw);
const recording = new RecordingPanel(connection);
const eyes = new EyePanel(connection, stage);
const word = new WordPanel(connection);
const correction = new LiveCorrection(stage, state, connection, { onToggle: onCorrecting, onChange: redraw });
const view = new LiveView(stage, { state, localVideo, pointer, correction }, { onMaskDrawn });
const parts = { state, stage, view, localVideo, pointer, recording, word, series, correction };

function redraw() {
  view.isChanged = true;
  scheduleDraw();
}

function refresh() {
  panel.refresh(parts);
}

// -- messages of the server --------------------------------------------------------------------------------------------

function onOpen() {
  state.isOpen = true;
  localVideo.announce(state.label);
}

function onClose() {
  // The server announces the source anew, at first that there is none: no reason to stop the camera.
  Object.assign(state, { isOpen: false, latest: null, health: null, source: NO_SOURCE });
  eyes.onClose();
  word.onClose();
  correction.toggle(false);
  redraw();
  refresh();
}

function onText(message) {
  if (message.t === "eyes") {
    eyes.onMessage(message); // with each picture of the eyes: nothing else changes
    return;
  }
  if (message.t === "hello") eyes.onHello(state.hello = message);
  else if (message.t === "verbs") state.hello.verbs = message.verbs;
  else if (message.t === "health") state.health = message;
  else if (message.t === "source") onSource(message);
  else if (message.t === "notice") showNotice(message.text);
  else if (message.t === "word") word.onMessage(message);
  else if (recording.onMessage(message)) state.toggles.record = recording.isOn;
  refresh();
}

function onSource(message) {
  if (state.source.yours && !message.yours && localVideo.isRunning) {
    localVideo.stop();
    showNotice(message.active ? `${message.label} of another page is the source now` : "the source has stopped");
  }
  state.source = message;
}

async function onFrame(header, contours, jpeg) {
  const latest = { header, contours, path: null, arrivedMs: performance.now(), bitmap: null, frame: null, points: null };
  if (jpeg.length) {
    try {
      latest.bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    } catch {
      acknowledge(header.seq); // a picture that cannot be decoded must not be the last
      return;
    }
  } else if (localVideo.isRunning) {
    latest.frame = localVideo.frameAt(header.frame.timestamp * 1000);
    localVideo.onAnswer(header.frame.timestamp * 1000);
  }
  if (!(state.latest && state.latest.header.seq > header.seq)) {
    if (state.latest?.bitmap !== latest.bitmap) state.latest?.bitmap?.close();
    state.latest = latest;
    redraw();
    onTarget(header.target);
  } else latest.bitmap?.close();
  acknowledge(header.seq);
}

function onTarget(target) {
  const now = performance.now();
  if (state.toggles.hold && (target?.state ?? "lost") === "lost" && now - state.heldMs > HOLD_TIMEOUT_MS) {
    state.toggles.hold = false; // a lost object is not held any more
    correction.toggle(false);
    showNotice("Hold has ended: no object is followed.");
    refresh();
  }
  if (!target) return;
  if (target.confirmed && target.confirmed.number !== state.confirmedNumber) {
    state.confirmedNumber = target.confirmed.number;
    showNotice(`Confirmed by ${target.confirmed.by}: ${recording.objects.name(target.object, target.label)}`);
  }
  series.gaze.add(now, target.gaze_to_mask_ms ?? NaN);
  series.keyframe.add(now, target.keyframe_age_ms ?? NaN);
}

// -- acknowledgements --------------------------------------------------------------------------------------------------

let unacknowledged = null;
function acknowledge(seq) {
  if (document.hidden) unacknowledged = seq; // the page is not visible: the server need not send more
  else connection.send({ t: "ack", seq });
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && unacknowledged !== null) acknowledge(unacknowledged);
  unacknowledged = null;
});

// -- screen and controls -----------------------------------------------------------------------------------------------

/** Measures the age of the frame whose mask is on the screen for the first time. */
function onMaskDrawn(mask) {
  const captured = mask.frame?.ms ?? connection.toPageTime(mask.header.frame.captured_ms);
  const age = captured === null ? NaN : performance.now() - captured;
  series.screen.add(performance.now(), age);
  state.shown = { seq: mask.header.seq, index: mask.header.frame.index, age, target: mask.header.target };
}

function onVideoEnd(reason) {
  state.latest = null;
  redraw();
  if (reason) {
    panel.showSourceError(new Error(reason)); // stays, where the source is chosen again
    showNotice(reason);
  }
  refresh();
}

async function startVideo(start, label) {
  try {
    state.label = label;
    await start();
    panel.showSourceError(null);
  } catch (error) {
    panel.showSourceError(error, label);
  }
  refresh();
}

/** Holds the object while it is corrected, whatever the eyes or the pointer do. */
function onCorrecting(isOn) {
  if (isOn) pointer.onLeave();
  if (isOn !== state.toggles.hold) sendCommand("hold");
  refresh();
}

function sendCommand(verb) {
  if (verb === "correct") {
    correction.toggle();
    return;
  }
  const isToggle = verb === "hold" || verb === "record";
  const on = isToggle ? !state.toggles[verb] : true;
  const shown = state.latest?.isOld ? null : state.latest?.header.target;
  const hasObject = (shown?.state ?? "lost") !== "lost";
  // Not another object that the eyes have just come to; the server says why it confirms nothing.
  const object = verb === "confirm" && hasObject && shown.object ? shown.object : null;
  const isSent = connection.send({ t: "command", verb, on, object });
  if (isSent && verb === "hold") [state.toggles.hold, state.heldMs] = [on, performance.now()];
  if (isSent && verb === "clear") state.toggles.hold = false; // of a recording the server reports the state itself
  if (["part", "whole", "next", "previous", "clear"].includes(verb) && !hasObject) showNotice("No object is shown; look at one first.");
  refresh();
}

panel.bindControls(parts, {
  onCamera: () => (localVideo.isRunning ? localVideo.stop() : startVideo(() => localVideo.startCamera(), "camera")),
  onClip: (file) => startVideo(() => localVideo.playClip(file), file.name),
  onCommand: sendCommand,
  onMode(mode) {
    state.mode = mode;
    redraw();
    refresh();
  },
});
onThemeChange(() => panel.update(parts));
addEventListener("pagehide", () => localVideo.stop());

// for tests and benchmarks
window.gazecast = {
  state, stage, connection, localVideo, recording, eyes, word, correction,
  ages: () => series.screen.points.map(([, value]) => value),
  clearAges: () => { series.screen.points.length = 0; },
};

refresh();
setInterval(() => {
  panel.update(parts);
  eyes.sendScreen(state.latest?.header.frame.width ?? 0);
  scheduleDraw(); // a mask may have become old, or the layout may have changed
}, UPDATE_INTERVAL_MS);
scheduleDraw();
