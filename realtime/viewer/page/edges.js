// Draws the mask's edge on black for a see-through display, mapped by the homography of the settings or of the address
// (?homography=a,b,c,d,e,f,g,h,i&size=WxH).

import { Connection } from "./connection.js";
import { createMaskPath, drawEdge } from "./canvas.js";
import { createDrawScheduler } from "./animation.js";

const MAX_AGE_MS = 500;
const canvas = document.getElementById("edges");
const ctx = canvas.getContext("2d", { desynchronized: true });
const query = new URLSearchParams(location.search);
let homography = readNumbers(query.get("homography"), 9), size = readNumbers(query.get("size"), 2);
let newest = null, drawn = null, timeout = 0;

const scheduleDraw = createDrawScheduler(draw);
const connection = new Connection({
  onText(message) {
    if (message.t !== "hello") return;
    homography ??= message.homography;
    if (!size && message.display_size[0]) size = message.display_size;
    scheduleDraw();
  },
  onFrame(header, contours) {
    newest = { header, contours, ms: performance.now() };
    scheduleDraw();
    clearTimeout(timeout);
    timeout = setTimeout(scheduleDraw, MAX_AGE_MS + 20);
    if (!document.hidden) connection.send({ t: "ack", seq: header.seq });
  },
  onOpen() {},
  onClose() { newest = null; scheduleDraw(); },
});
connection.kind = "masks";
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && newest) connection.send({ t: "ack", seq: newest.header.seq });
});

/** Reads numbers separated by commas or x; null unless there are `count`. */
function readNumbers(text, count) {
  const found = text?.split(/[,x]/).map(Number);
  return found?.length === count && found.every(Number.isFinite) ? found : null;
}

/** Maps a contour to the display; null where part of it lies beyond the horizon. */
function mapContour(points) {
  const out = new Float32Array(points.length);
  const sign = Math.sign(homography[8]) || 1;
  for (let i = 0; i < points.length; i += 2) {
    const x = points[i], y = points[i + 1];
    const w = homography[6] * x + homography[7] * y + homography[8];
    if (w * sign <= 1e-9) return null;
    out[i] = (homography[0] * x + homography[1] * y + homography[2]) / w;
    out[i + 1] = (homography[3] * x + homography[4] * y + homography[5]) / w;
  }
  return out;
}

function draw() {
  const now = performance.now();
  const showable = newest && homography && now - newest.ms < MAX_AGE_MS ? newest : null; // an old mask is not shown
  if (showable === drawn) return;
  drawn = showable;
  if (showable) {
    const { width, height } = showable.header.frame;
    const [w, h] = size ?? [width, height];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  }
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  if (!showable?.header.target || !showable.contours.length) return;
  const pixel = Math.max(1, Math.min(canvas.width, canvas.height) / 480);
  drawEdge(ctx, createMaskPath(showable.contours.map(mapContour).filter(Boolean)), showable.header.target, pixel);
}
