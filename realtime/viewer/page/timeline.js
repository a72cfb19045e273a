// The lane under the picture: which object was on show when, and below it in which state. Times in ms.

import { rgb } from "./canvas.js";

const DROPPED = "#39424f", GROUND = "#141922", TICK = "#2c3644", FAINT = "#8d99ab";
const STEPS_S = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** The colour of an object: neighbours in number are far apart in hue. */
export function inkOf(object) {
  return `hsl(${Math.round((object * 137.508 + 168) % 360)} 62% 62%)`;
}

/** `3:07.4` */
export function clock(ms) {
  const tenths = Math.max(0, Math.floor(ms / 100)), s = Math.floor(tenths / 10);
  const text = `${Math.floor(s / 60) % 60}:${String(s % 60).padStart(2, "0")}.${tenths % 10}`;
  return s < 3600 ? text : `${Math.floor(s / 3600)}:${text.padStart(7, "0")}`;
}

export class Lane {
  /** seek(ms) is called while a hand is on it; step(frames) for its keys. */
  constructor(canvas, seek) {
    this.canvas = canvas;
    this.ctx = canvas.getContext("2d");
    this.still = null; // all but the playhead, drawn once
    this.lengthMs = 1;
    let held = false;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      seek(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * this.lengthMs);
    };
    canvas.addEventListener("pointerdown", (event) => { held = true; canvas.setPointerCapture?.(event.pointerId); at(event); });
    canvas.addEventListener("pointermove", (event) => { if (held) at(event); });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { held = false; });
  }

  /** What it shows has changed. */
  changed() {
    this.still = null;
  }

  /** spans: [start, end, object, state number]; kept(object): whether it is; readMs: how far the file is known. */
  draw({ spans, states, lengthMs, readMs, kept, selected, positionMs }) {
    const { canvas, ctx } = this, ratio = Math.min(2, devicePixelRatio || 1);
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    this.lengthMs = lengthMs || 1;
    if (canvas.width !== width || canvas.height !== height || !this.still) {
      Object.assign(canvas, { width, height });
      this.still = new OffscreenCanvas(width, height);
      this.base(this.still.getContext("2d"), width, height, ratio, { spans, states, readMs, kept, selected });
    }
    ctx.drawImage(this.still, 0, 0);
    const x = Math.round((positionMs / this.lengthMs) * (width - 2 * ratio)) + ratio;
    ctx.fillStyle = "#000a";
    ctx.fillRect(x - 2 * ratio, 0, 4 * ratio, height);
    ctx.fillStyle = "#fff";
    ctx.fillRect(x - ratio, 0, 2 * ratio, height);
    canvas.setAttribute("aria-valuemax", String(Math.round(lengthMs / 1000)));
    canvas.setAttribute("aria-valuenow", String(Math.round(positionMs / 1000)));
    canvas.setAttribute("aria-valuetext", clock(positionMs));
  }

  base(ctx, width, height, ratio, { spans, states, readMs, kept, selected }) {
    const x = (ms) => (ms / this.lengthMs) * width;
    ctx.fillStyle = GROUND;
    ctx.fillRect(0, 0, width, height);
    const top = 6 * ratio, middle = Math.round(height * 0.5), low = Math.round(height * 0.66);
    // the chosen object last and never too narrow to be seen, however long the recording is
    const order = selected === null ? spans : [...spans].sort((a, b) => (a[2] === selected) - (b[2] === selected));
    for (const [start, end, object, state] of order) {
      const left = x(start), wide = Math.max(object === selected ? 3 * ratio : ratio, x(end) - left);
      if (states[state] !== "lost") {
        ctx.globalAlpha = selected !== null && selected !== object ? 0.4 : 1;
        ctx.fillStyle = kept(object) ? inkOf(object) : DROPPED;
        ctx.fillRect(left, top, wide, middle - top);
        ctx.globalAlpha = 1;
      }
      ctx.fillStyle = rgb(states[state], 0.85);
      ctx.fillRect(left, middle + 2 * ratio, wide, low - middle - 2 * ratio);
    }
    if (readMs < this.lengthMs) {
      ctx.fillStyle = "#0007";
      ctx.fillRect(x(readMs), 0, width, height);
    }
    this.ticks(ctx, width, height, ratio, low);
  }

  ticks(ctx, width, height, ratio, low) {
    const step = 1000 * (STEPS_S.find((s) => this.lengthMs / (1000 * s) <= width / (70 * ratio)) ?? 7200);
    ctx.font = `${10 * ratio}px system-ui, "DejaVu Sans", sans-serif`;
    ctx.textBaseline = "bottom";
    for (let ms = step; ms < this.lengthMs; ms += step) {
      const at = Math.round((ms / this.lengthMs) * width);
      ctx.fillStyle = TICK;
      ctx.fillRect(at, low, ratio, height - low);
      ctx.fillStyle = FAINT;
      ctx.fillText(clock(ms).replace(/\.0$/, ""), at + 4 * ratio, height - 2 * ratio);
    }
  }
}
