// A see-through display: the mask's edge on black, mapped by the homography of the settings or of the address
// (?homography=a,b,c,d,e,f,g,h,i&size=WxH).

import { Link } from "./connection.js";
import { drawEdge, maskPath } from "./canvas.js";
import { withNextFrame } from "./animation.js";

const OLD_MS = 500;
const canvas = document.getElementById("edges");
const ctx = canvas.getContext("2d", { desynchronized: true });
const query = new URLSearchParams(location.search);
let matrix = numbers(query.get("homography"), 9), size = numbers(query.get("size"), 2);
let newest = null, drawn = null, aging = 0;

const wake = withNextFrame(draw);
const link = new Link({
  text(message) {
    if (message.t !== "hello") return;
    matrix ??= message.homography;
    if (!size && message.display_size[0]) size = message.display_size;
    wake();
  },
  picture(head, outlines) {
    newest = { head, outlines, ms: performance.now() };
    wake();
    clearTimeout(aging);
    aging = setTimeout(wake, OLD_MS + 20);
    if (!document.hidden) link.say({ t: "ack", seq: head.seq });
  },
  open() {},
  gone() { newest = null; wake(); },
});
link.kind = "masks";
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && newest) link.say({ t: "ack", seq: newest.head.seq });
});

function numbers(text, count) {
  const found = text?.split(/[,x]/).map(Number);
  return found?.length === count && found.every(Number.isFinite) ? found : null;
}

/** An outline on the display; null where part of it lies beyond the horizon. */
function mapped(points) {
  const out = new Float32Array(points.length);
  const sign = Math.sign(matrix[8]) || 1;
  for (let i = 0; i < points.length; i += 2) {
    const x = points[i], y = points[i + 1];
    const w = matrix[6] * x + matrix[7] * y + matrix[8];
    if (w * sign <= 1e-9) return null;
    out[i] = (matrix[0] * x + matrix[1] * y + matrix[2]) / w;
    out[i + 1] = (matrix[3] * x + matrix[4] * y + matrix[5]) / w;
  }
  return out;
}

function draw() {
  const now = performance.now();
  const showable = newest && matrix && now - newest.ms < OLD_MS ? newest : null; // nothing stale is shown as new
  if (showable === drawn) return;
  drawn = showable;
  if (showable) {
    const { width, height } = showable.head.frame;
    const [w, h] = size ?? [width, height];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  }
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  if (!showable?.head.target || !showable.outlines.length) return;
  const pixel = Math.max(1, Math.min(canvas.width, canvas.height) / 480);
  drawEdge(ctx, maskPath(showable.outlines.map(mapped).filter(Boolean)), showable.head.target.state, pixel);
}
