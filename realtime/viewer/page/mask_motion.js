// Estimates how a mask's object moved from one frame to a newer one: the translation, rotation and scale that map its
// pixels in the older frame to those in the newer.
//
// Inverse compositional image alignment (Baker & Matthews, "Lucas-Kanade 20 Years On", IJCV 2004) of the mask's pixels
// with a similarity transform, from coarse to fine, on images 160 pixels wide. Takes less than a millisecond.

export const MOTION_WIDTH = 160;
const MAX_ITERATIONS = 12;
const MIN_PIXELS = 12;
const MAX_RESIDUAL = 24; // mean difference in grey levels up to which the object counts as found

/** Builds the grey pyramid of an image: [{grey: Float32Array, width, height}], finest first. */
export function buildPyramid(rgba, width, height) {
  const grey = new Float32Array(width * height);
  for (let i = 0; i < grey.length; i++) grey[i] = 0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2];
  const levels = [{ grey: smooth(grey, width, height), width, height }];
  while (levels.length < 3) levels.push(halve(levels[levels.length - 1]));
  return levels;
}

/** Smooths an image a little, so that its gradients are less noisy. */
function smooth(grey, width, height) {
  const out = new Float32Array(grey);
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const i = y * width + x;
      out[i] = (2 * grey[i] + grey[i - 1] + grey[i + 1] + grey[i - width] + grey[i + width]) / 6;
    }
  }
  return out;
}

/** Halves an image by averaging. */
function halve({ grey, width, height }) {
  const w = width >> 1, h = height >> 1;
  const out = new Float32Array(w * h);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const i = 2 * y * width + 2 * x;
      out[y * w + x] = (grey[i] + grey[i + 1] + grey[i + width] + grey[i + width + 1]) / 4;
    }
  }
  return { grey: out, width: w, height: h };
}

/** Samples an image bilinearly; NaN beyond its border. */
function sample(grey, width, height, x, y) {
  if (!(x >= 0 && y >= 0 && x <= width - 1.001 && y <= height - 1.001)) return NaN;
  const x0 = x | 0, y0 = y | 0, fx = x - x0, fy = y - y0, i = y0 * width + x0;
  return (grey[i] * (1 - fx) + grey[i + 1] * fx) * (1 - fy) + (grey[i + width] * (1 - fx) + grey[i + width + 1] * fx) * fy;
}

/**
 * Estimates the similarity {a, b, x, y} that moves the object; null where the image does not determine it.
 *
 * It maps a pixel p to c + (1 + a, -b; b, 1 + a)(p - c) + (x, y), with the object's centre c as cx, cy of the result.
 * points: [x, y, ...] of the mask on the finest level of `before`. guess: [x, y], a second start beside no motion.
 */
export function estimateMotion(before, after, points, guess = [0, 0]) {
  if (points.length < 2) return null;
  if (points.length < 8 * MIN_PIXELS) points = addSurroundings(points);
  const n = points.length / 2;
  let cx = 0, cy = 0;
  for (let i = 0; i < n; i++) { cx += points[2 * i] / n; cy += points[2 * i + 1] / n; }
  const coarse = before.length - 1;
  let move = null;
  for (const [x, y] of [[0, 0], guess]) {
    const found = align(before[coarse], after[coarse], points, cx, cy, 2 ** coarse, { a: 0, b: 0, x, y });
    if (found && !(found.residual >= move?.residual)) move = found;
  }
  for (let level = coarse - 1; level >= 0 && move; level--) {
    move = align(before[level], after[level], points, cx, cy, 2 ** level, move);
  }
  if (!move || move.residual > MAX_RESIDUAL) return null;
  const isTooLarge = Math.hypot(move.x, move.y) > MOTION_WIDTH / 3 || Math.abs(move.a) > 0.3 || Math.abs(move.b) > 0.4;
  return isTooLarge ? null : { ...move, cx, cy };
}

/** Adds the pixels around a small object: its own are too few to estimate motion from. */
function addSurroundings(points) {
  const out = [];
  for (let i = 0; i < points.length; i += 2) {
    for (let y = -2; y <= 2; y++) for (let x = -2; x <= 2; x++) out.push(points[i] + x, points[i + 1] + y);
  }
  return out;
}

// For each aligned pixel: its brightness, its position from the centre, and the derivatives of the brightness by a, b, x
// and y. Allocated once, as memory that is allocated thirty times a second is garbage-collected as often.
const MAX_PIXELS = 1800;
const values = new Float64Array(MAX_PIXELS), positions = new Float64Array(2 * MAX_PIXELS), gradients = new Float64Array(4 * MAX_PIXELS);

