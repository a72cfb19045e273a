// The page of a recording: plays its frames with their recorded masks; its objects are named, kept and dropped.

import { drawGaze, drawMask } from "./canvas.js";
import { CorrectionPanel } from "./correction_panel.js";
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
  spans: [], objects: [], corrected: [], anchors: [], confirmed: [], // of timeline.json
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
const correction = new CorrectionPanel({ state, connection, player, stage, objects }, { onSelect: select, onChange: refresh });

function refresh() {
  panel.refresh({ state, player, objects, edits: correction.edits });
  correction.refresh();
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
    correction.edits.undo = message.undo;
    timeline.invalidate();
    if (state.timeline.frames) fetchTimeline(); // what is dropped needs no answer
  } else if (message.t === "notice") showNotice(message.text);
  else if (message.t === "refused") showNotice(message.reason);
  else if (correction.onMessage(message) === "edits" && state.timeline.frames) fetchTimeline();
  player.isChanged = true;
  refresh();
}

let newestFetch = null;
async function fetchTimeline() {
  const thisFetch = newestFetch = {};
  try {
    const response = await fetch(resourceUrl("timeline.json"));
    if (!response.ok || newestFetch !== thisFetch) return;
    const { tasks, ...content } = await response.json();
    Object.assign(state, content);
    correction.tasks = tasks;
  } catch {
    return; // the connection is lost, which is shown elsewhere; it is fetched again after the reconnection
  }
  objects.setObjects(state.objects.map((each) => {
    const counts = `${panel.formatCount(each.masks, "mask")} · ${panel.formatCount(each.visits, "visit")}`;
    const corrected = each.corrected ? ` · ${each.corrected} corrected` : "";
    return { ...each, details: `${each.seconds.toFixed(1)} s · ${counts}${corrected}` };
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
      corrected: state.corrected, anchors: state.anchors, confirmed: state.confirmed,
    });
    $("time").textContent = formatTime(player.positionMs);
    $("length").textContent = `of ${formatTime(lengthMs)}`;
  }
  if (player.shown) drawShown(player.shown);
}

function drawShown({ header, path, bitmap }) {
  const { target, corrected } = header, context = stage.overlayContext, pixel = () => stage.framePixelSize();
  stage.clearOverlay();
  stage.placeFrame(bitmap.width, bitmap.height);
  stage.element.style.setProperty("--aspect", `${bitmap.width} / ${bitmap.height}`);
  stage.drawFrame(bitmap);
  const isKept = (target || corrected) && objects.label(corrected?.object ?? target.object).keep;
  if (path && isKept) {
    context.globalAlpha = corrected || header.own_mask ? 1 : 0.45; // the run skipped this frame: the mask is of the one before
    drawMask(context, path, corrected ? { state: "corrected" } : target, pixel());
    context.globalAlpha = 1;
  }
  if (target) drawGaze(context, [[target.gaze[0], target.gaze[1], 0]], target.gaze[2], pixel());
  correction.tool.draw(context, corrected, pixel());
}

// -- controls ----------------------------------------------------------------------------------------------------------

function select(object) {
  state.selected = object;
  player.object = object ?? 0;
  redraw();
}

/** Calls change(object) for the selected object, or else the one in the picture; says so where there is none. */
function withObject(change) {
  const object = state.selected ?? correction.target();
  if (object) change(object);
  else showNotice("No object is selected, and none is in the picture.");
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
  u: (event) => (event.shiftKey ? correction.redo() : correction.undo()),
  ",": () => player.step(-1), ".": () => player.step(1),
  "?": openHelp,
  Escape: () => select(null),
  1: () => player.setSpeed(1), 2: () => player.setSpeed(2), 4: () => player.setSpeed(4),
};

addEventListener("keydown", (event) => {
  if (event.altKey || event.defaultPrevented || isHelpOpen() || event.target.matches("input")) return;
  const isControl = event.ctrlKey || event.metaKey, letter = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (isControl && letter !== "z" && letter !== "y") return;
  const key = !isControl ? letter : letter === "y" ? "z" : "u"; // Ctrl-Y is redo, Ctrl-Z undo
  if (player.isOpen && !(event.repeat && !key.startsWith("Arrow")) && !isButtonKey(event, key) && correction.onKey(key, event)) {
    return event.preventDefault();
  }
  if (!KEYS[key] || (event.repeat && !key.startsWith("Arrow"))) return;
  if (isButtonKey(event, key)) return;
  event.preventDefault();
  if (!player.isOpen && key !== "?") return showNotice("Not connected; gazecast has stopped or cannot be reached.");
  KEYS[key](event);
});

/** Returns whether the key presses the focused button. */
function isButtonKey(event, key) {
  return (key === " " || key === "Enter") && event.target.matches("button");
}

$("play").onclick = KEYS[" "];
$("back").onclick = () => player.step(-1);
$("next").onclick = () => player.step(1);
$("undo").onclick = () => correction.undo();
bindRadioGroup([...document.querySelectorAll("[data-speed]")], (button) => player.setSpeed(Number(button.dataset.speed)));
onThemeChange(redraw);
panel.showLegend();

window.gazecast = { state, stage, connection, player, objects, correction }; // for tests

refresh();
requestAnimationFrame(draw);
