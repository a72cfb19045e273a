// Draws the latency chart: lines over the last twenty seconds, and their percentiles.

import { pixelRatio } from "./stage.js";
import { themeColour } from "./theme.js";

const SPAN_MS = 20000;
const MAX_POINTS = 1500;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

/** The values of one line of the chart. */
export class LatencySeries {
  /** colour: the custom property of the style sheet that has it. */
  constructor(colour) {
    this.colour = colour;
    this.points = []; // [ms, value]
  }

  /** Adds a value in ms at page time `now`; values that are not finite are ignored. */
  add(now, value) {
    if (!Number.isFinite(value)) return;
    this.points.push([now, value]);
    if (this.points.length > MAX_POINTS) this.points.shift();
  }

  /** Returns the points [ms, value] of the last `span` ms. */
  recent(now, span = SPAN_MS) {
    while (this.points.length && now - this.points[0][0] > SPAN_MS) this.points.shift();
    return span === SPAN_MS ? this.points : this.points.filter(([ms]) => now - ms <= span);
  }
}

/** Returns {p50, p95, p99} of values; null without values. */
export function computePercentiles(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Draws all series on a canvas, up to page time `now`. */
export function drawLatencyChart(canvas, series, now) {
  const ratio = pixelRatio();
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const ctx = canvas.getContext("2d");
  ctx.clearRect(0, 0, width, height);
  const values = series.flatMap((each) => each.recent(now).map(([, value]) => value));
  const high = roundUp(computePercentiles(values)?.p99 ?? 50);
  ctx.font = `${11 * ratio}px ${FONT}`;
  const top = 8 * ratio, bottom = height - 18 * ratio, left = ctx.measureText(String(high)).width + 8 * ratio;
  const x = (ms) => left + (width - left) * (1 - (now - ms) / SPAN_MS);
  const y = (value) => bottom - (bottom - top) * Math.min(1, value / high);
  ctx.fillStyle = themeColour("--muted");
  ctx.strokeStyle = themeColour("--line");
  ctx.lineWidth = ratio;
  ctx.textBaseline = "middle";
  ctx.textAlign = "right";
  for (const share of [0, 0.5, 1]) {
    const at = Math.round(y(high * share)) + 0.5;
    ctx.beginPath();
    ctx.moveTo(left, at);
    ctx.lineTo(width, at);
    ctx.stroke();
    ctx.fillText(String(Math.round(high * share)), left - 6 * ratio, at);
  }
  ctx.textBaseline = "bottom";
  ctx.fillText("now", width, height);
  ctx.textAlign = "left";
  ctx.fillText(`${SPAN_MS / 1000} s ago`, left, height);
  for (const each of series) {
    ctx.strokeStyle = themeColour(each.colour);
    ctx.lineWidth = 1.4 * ratio;
    ctx.lineJoin = "round";
    ctx.beginPath();
    let last = -Infinity;
    for (const [ms, value] of each.points) {
      if (ms - last > 600) ctx.moveTo(x(ms), y(value)); else ctx.lineTo(x(ms), y(value));
      last = ms;
    }
    ctx.stroke();
  }
}

/** Returns the upper limit of the axis for a value. */
function roundUp(value) {
  for (const step of [20, 50, 100, 200, 500, 1000, 2000, 5000]) if (value <= step) return step;
  return 10000;
}
