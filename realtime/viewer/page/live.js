// The page: what comes is drawn, what the hand does is sent. Read this first.

import { WIDTH, follow } from "./mask_motion.js";
import { Hand } from "./pointer_gaze.js";
import { Link } from "./connection.js";
import { LocalVideo } from "./local_video.js";
import * as panel from "./panel.js";
import { Recording } from "./recording.js";
import { drawGaze, drawMask, fit, maskPath } from "./canvas.js";
import { withNextFrame } from "./animation.js";
import { Series } from "./latency_chart.js";

const HELD_MS = 1000; // by when what is on show is held, if there was something to hold
const TRAIL_EVERY_MS = 30; // a trail that fades while nothing else happens needs no more
const OLD_MS = 700; // a mask older than this is not shown, a picture older than this is greyed
const NOBODY = { yours: false, active: false, label: "" };
const $ = (id) => document.getElementById(id);
const stage = $("stage"), picture = $("picture"), overlay = $("overlay");
const under = picture.getContext("2d", { alpha: false }), over = overlay.getContext("2d");
const gazeSeries = new Series("#3cc8ff"), screenSeries = new Series("#e69f00"), keySeries = new Series("#7fd1a0");

const state = {
  hello: null, health: null, source: NOBODY, open: false,
  latest: null, // {head, outlines, path, arrived, bitmap, frame, points}: the newest from the server
  mode: "carried", drawnSeq: -1, drawn: 0, drawnMs: -1e9, dirty: true,
  view: null, image: null, on: { hold: false, record: false },
  heldSince: 0, frozen: false, // the page's own camera or clip gives nothing new
  shown: null, carry: null, pace: [0, 0], label: "",
};

const wake = withNextFrame(draw); // to look whether there is something to draw
const link = new Link({
  open() { state.open = true; local.announce(state.label); },
  gone() {
    // Whose frames come is said anew, and first that they are nobody's: no reason to stop the camera.
    Object.assign(state, { open: false, latest: null, health: null, source: NOBODY });
    redraw();
    refresh();
  },
  text: hear,
  picture: receive,
});
const local = new LocalVideo(link, {
  frame: redraw,
  ended(why) { state.latest = null; redraw(); if (why) panel.notice(why); refresh(); },
});
const hand = new Hand(stage, link, locate, wake);
const recording = new Recording(link, panel.notice);

// -- what the server says ----------------------------------------------------------------------------------------------

function hear(message) {
  if (message.t === "hello") state.hello = message;
  else if (message.t === "verbs") state.hello.verbs = message.verbs;
  else if (message.t === "health") state.health = message;
  else if (message.t === "source") {
    if (state.source.yours && !message.yours && local.running) {
      local.stop();
      panel.notice(message.active ? `${message.label} of another page is the source now` : "the source has stopped");
    }
    state.source = message;
  } else if (recording.hear(message)) state.on.record = recording.on;
  else if (message.t === "notice") panel.notice(message.text);
  refresh();
}

async function receive(head, outlines, jpeg) {
  const latest = { head, outlines, path: null, arrived: performance.now(), bitmap: null, frame: null, points: null };
  if (jpeg.length) {
    try {
      latest.bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    } catch {
      ack(head.seq); // a picture that cannot be decoded must not be the last
      return;
    }
  } else if (local.running) {
    latest.frame = local.at(head.frame.timestamp * 1000);
    local.answered(head.frame.timestamp * 1000);
  }
  if (!(state.latest && state.latest.head.seq > head.seq)) {
    if (state.latest?.bitmap !== latest.bitmap) state.latest?.bitmap?.close();
    state.latest = latest;
    redraw();
    measure(latest);
  } else latest.bitmap?.close();
  ack(head.seq);
}

let unacknowledged = null;
function ack(seq) {
  if (document.hidden) unacknowledged = seq; // nobody looks: let the server rest
  else link.say({ t: "ack", seq });
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && unacknowledged !== null) ack(unacknowledged);
  unacknowledged = null;
});

function measure({ head }) {
  const now = performance.now(), target = head.target;
  if (state.on.hold && (target?.state ?? "lost") === "lost" && now - state.heldSince > HELD_MS) {
    state.on.hold = false; // what is lost is let go
    refresh();
  }
  if (!target) return;
  gazeSeries.add(now, target.gaze_to_mask_ms ?? NaN);
  keySeries.add(now, target.keyframe_age_ms ?? NaN);
}

