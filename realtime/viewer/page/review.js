// The page of a recording: plays its frames with their recorded masks; its objects are named, kept and dropped.

import { clock, Lane } from "./timeline.js";
import { Link } from "./connection.js";
import { drawGaze, drawMask, fit, maskPath, rgb } from "./canvas.js";
import { Things } from "./object_list.js";

const NOTICE_MS = 5000;
const $ = (id) => document.getElementById(id);
const stage = $("stage"), picture = $("picture"), overlay = $("overlay");
const under = picture.getContext("2d", { alpha: false }), over = overlay.getContext("2d");

const state = {
  hello: null, open: false, film: { share: 0, length_ms: 0, read_ms: 0, frames: 0, damaged: 0, error: "" }, spans: [], objects: [], undo: 0,
  shown: null, // {head, path, bitmap}: what is in the picture
  positionMs: 0, playing: false, speed: 1, since: null, // since: {now, ms} of when it began to play
  asked: null, wish: null, // what is in flight, and what is wanted next: {n} or {ms}
  selected: null, view: null, dirty: true,
};

const link = new Link({
  open() { state.open = true; state.asked = null; refresh(); ask(state.wish ?? { ms: state.positionMs }); },
  gone() { state.open = false; pause(); refresh(); },
  text: hear,
  picture: receive,
});
link.kind = null; // it asks for each picture by itself
const lane = new Lane($("lane"), (ms) => { pause(); seek(ms); });
const things = new Things($("things"), $("names"), {
  see(thing) { select(thing.object); pause(); ask({ n: thing.best_n }); },
  say(object, text, keep) { link.say({ t: "label", object, text, keep }); },
}, (thing) => address("thumbnail.jpg", { object: thing.object, version: thing.version }));

// -- what the server says ----------------------------------------------------------------------------------------------

function hear(message) {
  if (message.t === "hello") state.hello = message;
  else if (message.t === "timeline") {
    state.film = message;
    if (message.frames) fetchFilm();
  } else if (message.t === "labels") {
    things.said(message.labels);
    state.undo = message.undo;
    lane.changed();
  } else if (message.t === "notice") notice(message.text);
  else if (message.t === "refused") notice(message.reason);
  state.dirty = true;
  refresh();
}

let fetching = null;
async function fetchFilm() {
  const mine = fetching = {};
  try {
    const answer = await fetch(address("timeline.json"));
    if (!answer.ok || fetching !== mine) return;
    Object.assign(state, await answer.json());
  } catch {
    return; // the connection is gone, which is said elsewhere; it is fetched again when it is back
  }
  lane.changed();
  things.show(state.objects.map((one) => ({
    ...one, says: `${one.seconds.toFixed(1)} s · ${count(one.masks, "mask")} · ${count(one.visits, "visit")}`,
  })));
  if (!state.shown) ask({ ms: state.positionMs });
  state.dirty = true;
  refresh();
}

function count(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function address(path, more = {}) {
  const query = new URLSearchParams({ ...more });
  const token = new URLSearchParams(location.search).get("token");
  if (token) query.set("token", token);
  return `${path}?${query}`;
}

async function receive(head, outlines, jpeg) {
  let bitmap = null;
  if (jpeg.length) {
    try { // turned as the run had it, whatever the camera says of its own orientation
      bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }), { imageOrientation: "none" });
    } catch {
      head.error = `frame ${head.n} has no picture that this browser can decode`;
    }
  }
  state.asked = null;
  if (head.error) {
    notice(head.error);
    pause();
    if (state.shown) state.shown.head.n = head.n; // so that one can step over it
  } else {
    state.shown?.bitmap.close();
    state.shown = { head, path: outlines.length ? maskPath(outlines) : null, bitmap };
    if (!state.playing && !state.wish) state.positionMs = head.ms;
  }
  state.dirty = true;
  link.say({ t: "ack", seq: head.seq });
  if (state.wish) ask(state.wish);
  refresh();
}

// -- playing -----------------------------------------------------------------------------------------------------------

/** Ask for a frame; while one is in flight, the newest wish waits. */
function ask(wish) {
  if (state.asked || !state.open) {
    state.wish = wish;
  } else if (state.film.frames) {
    state.wish = null;
    state.asked = wish;
    link.say({ t: "seek", ...wish });
  }
}

