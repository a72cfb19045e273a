// A worker that turns each frame of the camera or clip into a picture to draw, a grey pyramid to measure motion on,
// and, when flow control allows it, a JPEG to send. Off the page's own thread, which draws the screen.
//
// It receives single frames, {frame, ms, mediaS}, or a camera's {stream} of them to read itself; and {answered: ms} or
// {reset: true}, see FlowControl. It posts {ms, mediaS, picture, levels}, which the page acknowledges by {received: true},
// and later, for some frames, {ms, jpeg}; at the start {falsified: true} where the browser alters what is read from a
// canvas. All times are on the page's clock, whose time origin comes as {origin}.

import { isReadbackFalsified } from "./canvas_probe.js";
import { MOTION_WIDTH, buildPyramid } from "./mask_motion.js";
import { FlowControl, StreamClock } from "./flow_control.js";

const SHOWN_SIDE = 1280, SENT_SIDE = 854; // the longest side of the picture that is shown, and of the JPEG, px
const QUALITY = 0.85;
const MAX_UNRECEIVED = 3; // pictures that wait for a busy page; more would only fill memory
const shown = createContext(false), sent = createContext(false), small = createContext(true);
const flow = new FlowControl();
let origin = performance.timeOrigin; // of the page's clock
let unreceived = 0;

function createContext(willReadFrequently) {
  return new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently, alpha: false });
}

/** Draws an image on a canvas of the same shape with a limited longest side, and returns the canvas. */
function drawScaled(context, image, width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  const w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
  if (context.canvas.width !== w || context.canvas.height !== h) Object.assign(context.canvas, { width: w, height: h });
  context.drawImage(image, 0, 0, w, h);
  return context.canvas;
}

function pageTime() {
  return performance.now() + performance.timeOrigin - origin;
}

onmessage = ({ data }) => {
  if (data.origin) {
    origin = data.origin;
    if (isReadbackFalsified()) postMessage({ falsified: true });
  }
  if (data.stream) readStream(data.stream);
  else if (data.frame) processFrame(data.frame, data.ms, data.mediaS);
  else if (data.received) unreceived--;
  else if (data.reset) flow.reset();
  else if (data.answered) flow.onAnswer(data.answered, pageTime());
};

/** Processes a camera's frames as they arrive; the stream itself drops those that arrive meanwhile. */
async function readStream(stream) {
  const reader = stream.getReader(), clock = new StreamClock();
  for (;;) {
    const { value: frame, done } = await reader.read();
    if (done) return;
    const ms = clock.toPageTime(frame.timestamp / 1000, pageTime());
    if (ms === null || unreceived >= MAX_UNRECEIVED) frame.close();
    else processFrame(frame, ms, null);
  }
}

async function processFrame(frame, ms, mediaS) {
  const picture = drawScaled(shown, frame, frame.displayWidth ?? frame.width, frame.displayHeight ?? frame.height, SHOWN_SIDE);
  frame.close();
  const { width, height } = picture;
  const isDue = flow.isDue(pageTime());
  // before anything is awaited, or the next frame would be in the canvas
  const jpeg = isDue ? drawScaled(sent, picture, width, height, SENT_SIDE).convertToBlob({ type: "image/jpeg", quality: QUALITY }) : null;
  if (isDue) flow.onSent(ms, pageTime());
  const w = MOTION_WIDTH, h = Math.max(8, Math.round((MOTION_WIDTH * height) / width));
  if (small.canvas.width !== w || small.canvas.height !== h) Object.assign(small.canvas, { width: w, height: h });
  small.drawImage(picture, 0, 0, w, h);
  const levels = buildPyramid(small.getImageData(0, 0, w, h).data, w, h);
  const bitmap = shown.canvas.transferToImageBitmap();
  unreceived++;
  postMessage({ ms, mediaS, picture: bitmap, levels }, [bitmap, ...levels.map(({ grey }) => grey.buffer)]);
  if (jpeg) {
    const bytes = await (await jpeg).arrayBuffer();
    postMessage({ ms, jpeg: bytes }, [bytes]);
  }
}