// -- drawing -----------------------------------------------------------------------------------------------------------

/** Have what is new drawn with the screen's next frame. */
function redraw() {
  state.dirty = true;
  wake();
}

function draw(now) {
  hand.tick(now);
  const stirred = hand.stirred(now);
  if (hand.rests || stirred) wake();
  if (fitCanvases()) state.dirty = true;
  const aged = state.latest && !state.latest.old && now - state.latest.arrived > OLD_MS;
  if (aged) state.latest.old = state.dirty = true;
  const frozen = Boolean(local.running && local.newest && now - local.newest.ms > OLD_MS);
  if (frozen !== state.frozen) [state.frozen, state.dirty] = [frozen, true];
  if (!state.dirty && !(stirred && now - state.drawnMs > TRAIL_EVERY_MS)) return;
  state.dirty = false;
  state.drawnMs = now;
  const base = choose();
  stage.classList.toggle("still", !base || (local.running ? frozen : Boolean(state.latest?.old)));
  over.setTransform(1, 0, 0, 1, 0, 0);
  over.clearRect(0, 0, overlay.width, overlay.height);
  if (!base) {
    under.fillRect(0, 0, picture.width, picture.height);
    state.view = state.image = null;
    return;
  }
  const { width, height } = base.image;
  state.view = { ...fit(picture, width, height), width, height };
  const { scale, x, y } = state.view;
  if (state.image !== base.image) { // the gaze alone may have moved
    state.image = base.image;
    under.fillRect(0, 0, picture.width, picture.height);
    under.drawImage(base.image, x, y, width * scale, height * scale);
  }
  over.setTransform(scale, 0, 0, scale, x, y);
  if (base.mask && !base.hidden) drawTarget(base.mask, base);
  drawEyes(base, now);
  if (base.mask && base.mask.head.seq !== state.drawnSeq) countDrawn(base.mask);
}

/** The picture to show and the mask on it: {image, mask, move, hidden}; null when there is nothing. */
function choose() {
  const latest = state.latest && !state.latest.old ? state.latest : null;
  if (!local.running) {
    const image = state.latest?.bitmap;
    return image ? { image, mask: latest, move: null } : null;
  }
  const newest = local.newest;
  if (!newest) return null;
  if (!latest?.frame || !local.frames.includes(latest.frame)) return { image: newest.picture, mask: null, move: null };
  if (state.mode === "matched") return { image: latest.frame.picture, mask: latest, move: null };
  const moved = state.mode === "carried" && latest.frame !== newest && latest.outlines.length > 0;
  const move = moved ? carried(latest, newest) : null;
  // A mask that cannot be carried would be in the wrong place.
  return { image: newest.picture, mask: latest, move, hidden: moved && move === null };
}

/** How the mask moved from its frame to the newest one, in pixels of the frame; null where that is not known. */
function carried(latest, newest) {
  if (state.carry?.from === latest && state.carry.to === newest) return state.carry.move;
  latest.points ??= inside(latest);
  const ms = newest.ms - latest.frame.ms, pace = state.pace;
  const found = follow(latest.frame.levels, newest.levels, latest.points, [pace[0] * ms, pace[1] * ms]);
  let move = null;
  state.pace = found ? [found.x / ms, found.y / ms] : [0, 0];
  if (found) {
    const k = newest.picture.width / WIDTH;
    move = { ...found, cx: (found.cx + 0.5) * k, cy: (found.cy + 0.5) * k, x: found.x * k, y: found.y * k };
  }
  state.carry = { from: latest, to: newest, move };
  return move;
}

const small = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

/** The mask's pixels on the small picture that motion is measured on: [x, y, ...]. */
function inside(latest) {
  const { width, height } = latest.frame.levels[0];
  if (small.canvas.width !== width || small.canvas.height !== height) Object.assign(small.canvas, { width, height });
  small.setTransform(1, 0, 0, 1, 0, 0);
  small.clearRect(0, 0, width, height);
  small.setTransform(width / latest.head.frame.width, 0, 0, height / latest.head.frame.height, 0, 0);
  latest.path ??= maskPath(latest.outlines);
  small.fill(latest.path, "evenodd");
  const alpha = small.getImageData(0, 0, width, height).data, points = [];
  for (let i = 0; i < width * height; i++) if (alpha[4 * i + 3] > 127) points.push(i % width, (i / width) | 0);
  return points;
}

