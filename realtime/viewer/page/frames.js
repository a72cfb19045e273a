// A worker: one frame of the camera or clip becomes a picture to draw, a grey pyramid to measure motion on, and, when
// it is its turn, a JPEG to send up. Off the page's own thread, which has the screen to serve.
//
// It is given frames one by one, {frame, ms, mediaS}, or a camera's {stream} of them to read itself; and {answered: ms}
// or {again: true}, see Pace. It gives {ms, mediaS, picture, levels}, is told that the page {took} it, and gives
// perhaps, after that, {ms, jpeg}. All times are on the page's clock, as {origin} says.

import { WIDTH, pyramid } from "./mask_motion.js";
import { Pace, StreamClock } from "./flow_control.js";

const SHOWN_SIDE = 1280, SENT_SIDE = 854; // the longest side of what is shown and of what is sent, px
const QUALITY = 0.85;
const UNTAKEN = 3; // pictures that wait for a page that is busy; more would only fill memory
const shown = context(false), sent = context(false), small = context(true);
const pace = new Pace();
let origin = performance.timeOrigin; // of the page's clock
let untaken = 0;

function context(read) {
  return new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: read, alpha: false });
}

function draw(to, from, width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  const w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
  if (to.canvas.width !== w || to.canvas.height !== h) Object.assign(to.canvas, { width: w, height: h });
  to.drawImage(from, 0, 0, w, h);
  return to.canvas;
}

function clock() {
  return performance.now() + performance.timeOrigin - origin;
}

onmessage = ({ data }) => {
  if (data.origin) origin = data.origin;
  if (data.stream) read(data.stream);
  else if (data.frame) make(data.frame, data.ms, data.mediaS);
  else if (data.took) untaken--;
  else if (data.again) pace.again();
  else if (data.answered) pace.answered(data.answered, clock());
};

/** Take a camera's frames as they come; those that come meanwhile are passed over by the stream itself. */
async function read(stream) {
  const reader = stream.getReader(), times = new StreamClock();
  for (;;) {
    const { value: frame, done } = await reader.read();
    if (done) return;
    const ms = times.here(frame.timestamp / 1000, clock());
    if (ms === null || untaken >= UNTAKEN) frame.close();
    else make(frame, ms, null);
  }
}

async function make(frame, ms, mediaS) {
  const picture = draw(shown, frame, frame.displayWidth ?? frame.width, frame.displayHeight ?? frame.height, SHOWN_SIDE);
  frame.close();
  const { width, height } = picture;
  const due = pace.due(clock());
  // before anything is awaited, or the next frame would be in the canvas
  const jpeg = due ? draw(sent, picture, width, height, SENT_SIDE).convertToBlob({ type: "image/jpeg", quality: QUALITY }) : null;
  if (due) pace.sent(ms, clock());
  const w = WIDTH, h = Math.max(8, Math.round((WIDTH * height) / width));
  if (small.canvas.width !== w || small.canvas.height !== h) Object.assign(small.canvas, { width: w, height: h });
  small.drawImage(picture, 0, 0, w, h);
  const levels = pyramid(small.getImageData(0, 0, w, h).data, w, h);
  const bitmap = shown.canvas.transferToImageBitmap();
  untaken++;
  postMessage({ ms, mediaS, picture: bitmap, levels }, [bitmap, ...levels.map(({ grey }) => grey.buffer)]);
  if (jpeg) {
    const bytes = await (await jpeg).arrayBuffer();
    postMessage({ ms, jpeg: bytes }, [bytes]);
  }
}
