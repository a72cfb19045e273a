// Draws the timeline: which object was shown when, and below it in which state. Times in ms.

import { stateColour } from "./canvas.js";
import { pixelRatio } from "./stage.js";
import { themeColour } from "./theme.js";

const STEPS_S = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** Returns the colour of an object; objects with adjacent numbers have very different hues. */
export function objectColour(object) {
  return `hsl(${Math.round((object * 137.508 + 168) % 360)} 62% 62%)`;
}

/** Formats a duration, such as 3:07.4. */
export function formatTime(ms) {
  const tenths = Math.max(0, Math.floor(ms / 100)), s = Math.floor(tenths / 10);
  const text = `${Math.floor(s / 60) % 60}:${String(s % 60).padStart(2, "0")}.${tenths % 10}`;
  return s < 3600 ? text : `${Math.floor(s / 3600)}:${text.padStart(7, "0")}`;
}

/** A timeline of a recording on which the user seeks. */
export class Timeline {
  /** seek(ms) is called while the pointer drags on the canvas. */
  constructor(canvas, seek) {
    this.canvas = canvas;
    this.ctx = canvas.getContext("2d");
    this.background = null; // all but the playhead, drawn once
    this.lengthMs = 1;
    let isDragging = false;
    const seekTo = (event) => {
      const box = canvas.getBoundingClientRect();
      seek(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * this.lengthMs);
    };
    canvas.addEventListener("pointerdown", (event) => { isDragging = true; canvas.setPointerCapture?.(event.pointerId); seekTo(event); });
    canvas.addEventListener("pointermove", (event) => { if (isDragging) seekTo(event); });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { isDragging = false; });
  }

  /** Has everything drawn anew, because the content has changed. */
  invalidate() {
    this.background = null;
  }

  /** Draws the timeline.
   *
   * spans: [start, end, object, state number]. isKept(object): false for one that was dropped. readMs: the end of the
   * part of the file that was read. corrected: [start, end, object] of corrected masks; anchors: [time, object] of those
   * that were corrected themselves. confirmed: [time, object] of the wearer's confirmations.
   */
  draw({ spans, states, lengthMs, readMs, isKept, selected, positionMs, corrected = [], anchors = [], confirmed = [] }) {
    const { canvas, ctx } = this, ratio = pixelRatio();
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    this.lengthMs = lengthMs || 1;
    if (canvas.width !== width || canvas.height !== height || !this.background) {
      Object.assign(canvas, { width, height });
      this.background = new OffscreenCanvas(width, height);
      this.drawBackground(this.background.getContext("2d"), width, height, ratio, { spans, states, readMs, isKept, selected, corrected, anchors, confirmed });
    }
    ctx.drawImage(this.background, 0, 0);
    const x = Math.round((positionMs / this.lengthMs) * (width - 2 * ratio)) + ratio;
    ctx.fillStyle = themeColour("--panel");
    ctx.fillRect(x - 2 * ratio, 0, 4 * ratio, height);
    ctx.fillStyle = themeColour("--text");
    ctx.fillRect(x - ratio, 0, 2 * ratio, height);
    canvas.setAttribute("aria-valuemax", String(Math.round(lengthMs / 1000)));
    canvas.setAttribute("aria-valuenow", String(Math.round(positionMs / 1000)));
    canvas.setAttribute("aria-valuetext", formatTime(positionMs));
  }

  drawBackground(ctx, width, height, ratio, { spans, states, readMs, isKept, selected, corrected, anchors, confirmed }) {
    const x = (ms) => (ms / this.lengthMs) * width;
    ctx.fillStyle = themeColour("--panel");
    ctx.fillRect(0, 0, width, height);
    const top = 6 * ratio, middle = Math.round(height * 0.5), bottom = Math.round(height * 0.66);
    // the selected object last, and never too narrow to be visible, however long the recording is
    const order = selected === null ? spans : [...spans].sort((a, b) => (a[2] === selected) - (b[2] === selected));
    for (const [start, end, object, state] of order) {
      const left = x(start), wide = Math.max(object === selected ? 3 * ratio : ratio, x(end) - left);
      if (states[state] !== "lost") {
        ctx.globalAlpha = selected !== null && selected !== object ? 0.4 : 1;
        ctx.fillStyle = isKept(object) ? objectColour(object) : themeColour("--dropped");
        ctx.fillRect(left, top, wide, middle - top);
        ctx.globalAlpha = 1;
      }
      ctx.fillStyle = stateColour(states[state], 0.85);
      ctx.fillRect(left, middle + 2 * ratio, wide, bottom - middle - 2 * ratio);
    }
    ctx.fillStyle = stateColour("corrected");
    for (const [start, end] of corrected) ctx.fillRect(x(start), ratio, Math.max(ratio, x(end) - x(start)), 3 * ratio);
    for (const [at] of anchors) ctx.fillRect(x(at) - ratio, 0, 3 * ratio, top + 2 * ratio);
    for (const [at] of confirmed) this.drawConfirmation(ctx, x(at), (top + middle) / 2, 5 * ratio);
    if (readMs < this.lengthMs) {
      ctx.fillStyle = themeColour("--line"); // not read yet
      ctx.fillRect(x(readMs), 0, width, height);
    }
    this.drawTicks(ctx, width, height, ratio, bottom);
  }

  /** Draws a diamond, which is visible on all colours. */
  drawConfirmation(ctx, x, y, size) {
    ctx.beginPath();
    for (const [dx, dy] of [[0, -size], [size, 0], [0, size], [-size, 0]]) ctx.lineTo(x + dx, y + dy);
    ctx.closePath();
    ctx.fillStyle = "#fff";
    ctx.fill();
    ctx.strokeStyle = "#000";
    ctx.lineWidth = size / 4;
    ctx.stroke();
  }

  drawTicks(ctx, width, height, ratio, bottom) {
    const step = 1000 * (STEPS_S.find((s) => this.lengthMs / (1000 * s) <= width / (70 * ratio)) ?? 7200);
    ctx.font = `${11 * ratio}px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif`;
    ctx.textBaseline = "bottom";
    for (let ms = step; ms < this.lengthMs; ms += step) {
      const at = Math.round((ms / this.lengthMs) * width);
      ctx.fillStyle = themeColour("--line");
      ctx.fillRect(at, bottom, ratio, height - bottom);
      ctx.fillStyle = themeColour("--muted");
      ctx.fillText(formatTime(ms).replace(/\.0$/, ""), at + 4 * ratio, height - 2 * ratio);
    }
  }
}
