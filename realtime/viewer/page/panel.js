// Shows the run's state, the controls and the latencies around the picture, and handles buttons and keys.

import { stateColour } from "./canvas.js";
import { isHelpOpen, openHelp } from "./help.js";
import { computePercentiles, drawLatencyChart } from "./latency_chart.js";
import { hideOldNotice, showNotice } from "./notice.js";
import { bindRadioGroup, markRadio } from "./radio_group.js";

const $ = (id) => document.getElementById(id);

const modeButtons = [...document.querySelectorAll("[data-mode]")];
const KEYS = {
  y: "confirm", p: "part", w: "whole", a: "next", b: "previous", h: "hold", c: "clear", s: "snapshot", r: "record",
  x: "correct",
};
const MODES = {
  exact: "Each mask on the frame it was computed for: exact, with a little more delay.",
  compensated: "The newest frame; the mask is moved by the motion of its object.",
  delayed: "The newest frame under an older mask that is not moved, for comparison.",
};

/** Shows the state of the connection, the run and the buttons; called after each change. */
export function refresh(parts) {
  const { state, stage, localVideo, pointer, word, correction } = parts;
  const { hello, health, source, isOpen } = state;
  const isPageSource = Boolean(hello?.page_frames);
  const isIdle = isOpen && isPageSource && !source.active; // waits for the user to start a source
  showState(state, isIdle);
  $("sources").hidden = !isPageSource || !isOpen;
  $("camera").textContent = localVideo.isRunning ? "Stop" : "Camera";
  const isWaiting = isIdle && !localVideo.isRunning;
  $("start").hidden = !isWaiting;
  stage.element.classList.toggle("waiting", isWaiting);
  $("modes").hidden = !localVideo.isRunning;
  $("mode-description").textContent = MODES[state.mode];
  markRadio(modeButtons, (button) => button.dataset.mode === state.mode);
  for (const button of document.querySelectorAll("[data-verb]")) {
    const isEnabled = isOpen && (hello?.verbs ?? []).includes(button.dataset.verb);
    button.disabled = !isEnabled;
    button.title = isEnabled ? "" : "not available in this run";
    if ("toggle" in button.dataset) button.setAttribute("aria-pressed", String(state.toggles[button.dataset.verb]));
  }
  word.enable(isOpen && (hello?.verbs ?? []).length > 0);
  const hasPointer = isOpen && hello?.page_gaze && (!isPageSource || localVideo.isRunning);
  pointer.isEnabled = Boolean(hasPointer && !correction.isOn);
  stage.element.classList.toggle("pointer-active", pointer.isEnabled);
  showPreparation(isIdle ? null : health, localVideo.isRunning || !isPageSource);
  if (health) showHealth(health);
}

/** Shows what is being prepared before the first mask, how far it is, and how long it will take. */
function showPreparation(health, hasSource) {
  const isPreparing = health?.state === "preparing" || (health?.state === "starting" && hasSource);
  $("preparing").hidden = !isPreparing;
  if (!isPreparing) return;
  setText("doing", health.doing || "Starting the engine…");
  if (Number.isFinite(health.progress)) $("progress").value = health.progress;
  else $("progress").removeAttribute("value"); // a bar that only says that something goes on
  setText("remaining", Number.isFinite(health.remaining_s) ? `about ${formatDuration(health.remaining_s)} left` : "");
}

function formatDuration(s) {
  return s < 90 ? `${Math.max(1, Math.round(s))} s` : `${Math.round(s / 60)} min`;
}

/** Sets a text if it is new: a screen reader reads it again each time. */
function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function showState({ isOpen, hello, health }, isIdle) {
  const pill = $("state");
  pill.dataset.state = hello && !isOpen ? "disconnected" : isIdle ? "ready" : health?.state ?? "connecting";
  setText("state", pill.dataset.state);
  const isElsewhere = isIdle || health?.state === "idle"; // what to do then is written on the picture
  $("reason").textContent = (isOpen && !isElsewhere && health?.reason) || "";
  $("reason").title = $("reason").textContent;
}