function seek(ms) {
  state.positionMs = Math.min(state.film.length_ms, Math.max(0, ms));
  if (state.playing) state.since = { now: performance.now(), ms: state.positionMs };
  state.dirty = true;
  ask({ ms: state.positionMs });
}

function step(frames) {
  pause();
  const from = state.wish?.n ?? state.asked?.n ?? state.shown?.head.n ?? 0;
  ask({ n: Math.min(state.film.frames - 1, Math.max(0, from + frames)) });
}

function play() {
  if (!state.film.frames || !state.open) return;
  if (state.positionMs >= state.film.length_ms - 1) state.positionMs = 0;
  state.playing = true;
  state.since = { now: performance.now(), ms: state.positionMs };
  refresh();
}

function pause() {
  if (!state.playing) return;
  state.playing = false;
  state.positionMs = state.shown?.head.ms ?? state.positionMs;
  refresh();
}

function go(now) {
  const { since, speed, shown, film } = state;
  state.positionMs = Math.min(film.length_ms, since.ms + (now - since.now) * speed);
  state.dirty = true;
  const due = !shown || state.positionMs >= shown.head.until_ms || state.positionMs < shown.head.ms;
  if (due && !state.asked) ask({ ms: state.positionMs });
  if (state.positionMs >= film.length_ms) {
    state.playing = false;
    refresh();
  }
}

// -- drawing -----------------------------------------------------------------------------------------------------------

function draw(now) {
  requestAnimationFrame(draw);
  if (state.playing) go(now);
  if (now > noticeUntil) $("notice").hidden = true;
  if (fitCanvases()) state.dirty = true;
  if (!state.dirty) return;
  state.dirty = false;
  if (state.hello) {
    lane.draw({
      spans: state.spans, states: state.hello.states, lengthMs: state.film.length_ms, positionMs: state.positionMs,
      readMs: state.film.read_ms, kept: (object) => things.label(object).keep, selected: state.selected,
    });
    $("time").textContent = clock(state.positionMs);
    $("length").textContent = `of ${clock(state.film.length_ms)}`;
  }
  if (state.shown) drawShown(state.shown);
}

function drawShown({ head, path, bitmap }) {
  const { width, height } = bitmap, target = head.target;
  state.view = { ...fit(picture, width, height), width, height };
  stage.style.setProperty("--aspect", `${width} / ${height}`);
  const { scale, x, y } = state.view, pixel = ratio() / scale;
  under.fillRect(0, 0, picture.width, picture.height);
  under.drawImage(bitmap, x, y, width * scale, height * scale);
  over.setTransform(1, 0, 0, 1, 0, 0);
  over.clearRect(0, 0, overlay.width, overlay.height);
  over.setTransform(scale, 0, 0, scale, x, y);
  const kept = target && things.label(target.object).keep;
  if (path && kept) {
    over.globalAlpha = head.own_mask ? 1 : 0.45; // the run passed this frame over: the mask is of the one before
    drawMask(over, path, target.state, pixel);
    over.globalAlpha = 1;
  }
  if (target) drawGaze(over, [[target.gaze[0], target.gaze[1], 0]], target.gaze[2], pixel);
}

function ratio() {
  return Math.min(2, devicePixelRatio || 1);
}

function fitCanvases() {
  const width = Math.round(stage.clientWidth * ratio()), height = Math.round(stage.clientHeight * ratio());
  if (picture.width === width && picture.height === height) return false;
  for (const canvas of [picture, overlay]) Object.assign(canvas, { width, height });
  lane.changed();
  return true;
}

// -- what stands around it ---------------------------------------------------------------------------------------------

