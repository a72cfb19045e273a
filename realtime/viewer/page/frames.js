// A worker: one frame of the camera or clip becomes a picture to draw, a grey pyramid to measure motion on, and, when
// one is wanted, a JPEG to send up. Off the page's own thread, which has the screen to serve.

import { WIDTH, pyramid } from "./carry.js";

const SHOWN_SIDE = 1280, SENT_SIDE = 854; // the longest side of what is shown and of what is sent, px
const QUALITY = 0.85;
const shown = context(false), sent = context(false), small = context(true);

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

onmessage = async ({ data: { frame, id, width, height, encode } }) => {
  const picture = draw(shown, frame, width, height, SHOWN_SIDE);
  frame.close();
  const work = draw(sent, picture, picture.width, picture.height, SENT_SIDE);
  const w = WIDTH, h = Math.max(8, Math.round((WIDTH * height) / width));
  if (small.canvas.width !== w || small.canvas.height !== h) Object.assign(small.canvas, { width: w, height: h });
  small.drawImage(work, 0, 0, w, h);
  const levels = pyramid(small.getImageData(0, 0, w, h).data, w, h);
  // before anything is awaited, or the next frame would be in the canvas
  const jpeg = encode ? work.convertToBlob({ type: "image/jpeg", quality: QUALITY }) : null;
  const bitmap = shown.canvas.transferToImageBitmap();
  postMessage({ id, picture: bitmap, levels }, [bitmap, ...levels.map(({ grey }) => grey.buffer)]);
  if (jpeg) {
    const bytes = await (await jpeg).arrayBuffer();
    postMessage({ id, jpeg: bytes }, [bytes]);
  }
};