function drawTarget(mask, base) {
  const target = mask.head.target;
  if (!target || !mask.outlines.length) return;
  mask.path ??= maskPath(mask.outlines);
  over.save();
  if (base.move) {
    const { a, b, x, y, cx, cy } = base.move;
    over.transform(1 + a, b, -b, 1 + a, cx + x - (1 + a) * cx + b * cy, cy + y - b * cx - (1 + a) * cy);
  }
  const k = base.image.width / mask.head.frame.width; // what was sent up may be smaller than what is shown
  over.scale(k, k);
  drawMask(over, mask.path, target.state, pixelSize() / k);
  over.restore();
  const own = mask.frame?.picture ?? mask.bitmap;
  if (own) recording.see(mask.head, own, mask.path, mask.outlines);
}

function drawEyes(base, now) {
  const frame = base.mask?.head.frame, target = base.mask?.head.target;
  const k = frame ? base.image.width / frame.width : 1;
  const radius = target ? target.gaze[2] * k : 0;
  const looks = hand.active && hand.place
    ? hand.looksPx(base.image.width, base.image.height, now)
    : (base.mask?.head.gaze_trail ?? []).map(([x, y, age]) => [x * k, y * k, age]);
  drawGaze(over, looks, radius, pixelSize());
}

/** A pixel of the layout, in pixels of the frame. */
function pixelSize() {
  return ratio() / state.view.scale;
}

function ratio() {
  return Math.min(2, devicePixelRatio || 1);
}

function fitCanvases() {
  const width = Math.round(stage.clientWidth * ratio()), height = Math.round(stage.clientHeight * ratio());
  if (picture.width === width && picture.height === height) return false;
  state.image = null;
  for (const canvas of [picture, overlay]) Object.assign(canvas, { width, height });
  return true;
}

/** The mask is on the screen for the first time: how old is the frame that it fits? */
function countDrawn(mask) {
  state.drawnSeq = mask.head.seq;
  state.drawn++;
  const captured = mask.frame?.ms ?? link.here(mask.head.frame.captured_ms);
  const age = captured === null ? NaN : performance.now() - captured;
  screenSeries.add(performance.now(), age);
  state.shown = { seq: mask.head.seq, index: mask.head.frame.index, age, target: mask.head.target };
}

function locate(clientX, clientY) {
  if (!state.view) return null;
  const box = stage.getBoundingClientRect(), { scale, x, y, width, height } = state.view;
  const at = [
    (((clientX - box.left) * picture.width) / box.width - x) / (scale * width),
    (((clientY - box.top) * picture.height) / box.height - y) / (scale * height),
  ];
  return at.every((value) => value >= 0 && value <= 1) ? at : null;
}

// -- what the hand does ------------------------------------------------------------------------------------------------

const parts = { state, local, hand, recording, gazeSeries, screenSeries, keySeries };

function refresh() {
  panel.refresh(parts);
}

async function begin(start, label) {
  try {
    state.label = label;
    await start();
    panel.sorry(null);
  } catch (error) {
    panel.sorry(error, label);
  }
  refresh();
}

panel.wire(parts, {
  camera: () => (local.running ? local.stop() : begin(() => local.camera(), "camera")),
  clip: (file) => begin(() => local.clip(file), file.name),
  command(verb) {
    const toggle = verb === "hold" || verb === "record";
    const on = toggle ? !state.on[verb] : true;
    const said = link.say({ t: "command", verb, on });
    if (said && verb === "hold") [state.on.hold, state.heldSince] = [on, performance.now()]; // a recording says itself
    if (said && verb === "clear") state.on.hold = false;
    refresh();
  },
  mode(name) {
    state.mode = name;
    redraw();
    refresh();
  },
});
addEventListener("pagehide", () => local.stop());

// for measurements from outside
window.gazecast = {
  state, local, link, recording,
  ages: () => screenSeries.points.map(([, value]) => value),
  forget: () => { screenSeries.points.length = 0; },
};

refresh();
setInterval(() => {
  panel.slow(parts);
  wake(); // something may have become old, or have another size
}, 200);
wake();
