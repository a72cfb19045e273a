// Draws masks, gaze and its trail, in pixels of the frame; the centre of the first pixel is at (0.5, 0.5).

export const COLOURS = { corrected: "70 215 120", preview: "230 159 0", locked: "60 200 255", held: "200 140 200", lost: "160 160 160" };
const ROUNDING = 2;

/** Returns the CSS colour of a mask state. */
export function stateColour(state, alpha = 1) {
  return `rgb(${COLOURS[state] ?? COLOURS.lost} / ${alpha})`;
}

/** Returns {scale, x, y} that shows a whole frame of width x height in a canvas. */
export function fitFrame(canvas, width, height) {
  const scale = Math.min(canvas.width / width, canvas.height / height);
  return { scale, x: (canvas.width - width * scale) / 2, y: (canvas.height - height * scale) / 2 };
}

/** Returns contours as one path, with rounded corners instead of pixel steps. */
export function createMaskPath(contours) {
  const path = new Path2D();
  for (const points of contours) {
    const n = points.length / 2;
    if (n < 3) { // a line of pixels, or a single one
      for (let i = 0; i < n; i++) path.rect(points[2 * i], points[2 * i + 1], 1, 1);
      continue;
    }
    for (let i = 0; i < n; i++) {
      const before = (i + n - 1) % n, after = (i + 1) % n;
      const x = points[2 * i] + 0.5, y = points[2 * i + 1] + 0.5;
      const [ax, ay] = pointTowards(x, y, points[2 * before] + 0.5, points[2 * before + 1] + 0.5);
      const [bx, by] = pointTowards(x, y, points[2 * after] + 0.5, points[2 * after + 1] + 0.5);
      if (i === 0) path.moveTo(ax, ay); else path.lineTo(ax, ay);
      path.quadraticCurveTo(x, y, bx, by);
    }
    path.closePath();
  }
  return path;
}

/** Returns the point near (x, y) on the way to (tx, ty) where its rounded corner ends. */
function pointTowards(x, y, tx, ty) {
  const length = Math.hypot(tx - x, ty - y);
  const share = length ? Math.min(0.5, ROUNDING / length) : 0;
  return [x + (tx - x) * share, y + (ty - y) * share];
}

/** Draws a mask as a tint and a glowing edge, with a white rim where it is confirmed. pixel: the width of a screen pixel, in pixels of the frame. */
export function drawMask(ctx, path, { state, method, confirmed }, pixel) {
  ctx.lineJoin = "round";
  if (isGuess(method)) {
    ctx.fillStyle = stateColour(state, 0.13);
    ctx.fill(path, "evenodd");
    drawDashed(ctx, path, state, pixel);
    return;
  }
  ctx.fillStyle = stateColour(state, 0.26);
  ctx.fill(path, "evenodd");
  for (const [width, alpha] of [[15, 0.10], [9, 0.16], [5, 0.32]]) {
    ctx.lineWidth = width * pixel;
    ctx.strokeStyle = stateColour(state, alpha);
    ctx.stroke(path);
  }
  if (confirmed) drawRim(ctx, path, pixel);
  ctx.lineWidth = Math.max(1, 2.4 * pixel); // at least a pixel of the frame: the contour runs through their centres
  ctx.strokeStyle = stateColour(state, 0.95);
  ctx.stroke(path);
  ctx.lineWidth = 0.9 * pixel;
  ctx.strokeStyle = "rgb(255 255 255 / 0.75)";
  ctx.stroke(path);
}

/** Draws a mask's edge alone, for displays on which black is transparent. */
export function drawEdge(ctx, path, { state, method, confirmed }, pixel) {
  ctx.lineJoin = "round";
  if (isGuess(method)) {
    drawDashed(ctx, path, state, pixel);
    return;
  }
  for (const [width, alpha] of [[9, 0.2], [5, 0.45], [2.5, 1]]) {
    if (confirmed && alpha === 1) drawRim(ctx, path, pixel);
    ctx.lineWidth = width * pixel;
    ctx.strokeStyle = stateColour(state, alpha);
    ctx.stroke(path);
  }
}

/** Returns whether a mask was made without the model; older recordings do not say, and have none. */
function isGuess(method) {
  return method !== undefined && method !== "model";
}

function drawRim(ctx, path, pixel) {
  ctx.lineWidth = 7 * pixel;
  ctx.strokeStyle = "#fff";
  ctx.stroke(path);
}

function drawDashed(ctx, path, state, pixel) {
  ctx.setLineDash([7 * pixel, 6 * pixel]);
  ctx.lineWidth = Math.max(1, 2 * pixel);
  ctx.strokeStyle = stateColour(state, 0.8);
  ctx.stroke(path);
  ctx.setLineDash([]);
}

/** Draws gaze samples [x, y, age in ms], oldest first, as a trail, and the newest with its error radius. */
export function drawGaze(ctx, samples, radius, pixel) {
  if (!samples.length) return;
  ctx.lineCap = "round";
  for (let i = 1; i < samples.length; i++) {
    const [x0, y0] = samples[i - 1], [x, y, age] = samples[i];
    const fresh = Math.max(0, 1 - age / 500);
    ctx.beginPath();
    ctx.moveTo(x0 + 0.5, y0 + 0.5);
    ctx.lineTo(x + 0.5, y + 0.5);
    ctx.lineWidth = (1 + 2.5 * fresh) * pixel;
    ctx.strokeStyle = `rgb(255 255 255 / ${0.6 * fresh})`;
    ctx.stroke();
  }
  const [x, y] = samples[samples.length - 1];
  if (radius > 0) {
    addDisc(ctx, x, y, radius);
    ctx.fillStyle = "rgb(255 255 255 / 0.07)";
    ctx.fill();
    ctx.setLineDash([5 * pixel, 5 * pixel]);
    ctx.lineWidth = 1.3 * pixel;
    ctx.strokeStyle = "rgb(255 255 255 / 0.7)";
    ctx.stroke();
    ctx.setLineDash([]);
  }
  addDisc(ctx, x, y, 6 * pixel);
  ctx.lineWidth = 5 * pixel;
  ctx.strokeStyle = "rgb(0 0 0 / 0.55)";
  ctx.stroke();
  ctx.lineWidth = 2.2 * pixel;
  ctx.strokeStyle = "#fff";
  ctx.stroke();
  addDisc(ctx, x, y, 1.7 * pixel);
  ctx.fillStyle = "#fff";
  ctx.fill();
}

function addDisc(ctx, x, y, radius) {
  ctx.beginPath();
  ctx.arc(x + 0.5, y + 0.5, radius, 0, 2 * Math.PI);
}
