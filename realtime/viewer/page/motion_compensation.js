// Moves a mask from the frame it was computed for to the newest frame, by the motion of its object between the two.

import { MOTION_WIDTH, estimateMotion } from "./mask_motion.js";
import { createMaskPath } from "./canvas.js";

const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

/** An estimator of the motion of a mask's object since the mask's frame, which computes each pair of frames once. */
export class MotionCompensator {
  constructor() {
    this.last = null; // {from, to, motion}
    this.velocity = [0, 0]; // px of the small image per ms: the next estimate starts from it
  }

  /** Returns the similarity {a, b, x, y, cx, cy} in pixels of the frame, see `estimateMotion`; null where it is unknown.
   *
   * latest: the newest mask, with its frame. newest: the newest frame.
   */
  motion(latest, newest) {
    if (this.last?.from === latest && this.last.to === newest) return this.last.motion;
    latest.points ??= maskPixels(latest);
    const ms = newest.ms - latest.frame.ms, [vx, vy] = this.velocity;
    const found = estimateMotion(latest.frame.levels, newest.levels, latest.points, [vx * ms, vy * ms]);
    let motion = null;
    this.velocity = found ? [found.x / ms, found.y / ms] : [0, 0];
    if (found) {
      const k = newest.picture.width / MOTION_WIDTH;
      motion = { ...found, cx: (found.cx + 0.5) * k, cy: (found.cy + 0.5) * k, x: found.x * k, y: found.y * k };
    }
    this.last = { from: latest, to: newest, motion };
    return motion;
  }
}

/** Returns the mask's pixels on the small image that motion is estimated on: [x, y, ...]. */
function maskPixels(latest) {
  const { width, height } = latest.frame.levels[0];
  if (context.canvas.width !== width || context.canvas.height !== height) Object.assign(context.canvas, { width, height });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.setTransform(width / latest.header.frame.width, 0, 0, height / latest.header.frame.height, 0, 0);
  latest.path ??= createMaskPath(latest.contours);
  context.fill(latest.path, "evenodd");
  const alpha = context.getImageData(0, 0, width, height).data, points = [];
  for (let i = 0; i < width * height; i++) if (alpha[4 * i + 3] > 127) points.push(i % width, (i / width) | 0);
  return points;
}