function showHealth(health) {
  const formatRate = (name, digits = 0) => `${(health.rates[name] ?? 0).toFixed(digits)}/s`;
  $("rate-frames").textContent = formatRate("frames");
  $("rate-gaze").textContent = formatRate("gaze");
  $("rate-masks").textContent = formatRate("masks");
  $("rate-keyframes").textContent = formatRate("keyframes", 1);
  const dropped = Object.entries(health.dropped);
  // Frames that a viewer or the search for hands skips are no loss of the run.
  const lost = dropped.filter(([name]) => !["view.skipped", "pinch.frames"].includes(name));
  $("dropped").textContent = String(lost.reduce((sum, [, count]) => sum + count, 0));
  const details = dropped.map(([name, count]) => `${name}: ${count}`);
  $("dropped").title = details.join("\n");
  setText("dropped-details", details.length ? `Now ${details.join(", ")}.` : "");
  const { backend, model, precision, picture_side: side } = health.engine;
  const parts = [backend, model, precision, side && `${side}\u00a0px`, `${Math.round(health.memory_mib)}\u00a0MiB`];
  setText("engine", backend ? parts.filter(Boolean).join(" · ") : "");
}

/** Updates latencies, the card of the shown object and warnings; called a few times a second. */
export function update({ state, stage, view, localVideo, pointer, recording, series, correction }) {
  const now = performance.now();
  showLatencies(state.health?.latency_ms, series, now);
  const isWaiting = !$("start").hidden;
  const target = state.latest?.isOld || isWaiting ? null : state.latest?.header.target;
  $("card").hidden = !target;
  if (target) {
    $("card").style.setProperty("--target", stateColour(target.state));
    $("card-object").textContent = target.object ? recording.objects.name(target.object, target.label) : target.state === "preview" ? "a first guess" : "no object yet";
    $("card-state").textContent = target.prompt === "word" && target.state !== "lost" ? `${target.state}, by the word` : target.state;
    $("card-word").hidden = !(target.word?.score > 0);
    $("card-word").textContent = target.word ? `“${target.word.text}”` : "";
    $("card-confidence").textContent = target.state === "lost" ? "" : `confidence ${Math.round(100 * target.confidence)} %`;
    $("card-confirmed").hidden = !target.confirmed;
    setText("card-confirmed", target.confirmed ? `✓ confirmed by ${target.confirmed.by}` : "");
    $("card-bar").firstElementChild.style.width = `${Math.round(100 * target.confidence)}%`;
  }
  recording.update(target);
  if (stage.view) stage.element.style.setProperty("--aspect", `${stage.view.width} / ${stage.view.height}`);
  const warning = warningText(state, view, localVideo, now);
  const hint = warning || isWaiting || correction.isOn ? "" : hintText(state, pointer);
  $("warning").hidden = !(warning || hint);
  $("warning").classList.toggle("hint", Boolean(hint));
  setText("warning", warning || hint);
  hideOldNotice(now);
}

function showLatencies(latencies, series, now) {
  const recent = (each) => computePercentiles(each.recent(now, 5000).map(([, value]) => value));
  showFigures("latency-gaze", latencies?.gaze_to_mask ?? recent(series.gaze));
  showFigures("latency-screen", recent(series.screen));
  showFigures("latency-keyframe", latencies?.keyframe_age ?? recent(series.keyframe));
  drawLatencyChart($("chart"), [series.keyframe, series.screen, series.gaze], now);
}

function showFigures(id, found) {
  const cells = $(id).querySelectorAll("td");
  ["p50", "p95", "p99"].forEach((name, i) => { cells[i].textContent = found ? String(Math.round(found[name])) : "–"; });
}

