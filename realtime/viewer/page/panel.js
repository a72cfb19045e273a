// What stands around the picture: state, buttons, keys, latency. It reads `state` and says what was pressed.

import { rgb } from "./canvas.js";
import { percentiles, plot, said } from "./latency_chart.js";

const NOTICE_MS = 4000;
const $ = (id) => document.getElementById(id);
const stage = $("stage");

const KEYS = { p: "part", w: "whole", h: "hold", c: "clear", s: "snapshot", r: "record" };
const MODES = {
  matched: "Each mask on the frame it was made for: exact, and a little late.",
  carried: "The newest frame, the mask moved along with the thing in it.",
  late: "The newest frame under an older mask that was not moved: what carrying saves.",
};

export function refresh({ state, local, hand }) {
  const { hello, health, source, open } = state;
  const idle = open && hello?.page_frames && !source.active; // nothing is wrong: nobody has begun
  const pill = $("state");
  pill.dataset.state = !open ? "gone" : idle ? "ready" : health?.state ?? "connecting";
  pill.textContent = !open ? "gazecast is not there" : pill.dataset.state;
  $("reason").textContent = (open && !idle && health?.reason) || "";
  $("reason").title = $("reason").textContent;
  const mine = Boolean(hello?.page_frames);
  $("sources").hidden = !mine || !open;
  $("camera").textContent = local.running ? "Stop" : "Camera";
  $("start").hidden = !(open && mine && !local.running && !source.active);
  $("modes").hidden = !local.running;
  $("mode-says").textContent = MODES[state.mode];
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-checked", String(button.dataset.mode === state.mode));
  }
  for (const button of document.querySelectorAll("[data-verb]")) {
    const can = open && (hello?.verbs ?? []).includes(button.dataset.verb);
    button.disabled = !can;
    button.title = can ? "" : "not in this run";
    if ("toggle" in button.dataset) button.setAttribute("aria-pressed", String(state.on[button.dataset.verb]));
  }
  hand.active = Boolean(open && hello?.page_gaze && (!mine || local.running));
  stage.classList.toggle("looking", hand.active);
  if (health) {
    const rate = (name, digits = 0) => (health.rates[name] ?? 0).toFixed(digits);
    $("r-frames").textContent = rate("frames");
    $("r-gaze").textContent = rate("gaze");
    $("r-masks").textContent = rate("masks");
    $("r-keyframes").textContent = rate("keyframes", 1);
    const dropped = Object.entries(health.dropped);
    // what viewers skip is theirs: the loop has lost nothing
    const lost = dropped.filter(([name]) => name !== "view.skipped");
    $("r-dropped").textContent = String(lost.reduce((sum, [, count]) => sum + count, 0));
    $("r-dropped").title = dropped.map(([name, count]) => `${name}: ${count}`).join("\n");
    const { backend, model, precision } = health.engine;
    $("engine").textContent = backend ? `${backend} · ${model} · ${precision}, ${Math.round(health.memory_mib)} MiB · rates in Hz` : "";
  }
}

/** Five times a second: what need not be of this very frame. */
export function slow({ state, local, recording, gazeSeries, screenSeries, keySeries }) {
  const now = performance.now();
  const over5 = (series) => said(percentiles(series.recent(now, 5000).map(([, value]) => value)));
  const gaze = state.health?.latency_ms.gaze_to_mask;
  $("l-gaze").textContent = gaze ? said(gaze) : over5(gazeSeries);
  $("l-screen").textContent = over5(screenSeries);
  $("l-key").textContent = state.health?.latency_ms.keyframe_age ? said(state.health.latency_ms.keyframe_age) : over5(keySeries);
  plot($("plot"), [keySeries, screenSeries, gazeSeries], now);
  const target = state.latest?.old ? null : state.latest?.head.target;
  $("card").hidden = !target;
  if (target) {
    $("card").style.setProperty("--target", rgb(target.state));
    $("card-object").textContent = target.object ? recording.things.name(target.object) : "nothing yet";
    $("card-state").textContent = target.state;
    $("card-sure").textContent = target.state === "lost" ? "" : `${Math.round(100 * target.confidence)} % sure`;
    $("card-bar").firstElementChild.style.width = `${Math.round(100 * target.confidence)}%`;
  }
  recording.tick(target);
  if (state.view) stage.style.setProperty("--aspect", `${state.view.width} / ${state.view.height}`);
  warn(state, local, now);
  if (now > noticeUntil) $("notice").hidden = true;
}

function warn(state, local, now) {
  const latest = state.latest, idle = state.hello?.page_frames && !state.source.active;
  const since = (ms) => `${Math.round((now - ms) / 1000)} s`;
  let text = "";
  if (!state.open) text = "The connection is gone; trying again";
  else if (state.frozen && local.newest) text = `No new picture for ${since(local.newest.ms)}`;
  else if (latest?.old && !idle) text = `No new ${local.running ? "mask" : "picture"} for ${since(latest.arrived)}`;
  else if (!latest && state.health?.state === "starting" && (local.running || !state.hello?.page_frames)) text = "Opening the engine…";
  $("warning").hidden = !text;
  $("warning").textContent = text;
}

let noticeUntil = 0;

/** Say something for some seconds. */
export function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = false;
  noticeUntil = performance.now() + NOTICE_MS;
}

/** Buttons and keys, wired once. handlers: {camera(), clip(file), command(verb), mode(name)}. */
export function wire({ state, local, recording }, handlers) {
  $("camera").onclick = $("start-camera").onclick = handlers.camera;
  $("clip").onclick = $("start-clip").onclick = () => $("file").click();
  $("file").onchange = () => {
    const [file] = $("file").files;
    if (file) handlers.clip(file);
    $("file").value = "";
  };
  const press = (verb) => {
    if (!document.querySelector(`[data-verb="${verb}"]`)?.disabled) handlers.command(verb);
  };
  for (const button of document.querySelectorAll("[data-verb]")) button.onclick = () => press(button.dataset.verb);
  for (const button of document.querySelectorAll("[data-mode]")) button.onclick = () => handlers.mode(button.dataset.mode);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.matches("input")) return;
    const key = event.key.toLowerCase();
    if (recording.key(key)) event.preventDefault();
    else if (KEYS[key]) press(KEYS[key]);
    else if (key === "m" && local.running) {
      const modes = Object.keys(MODES);
      handlers.mode(modes[(modes.indexOf(state.mode) + 1) % modes.length]);
    }
  });
}

const SORRY = {
  NotAllowedError: () => "The browser was not allowed to use the camera; allow it beside the address.",
  NotFoundError: () => "This device has no camera; plug one in, or choose a clip.",
  NotReadableError: () => "The camera is taken; close what else uses it.",
  NotSupportedError: (what) => `This browser cannot play ${what}; choose an MP4 or WebM video.`,
};

/** Why there is no camera or clip, as `what` is called; null when there is. */
export function sorry(error, what = "") {
  const text = error ? SORRY[error.name]?.(what) ?? error.message : "";
  $("start-note").textContent = text;
  if (text) notice(text);
}
