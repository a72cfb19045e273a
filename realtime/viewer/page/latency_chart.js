// The latency strip: three lines over the last twenty seconds, and their percentiles.

const SPAN_MS = 20000;
const MOST = 1500;
const GRID = "#242c39", FAINT = "#8d99ab";

export class Series {
  constructor(ink) {
    this.ink = ink;
    this.points = []; // [ms, value]
  }

  add(now, value) {
    if (!Number.isFinite(value)) return;
    this.points.push([now, value]);
    if (this.points.length > MOST) this.points.shift();
  }

  recent(now, span = SPAN_MS) {
    while (this.points.length && now - this.points[0][0] > SPAN_MS) this.points.shift();
    return span === SPAN_MS ? this.points : this.points.filter(([ms]) => now - ms <= span);
  }
}

/** {p50, p95, p99} of values, or null. */
export function percentiles(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

export function said(found) {
  return found ? `${Math.round(found.p50)} / ${Math.round(found.p95)} / ${Math.round(found.p99)} ms` : "–";
}

export function plot(canvas, series, now) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const ctx = canvas.getContext("2d");
  ctx.clearRect(0, 0, width, height);
  const values = series.flatMap((one) => one.recent(now).map(([, value]) => value));
  const high = ceiling(percentiles(values)?.p99 ?? 50);
  const top = 6 * ratio, bottom = height - 16 * ratio, left = 34 * ratio;
  const x = (ms) => left + (width - left) * (1 - (now - ms) / SPAN_MS);
  const y = (value) => bottom - (bottom - top) * Math.min(1, value / high);
  ctx.font = `${11 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
  ctx.fillStyle = FAINT;
  ctx.strokeStyle = GRID;
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
  ctx.fillText(`ms, last ${SPAN_MS / 1000} s`, left, height);
  for (const one of series) {
    ctx.strokeStyle = one.ink;
    ctx.lineWidth = 1.4 * ratio;
    ctx.lineJoin = "round";
    ctx.beginPath();
    let last = -Infinity;
    for (const [ms, value] of one.points) {
      if (ms - last > 600) ctx.moveTo(x(ms), y(value)); else ctx.lineTo(x(ms), y(value));
      last = ms;
    }
    ctx.stroke();
  }
}

function ceiling(value) {
  for (const step of [20, 50, 100, 200, 500, 1000, 2000, 5000]) if (value <= step) return step;
  return 10000;
}
