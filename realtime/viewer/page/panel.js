// Shows the run's state, the controls and the latencies around the picture, and handles buttons and keys.

import { stateColour } from "./canvas.js";
import { computePercentiles, drawLatencyChart, formatPercentiles } from "./latency_chart.js";
import { hideOldNotice, showNotice } from "./notice.js";

const $ = (id) => document.getElementById(id);

const KEYS = { p: "part", w: "whole", h: "hold", c: "clear", s: "snapshot", r: "record" };
const MODES = {
  exact: "Each mask on the frame it was computed for: exact, with a little more delay.",
  compensated: "The newest frame; the mask is moved by the motion of its object.",
  delayed: "The newest frame under an older mask that is not moved, for comparison.",
};

/** Shows the state of the connection, the run and the buttons; called after each change. */
export function refresh(parts) {
  const { state, stage, localVideo, pointer } = parts;
  const { hello, health, source, isOpen } = state;
  const isPageSource = Boolean(hello?.page_frames);
  const isIdle = isOpen && isPageSource && !source.active; // waits for the user to start a source
  showState(state, isIdle);
  $("sources").hidden = !isPageSource || !isOpen;
  $("camera").textContent = localVideo.isRunning ? "Stop" : "Camera";
  $("start").hidden = !(isIdle && !localVideo.isRunning);
  $("modes").hidden = !localVideo.isRunning;
  $("mode-description").textContent = MODES[state.mode];
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-checked", String(button.dataset.mode === state.mode));
  }
  for (const button of document.querySelectorAll("[data-verb]")) {
    const isEnabled = isOpen && (hello?.verbs ?? []).includes(button.dataset.verb);
    button.disabled = !isEnabled;
    button.title = isEnabled ? "" : "not available in this run";
    if ("toggle" in button.dataset) button.setAttribute("aria-pressed", String(state.toggles[button.dataset.verb]));
  }
  pointer.isEnabled = Boolean(isOpen && hello?.page_gaze && (!isPageSource || localVideo.isRunning));
  stage.element.classList.toggle("pointer-active", pointer.isEnabled);
  if (health) showHealth(health);
}

function showState({ isOpen, hello, health }, isIdle) {
  const pill = $("state");
  pill.dataset.state = hello && !isOpen ? "disconnected" : isIdle ? "ready" : health?.state ?? "connecting";
  pill.textContent = pill.dataset.state;
  $("reason").textContent = (isOpen && !isIdle && health?.reason) || "";
  $("reason").title = $("reason").textContent;
}

function showHealth(health) {
  const formatRate = (name, digits = 0) => (health.rates[name] ?? 0).toFixed(digits);
  $("rate-frames").textContent = formatRate("frames");
  $("rate-gaze").textContent = formatRate("gaze");
  $("rate-masks").textContent = formatRate("masks");
  $("rate-keyframes").textContent = formatRate("keyframes", 1);
  const dropped = Object.entries(health.dropped);
  const lost = dropped.filter(([name]) => name !== "view.skipped"); // frames that a viewer skips are no loss of the run
  $("dropped").textContent = String(lost.reduce((sum, [, count]) => sum + count, 0));
  $("dropped").title = dropped.map(([name, count]) => `${name}: ${count}`).join("\n");
  const { backend, model, precision } = health.engine;
  $("engine").textContent = backend ? `${backend} · ${model} · ${precision}, ${Math.round(health.memory_mib)} MiB · rates in Hz` : "";
}

/** Updates latencies, the card of the shown object and warnings; called a few times a second. */
export function update({ state, stage, view, localVideo, recording, series }) {
  const now = performance.now();
  showLatencies(state.health?.latency_ms, series, now);
  const target = state.latest?.isOld ? null : state.latest?.header.target;
  $("card").hidden = !target;
  if (target) {
    $("card").style.setProperty("--target", stateColour(target.state));
    $("card-object").textContent = target.object ? recording.objects.name(target.object) : "no object yet";
    $("card-state").textContent = target.state;
    $("card-confidence").textContent = target.state === "lost" ? "" : `confidence ${Math.round(100 * target.confidence)} %`;
    $("card-bar").firstElementChild.style.width = `${Math.round(100 * target.confidence)}%`;
  }
  recording.update(target);
  if (stage.view) stage.element.style.setProperty("--aspect", `${stage.view.width} / ${stage.view.height}`);
  const warning = warningText(state, view, localVideo, now);
  $("warning").hidden = !warning;
  $("warning").textContent = warning;
  hideOldNotice(now);
}

function showLatencies(latencies, series, now) {
  const recent = (each) => computePercentiles(each.recent(now, 5000).map(([, value]) => value));
  $("latency-gaze").textContent = formatPercentiles(latencies?.gaze_to_mask ?? recent(series.gaze));
  $("latency-screen").textContent = formatPercentiles(recent(series.screen));
  $("latency-keyframe").textContent = formatPercentiles(latencies?.keyframe_age ?? recent(series.keyframe));
  drawLatencyChart($("chart"), [series.keyframe, series.screen, series.gaze], now);
}

/** Returns the warning to show; empty for none. */
function warningText(state, view, localVideo, now) {
  const latest = state.latest, isPageSource = Boolean(state.hello?.page_frames);
  const since = (ms) => `${Math.round((now - ms) / 1000)} s`;
  if (!state.isOpen) return "Connection lost; reconnecting…";
  if (view.isFrozen && localVideo.newest) return `No new picture for ${since(localVideo.newest.ms)}`;
  if (latest?.isOld && !(isPageSource && !state.source.active)) {
    return `No new ${localVideo.isRunning ? "mask" : "picture"} for ${since(latest.arrivedMs)}`;
  }
  const isStarting = !latest && state.health?.state === "starting" && (localVideo.isRunning || !isPageSource);
  return isStarting ? "Starting the engine…" : "";
}

/** Binds buttons and keys, once. handlers: {onCamera(), onClip(file), onCommand(verb), onMode(name)}. */
export function bindControls({ state, localVideo, recording }, handlers) {
  $("camera").onclick = $("start-camera").onclick = handlers.onCamera;
  $("clip").onclick = $("start-clip").onclick = () => $("file").click();
  $("file").onchange = () => {
    const [file] = $("file").files;
    if (file) handlers.onClip(file);
    $("file").value = "";
  };
  const press = (verb) => {
    if (!document.querySelector(`[data-verb="${verb}"]`)?.disabled) handlers.onCommand(verb);
  };
  for (const button of document.querySelectorAll("[data-verb]")) button.onclick = () => press(button.dataset.verb);
  for (const button of document.querySelectorAll("[data-mode]")) button.onclick = () => handlers.onMode(button.dataset.mode);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.matches("input")) return;
    const key = event.key.toLowerCase();
    if (recording.onKey(key)) event.preventDefault();
    else if (KEYS[key]) press(KEYS[key]);
    else if (key === "m" && localVideo.isRunning) {
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
  if (text) showNotice(text);
}