/** Aligns the points on one level, from the estimate `start`; null where too few pixels stay inside the image. */
function align(from, to, points, cx, cy, scale, start) {
  const hessian = new Float64Array(16);
  const stride = 2 * Math.max(1, Math.floor(points.length / MAX_PIXELS));
  let count = 0;
  for (let i = 0; i < points.length && count < MAX_PIXELS; i += stride) {
    const x = (points[i] + 0.5) / scale - 0.5, y = (points[i + 1] + 0.5) / scale - 0.5;
    const { grey, width, height } = from;
    const gx = (sample(grey, width, height, x + 1, y) - sample(grey, width, height, x - 1, y)) / (2 * scale);
    const gy = (sample(grey, width, height, x, y + 1) - sample(grey, width, height, x, y - 1)) / (2 * scale);
    const value = sample(grey, width, height, x, y);
    if (Number.isNaN(gx + gy + value)) continue;
    const dx = points[i] - cx, dy = points[i + 1] - cy;
    values[count] = value;
    positions[2 * count] = dx;
    positions[2 * count + 1] = dy;
    // by a, b, x, y, all in pixels of the finest level
    gradients[4 * count] = gx * dx + gy * dy;
    gradients[4 * count + 1] = gy * dx - gx * dy;
    gradients[4 * count + 2] = gx;
    gradients[4 * count + 3] = gy;
    for (let r = 0; r < 4; r++) for (let c = r; c < 4; c++) hessian[4 * r + c] += gradients[4 * count + r] * gradients[4 * count + c];
    count++;
  }
  if (count < MIN_PIXELS) return start.residual === undefined ? null : start;
  for (let r = 1; r < 4; r++) for (let c = 0; c < r; c++) hessian[4 * r + c] = hessian[4 * c + r];
  // Any texture determines translation, but only much texture determines rotation and scale.
  const damp = 1e-3 * (hessian[10] + hessian[15]) + 1e-3;
  for (let r = 0; r < 4; r++) hessian[5 * r] += r < 2 ? damp * count : damp;
  let { a, b, x: tx, y: ty } = start, residual = 255;
  const right = [0, 0, 0, 0], { grey, width, height } = to;
  for (let step = 0; step < MAX_ITERATIONS; step++) {
    let inside = 0, sum = 0, r0 = 0, r1 = 0, r2 = 0, r3 = 0;
    for (let i = 0; i < count; i++) {
      const dx = positions[2 * i], dy = positions[2 * i + 1];
      const x = (cx + (1 + a) * dx - b * dy + tx + 0.5) / scale - 0.5, y = (cy + b * dx + (1 + a) * dy + ty + 0.5) / scale - 0.5;
      const error = sample(grey, width, height, x, y) - values[i];
      if (Number.isNaN(error)) continue;
      inside++;
      sum += Math.abs(error);
      const bounded = Math.max(-25, Math.min(25, error)); // occluded or differently lit pixels must not dominate
      r0 += gradients[4 * i] * bounded;
      r1 += gradients[4 * i + 1] * bounded;
      r2 += gradients[4 * i + 2] * bounded;
      r3 += gradients[4 * i + 3] * bounded;
    }
    if (inside < MIN_PIXELS) return null;
    residual = sum / inside;
    [right[0], right[1], right[2], right[3]] = [r0, r1, r2, r3];
    const delta = solve(hessian, right);
    if (delta === null) break;
    // W <- W o W(delta)^-1
    const [da, db, dx, dy] = delta;
    const norm = (1 + da) ** 2 + db ** 2;
    const ia = (1 + da) / norm, ib = -db / norm; // inverse's rotation and scale
    const ix = -(ia * dx - ib * dy), iy = -(ib * dx + ia * dy);
    const na = (1 + a) * ia - b * ib, nb = b * ia + (1 + a) * ib;
    const nx = (1 + a) * ix - b * iy + tx, ny = b * ix + (1 + a) * iy + ty;
    a = na - 1; b = nb; tx = nx; ty = ny;
    if (Math.abs(dx) + Math.abs(dy) < 0.01 * scale) break;
  }
  return { a, b, x: tx, y: ty, residual };
}

/** Solves a 4 x 4 system by Gaussian elimination; null where it is singular. */
function solve(matrix, right) {
  const m = Array.from({ length: 4 }, (_, r) => [...matrix.slice(4 * r, 4 * r + 4), right[r]]);
  for (let c = 0; c < 4; c++) {
    let best = c;
    for (let r = c + 1; r < 4; r++) if (Math.abs(m[r][c]) > Math.abs(m[best][c])) best = r;
    if (Math.abs(m[best][c]) < 1e-9) return null;
    [m[c], m[best]] = [m[best], m[c]];
    for (let r = c + 1; r < 4; r++) {
      const factor = m[r][c] / m[c][c];
      for (let k = c; k < 5; k++) m[r][k] -= factor * m[c][k];
    }
  }
  const out = [0, 0, 0, 0];
  for (let r = 3; r >= 0; r--) {
    let sum = m[r][4];
    for (let k = r + 1; k < 4; k++) sum -= m[r][k] * out[k];
    out[r] = sum / m[r][r];
  }
  return out;
}