function refresh() {
  const { hello, film, open, shown } = state;
  const pill = $("state");
  pill.dataset.state = !open ? "gone" : !hello ? "connecting" : hello.complete && !film.damaged && !film.error ? "recording" : "cut off";
  pill.textContent = !open && hello ? "gazecast is not there" : pill.dataset.state === "cut off" && hello.complete ? "damaged" : pill.dataset.state;
  $("warning").hidden = open || !hello;
  $("warning").textContent = "The connection is gone; trying again";
  if (hello) {
    $("file").textContent = hello.file;
    document.title = `${hello.file} – gazecast`;
    const day = hello.started.slice(0, 19).replace("T", " ");
    $("about").textContent = [hello.source, day, hello.engine].filter(Boolean).join(" · ");
    $("about").title = $("about").textContent;
    const wrong = [];
    if (!hello.complete) wrong.push("This recording was cut off, or is still being written. Everything up to there is here.");
    if (film.damaged) wrong.push(`${count(film.damaged, "piece")} of half a second cannot be read and ${film.damaged === 1 ? "is" : "are"} missing.`);
    if (film.error) wrong.push(`It was read no further: ${film.error}`);
    $("cut").hidden = !wrong.length;
    $("cut").textContent = wrong.join(" ");
  }
  const reading = film.share < 1;
  $("reading").hidden = !reading;
  $("reading").textContent = `reading ${Math.round(100 * film.share)} %`;
  $("play").textContent = state.playing ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  for (const button of document.querySelectorAll("#transport button")) button.disabled = !open || !film.frames;
  for (const button of document.querySelectorAll("[data-speed]")) {
    button.setAttribute("aria-checked", String(Number(button.dataset.speed) === state.speed));
  }
  $("undo").disabled = !open || !state.undo;
  const dropped = state.objects.filter(({ object }) => !things.label(object).keep).length;
  $("count").textContent = state.objects.length ? `${state.objects.length}${dropped ? `, ${dropped} dropped` : ""}` : "";
  $("nothing").hidden = reading || state.objects.length > 0;
  if (shown) $("number").textContent = `frame ${shown.head.n + 1} of ${film.frames}`;
  card(shown?.head);
  things.mark(state.selected, shown?.head.target && shown.head.target.state !== "lost" ? shown.head.target.object : null);
}

function card(head) {
  const target = head?.target;
  $("card").hidden = !target;
  if (!target) return;
  const { keep } = things.label(target.object);
  $("card").style.setProperty("--target", keep ? rgb(target.state) : rgb("lost"));
  $("card-object").textContent = target.object ? things.name(target.object) : "nothing yet";
  $("card-state").textContent = keep ? target.state : "dropped";
  $("card-more").textContent = [
    target.state === "lost" || !keep ? "" : `${Math.round(100 * target.confidence)} % sure`,
    head.own_mask || !keep ? "" : "mask of the frame before",
  ].filter(Boolean).join(" · ");
}

function select(object) {
  state.selected = object;
  lane.changed();
  state.dirty = true;
  refresh();
}

let noticeUntil = 0;
function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = false;
  noticeUntil = performance.now() + NOTICE_MS;
  state.dirty = true;
}

/** The object that keys are about: the chosen one, or else the one on show. */
function current() {
  return state.selected ?? state.shown?.head.target?.object ?? null;
}

const KEYS = {
  " ": () => (state.playing ? pause() : play()),
  ArrowLeft: (event) => step(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => step(event.shiftKey ? 10 : 1),
  ArrowUp: () => beside(-1),
  ArrowDown: () => beside(1),
  Home: () => { pause(); seek(0); },
  End: () => { pause(); seek(state.film.length_ms); },
  n: () => things.ask(current()),
  k: () => things.toggle(current()),
  u: () => link.say({ t: "undo" }),
  Escape: () => select(null),
  1: () => speed(1), 2: () => speed(2), 4: () => speed(4),
};

function beside(by) {
  const object = things.beside(state.selected, by);
  if (object === null) return;
  things.rows.get(object).item.scrollIntoView({ block: "nearest" });
  things.handlers.see(things.rows.get(object).thing);
}

function speed(times) {
  state.speed = times;
  if (state.playing) state.since = { now: performance.now(), ms: state.positionMs };
  refresh();
}

addEventListener("keydown", (event) => {
  if (event.altKey || event.target.matches("input")) return;
  const undo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if ((event.ctrlKey || event.metaKey) && !undo) return;
  const key = undo ? "u" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!KEYS[key] || (event.repeat && !key.startsWith("Arrow"))) return;
  event.preventDefault();
  KEYS[key](event);
});
$("play").onclick = KEYS[" "];
$("back").onclick = () => step(-1);
$("next").onclick = () => step(1);
$("undo").onclick = KEYS.u;
for (const button of document.querySelectorAll("[data-speed]")) button.onclick = () => speed(Number(button.dataset.speed));
for (const name of ["preview", "locked", "held", "lost"]) {
  const item = Object.assign(document.createElement("li"), { textContent: name });
  item.style.setProperty("--swatch", rgb(name));
  $("states").append(item);
}

// for measurements from outside
window.gazecast = { state, link, things, seek };

refresh();
requestAnimationFrame(draw);