/** Returns the warning to show; empty for none. */
function warningText(state, view, localVideo, now) {
  const latest = state.latest, isPageSource = Boolean(state.hello?.page_frames);
  const since = (ms) => { // not a new text each second, which a screen reader would read
    const seconds = Math.round((now - ms) / 1000);
    return `${seconds < 10 ? seconds : 10 * Math.floor(seconds / 10)} s`;
  };
  if (!state.isOpen) return "Connection lost; reconnecting…";
  if (view.isFrozen && localVideo.newest) return `No new picture for ${since(localVideo.newest.ms)}`;
  const isPreparing = ["preparing", "starting"].includes(state.health?.state);
  if (!latest?.isOld || isPreparing || (isPageSource && !state.source.active)) return "";
  return `No new ${localVideo.isRunning ? "mask" : "picture"} for ${since(latest.arrivedMs)}`;
}

/** Returns what the user should do for a mask, where nothing is wrong; empty for nothing. */
function hintText({ health }, pointer) {
  if (health?.state !== "idle") return "";
  if (!pointer.isEnabled) return health.reason;
  return pointer.position ? "" : "Move the mouse or a finger over the picture, or use the arrow keys.";
}

/** Returns why a verb does nothing now. */
function whyUnavailable({ isOpen, health }) {
  if (!isOpen) return "Not connected; gazecast has stopped or cannot be reached.";
  const isStarting = ["starting", "preparing"].includes(health?.state);
  return isStarting ? "That works as soon as the engine is ready." : "That is not available in this run.";
}

function whyArrowsDoNothing({ isOpen, hello }) {
  if (!isOpen) return "Not connected; gazecast has stopped or cannot be reached.";
  return hello?.page_gaze ? "Arrow keys move the gaze as soon as there is a picture." : "The gaze of this run does not come from this page.";
}

/** Binds buttons and keys, once. handlers: {onCamera(), onClip(file), onCommand(verb), onMode(name)}. */
export function bindControls({ state, localVideo, pointer, recording, word, correction }, handlers) {
  $("camera").onclick = $("start-camera").onclick = handlers.onCamera;
  $("clip").onclick = $("start-clip").onclick = () => $("file").click();
  $("file").onchange = () => {
    const [file] = $("file").files;
    if (file) handlers.onClip(file);
    $("file").value = "";
  };
  const press = (verb) => {
    if (document.querySelector(`[data-verb="${verb}"]`).disabled) showNotice(whyUnavailable(state));
    else handlers.onCommand(verb);
  };
  for (const button of document.querySelectorAll("[data-verb]")) button.onclick = () => press(button.dataset.verb);
  bindRadioGroup(modeButtons, (button) => handlers.onMode(button.dataset.mode));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (isHelpOpen() || event.target.matches("input")) return;
    if (correction.onKey(event) || pointer.onKeyDown(event)) event.preventDefault();
    if (event.repeat || event.defaultPrevented) return;
    const key = event.key.toLowerCase();
    if (recording.onKey(key) || word.onKey(key)) event.preventDefault();
    else if (key === "?") openHelp();
    else if (KEYS[key]) press(KEYS[key]);
    else if (key.startsWith("arrow")) showNotice(whyArrowsDoNothing(state));
    else if (key === "m" && !localVideo.isRunning) showNotice("M is for this page's own camera or clip; none is running.");
    else if (key === "m") {
      const modes = Object.keys(MODES);
      handlers.onMode(modes[(modes.indexOf(state.mode) + 1) % modes.length]);
    }
  });
}

const SOURCE_ERRORS = {
  NotAllowedError: () => "The browser blocks the camera; allow it in the address bar.",
  NotFoundError: () => "This device has no camera; connect one, or choose a clip.",
  NotReadableError: () => "The camera is in use; close the other program that uses it.",
  NotSupportedError: (label) => `This browser cannot play ${label}; choose an MP4 or WebM video.`,
};

/** Shows why a camera or clip cannot be used; null clears the text. label: of the camera or clip. */
export function showSourceError(error, label = "") {
  const text = error ? SOURCE_ERRORS[error.name]?.(label) ?? error.message : "";
  $("start-note").textContent = text;
  if (text && $("start").hidden) showNotice(text);
}
