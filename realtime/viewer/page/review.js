// The page of a recording: plays its frames with their recorded masks; its objects are named, kept and dropped.

import { drawGaze, drawMask } from "./canvas.js";
import { Connection, resourceUrl } from "./connection.js";
import { isHelpOpen, openHelp } from "./help.js";
import { hideOldNotice, showNotice } from "./notice.js";
import { ObjectList } from "./object_list.js";
import { Player } from "./player.js";
import { bindRadioGroup } from "./radio_group.js";
import * as panel from "./review_panel.js";
import { Stage } from "./stage.js";
import { onThemeChange } from "./theme.js";
import { Timeline, formatTime } from "./timeline.js";

const $ = (id) => document.getElementById(id);

const state = {
  hello: null, // the recording's metadata
  timeline: { share: 0, length_ms: 0, read_ms: 0, frames: 0, damaged: 0, error: "" }, // the last message of this kind
  spans: [], objects: [], // of timeline.json
  undo: 0, // label changes that can be undone
  selected: null, // number of the selected object
};

const connection = new Connection({
  onOpen() { player.onOpen(); refresh(); },
  onClose() { player.onClose(); refresh(); },
  onText,
  onFrame: (...message) => player.onFrame(...message),
});
connection.kind = null; // the player requests each frame
const player = new Player(connection, { onChange: refresh, onError: showNotice });
const stage = new Stage($("stage"), $("picture"), $("overlay"));
const timeline = new Timeline($("timeline"), (ms) => { player.pause(); player.seek(ms); });
const objects = new ObjectList($("objects"), $("names"), {
  onSelect(object) { select(object.object); player.pause(); player.request({ n: object.best_n }); },
  onLabel(object, text, keep) { connection.send({ t: "label", object, text, keep }); },
}, ({ object, version }) => resourceUrl("thumbnail.jpg", { object, version }));

function refresh() {
  panel.refresh({ state, player, objects });
}

/** Draws everything anew, because the content has changed. */
function redraw() {
  timeline.invalidate();
  player.isChanged = true;
  refresh();
}

// -- messages of the server --------------------------------------------------------------------------------------------

function onText(message) {
  if (message.t === "hello") state.hello = message;
  else if (message.t === "timeline") {
    state.timeline = message;
    player.setLength(message.frames, message.length_ms);
    if (message.frames) fetchTimeline();
  } else if (message.t === "labels") {
    objects.setLabels(message.labels);
    state.undo = message.undo;
    timeline.invalidate();
  } else if (message.t === "notice") showNotice(message.text);
  else if (message.t === "refused") showNotice(message.reason);
  player.isChanged = true;
  refresh();
}

let newestFetch = null;
async function fetchTimeline() {
  const thisFetch = newestFetch = {};
  try {
    const response = await fetch(resourceUrl("timeline.json"));
    if (!response.ok || newestFetch !== thisFetch) return;
    Object.assign(state, await response.json());
  } catch {
    return; // the connection is lost, which is shown elsewhere; it is fetched again after the reconnection
  }
  objects.setObjects(state.objects.map((each) => {
    const counts = `${panel.formatCount(each.masks, "mask")} · ${panel.formatCount(each.visits, "visit")}`;
    return { ...each, details: `${each.seconds.toFixed(1)} s · ${counts}` };
  }));
  if (!player.shown) player.request({ ms: player.positionMs });
  redraw();
}

// -- drawing -----------------------------------------------------------------------------------------------------------

function draw(now) {
  requestAnimationFrame(draw);
  player.advance(now);
  hideOldNotice(now);
  if (stage.resize()) {
    timeline.invalidate();
    player.isChanged = true;
  }
  if (!player.isChanged) return;
  player.isChanged = false;
  if (state.hello) {
    const { length_ms: lengthMs, read_ms: readMs } = state.timeline;
    timeline.draw({
      spans: state.spans, states: state.hello.states, lengthMs, positionMs: player.positionMs, readMs,
      isKept: (object) => objects.label(object).keep, selected: state.selected,
    });
    $("time").textContent = formatTime(player.positionMs);
    $("length").textContent = `of ${formatTime(lengthMs)}`;
  }
  if (player.shown) drawShown(player.shown);
}

function drawShown({ header, path, bitmap }) {
  const target = header.target, context = stage.overlayContext;
  stage.clearOverlay();
  stage.placeFrame(bitmap.width, bitmap.height);
  stage.element.style.setProperty("--aspect", `${bitmap.width} / ${bitmap.height}`);
  stage.drawFrame(bitmap);
  const isKept = target && objects.label(target.object).keep;
  if (path && isKept) {
    context.globalAlpha = header.own_mask ? 1 : 0.45; // the run skipped this frame: the mask is that of the one before
    drawMask(context, path, target, stage.framePixelSize());
    context.globalAlpha = 1;
  }
  if (target) drawGaze(context, [[target.gaze[0], target.gaze[1], 0]], target.gaze[2], stage.framePixelSize());
}

// -- controls ----------------------------------------------------------------------------------------------------------

function select(object) {
  state.selected = object;
  redraw();
}

/** Calls change(object) for the selected object, or else the one in the picture; says so where there is none. */
function withObject(change) {
  const target = player.shown?.header.target;
  const object = state.selected ?? (target?.state === "lost" ? null : target?.object);
  if (object) change(object);
  else showNotice("No object is selected, and none is in the picture.");
}

function undo() {
  if (state.undo) connection.send({ t: "undo" });
  else showNotice("There is no change to undo.");
}

const KEYS = {
  " ": () => (player.isPlaying ? player.pause() : player.play()),
  ArrowLeft: (event) => player.step(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => player.step(event.shiftKey ? 10 : 1),
  ArrowUp: () => objects.selectBeside(state.selected, -1),
  ArrowDown: () => objects.selectBeside(state.selected, 1),
  Home: () => { player.pause(); player.seek(0); },
  End: () => { player.pause(); player.seek(state.timeline.length_ms); },
  n: () => withObject((object) => objects.editName(object)),
  k: () => withObject((object) => objects.toggleKeep(object)),
  u: undo,
  "?": openHelp,
  Escape: () => select(null),
  1: () => player.setSpeed(1), 2: () => player.setSpeed(2), 4: () => player.setSpeed(4),
};

addEventListener("keydown", (event) => {
  if (event.altKey || event.defaultPrevented || isHelpOpen() || event.target.matches("input")) return;
  const isUndo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if ((event.ctrlKey || event.metaKey) && !isUndo) return;
  const key = isUndo ? "u" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!KEYS[key] || (event.repeat && !key.startsWith("Arrow"))) return;
  if (key === " " && event.target.matches("button")) return; // it presses that button
  event.preventDefault();
  if (!player.isOpen && key !== "?") return showNotice("Not connected; gazecast has stopped or cannot be reached.");
  KEYS[key](event);
});
$("play").onclick = KEYS[" "];
$("back").onclick = () => player.step(-1);
$("next").onclick = () => player.step(1);
$("undo").onclick = undo;
bindRadioGroup([...document.querySelectorAll("[data-speed]")], (button) => player.setSpeed(Number(button.dataset.speed)));
onThemeChange(redraw);
panel.showLegend();

window.gazecast = { state, stage, connection, player, objects }; // for tests

refresh();
requestAnimationFrame(draw);
