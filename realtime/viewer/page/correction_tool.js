// Corrects masks on the picture of a recording: clicks, boxes, strokes and keys become requests to the server.

import { drawCorrection } from "./correction_marks.js";

const DRAG_PX = 8; // layout pixels that a pointer moves before a click becomes a box
const MAX_SECONDS = 300; // between two actions: after that the user was away
const MAX_STROKE = 400;
const CURSOR_STEP = 0.004, CURSOR_FAST = 0.03; // shares of the frame that an arrow key moves the crosshair
const RADII = [0.004, 0.007, 0.012, 0.02, 0.035, 0.06, 0.1]; // of the brush, shares of the width
const KEYS_OF_TOOLS = { g: "add", r: "remove", x: "box", d: "paint", e: "erase" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The correction mode of a page: while `isOn`, the pointer and the crosshair change the mask of the shown object. */
export class CorrectionTool {
  /** handlers: {onChange(), getTarget() -> object number, send(request)}. tools: those that are available. */
  constructor(stage, handlers, tools = ["add", "remove", "box", "paint", "erase"]) {
    Object.assign(this, { stage, handlers, tools });
    this.isOn = false;
    this.tool = "add"; // or "remove", "box", "paint", "erase"
    this.isNew = false; // whether the next correction makes a new object
    this.radius = 3; // index of RADII
    this.cursor = null; // [x, y] in 0..1 of the frame: the crosshair of the keys
    this.corner = null; // the first corner of a box that is drawn by keys
    this.drag = null; // {places, kind, on, isBox, from}
    this.actionMs = performance.now();
    const element = stage.element;
    element.addEventListener("pointerdown", (event) => this.onDown(event));
    element.addEventListener("pointermove", (event) => this.onMove(event));
    element.addEventListener("pointerup", (event) => this.onUp(event));
    element.addEventListener("pointercancel", () => { this.drag = null; handlers.onChange(); });
    element.addEventListener("contextmenu", (event) => { if (this.isOn) event.preventDefault(); });
  }

  /** Switches the mode on or off. */
  toggle(isOn = !this.isOn) {
    Object.assign(this, { isOn, drag: null, corner: null, cursor: null, isNew: false });
    this.stage.element.classList.toggle("correcting", isOn);
    this.restartClock();
    this.handlers.onChange();
  }

  /** Counts the seconds of the next action from now on. */
  restartClock() {
    this.actionMs = performance.now();
  }

  choose(tool) {
    if (!this.tools.includes(tool)) return;
    Object.assign(this, { tool, corner: null });
    this.handlers.onChange();
  }

  /** Makes the next correction one of a new object. */
  beginObject() {
    this.isNew = true;
    this.handlers.onChange();
  }

  changeRadius(step) {
    this.radius = Math.min(RADII.length - 1, Math.max(0, this.radius + step));
    this.handlers.onChange();
  }

  /** Sends a correction; the seconds since the last one are its cost. */
  send(fields) {
    const seconds = Math.min(MAX_SECONDS, (performance.now() - this.actionMs) / 1000);
    const object = this.isNew && fields.kind !== "accept" && fields.kind !== "step" ? 0 : this.handlers.getTarget();
    this.restartClock();
    this.isNew = false;
    this.handlers.send({ t: "correct", object, seconds: Math.round(seconds * 100) / 100, ...fields });
  }

  // -- pointer ---------------------------------------------------------------------------------------------------------

  onDown(event) {
    const place = this.isOn && this.stage.locate(event.clientX, event.clientY);
    if (!place || event.target.closest("button")) return;
    event.preventDefault();
    this.stage.element.setPointerCapture?.(event.pointerId);
    const isOther = event.button === 2 || event.altKey || event.ctrlKey;
    const isBrush = this.tool === "paint" || this.tool === "erase";
    const on = (this.tool === "add" || this.tool === "paint" || this.tool === "box") !== isOther;
    this.drag = { places: [place], on, kind: isBrush ? "brush" : "click", isBox: this.tool === "box", from: [event.clientX, event.clientY] };
    this.cursor = null;
    this.handlers.onChange();
  }

  onMove(event) {
    const { drag } = this, place = drag && this.stage.locate(event.clientX, event.clientY);
    if (!place) return;
    if (drag.kind === "brush") {
      if (drag.places.length < MAX_STROKE) drag.places.push(place);
    } else {
      const moved = Math.hypot(event.clientX - drag.from[0], event.clientY - drag.from[1]);
      drag.isBox ||= drag.on && moved > DRAG_PX && this.tools.includes("box");
      drag.places[1] = place;
    }
    this.handlers.onChange();
  }

  onUp() {
    const { drag } = this;
    this.drag = null;
    if (!drag) return;
    if (drag.kind === "brush") this.sendStroke(drag.places, drag.on);
    else if (drag.isBox && drag.places.length > 1) this.sendBox(...drag.places);
    else if (!drag.isBox) this.send({ kind: "click", places: drag.places.slice(0, 1), on: drag.on });
    this.handlers.onChange();
  }

  sendBox(corner, opposite) {
    this.send({ kind: "box", places: [corner, opposite] });
  }

  sendStroke(places, on) {
    this.send({ kind: "brush", places, on, radius: RADII[this.radius] });
  }

  // -- keys ------------------------------------------------------------------------------------------------------------

  /** Handles a key of the mode; false for another. */
  onKey(key, event) {
    if (!this.isOn || (KEYS_OF_TOOLS[key] && !this.tools.includes(KEYS_OF_TOOLS[key]))) return false;
    if (ARROWS[key]) this.moveCursor(...ARROWS[key], event.shiftKey ? CURSOR_FAST : CURSOR_STEP);
    else if (key === "Enter") this.applyAtCursor(this.tool);
    else if (key === "+" || key === "=") this.applyAtCursor("add");
    else if (key === "-") this.applyAtCursor("remove");
    else if (key === "[" || key === "]") this.changeRadius(key === "[" ? -1 : 1);
    else if (key === "o") this.beginObject();
    else if (KEYS_OF_TOOLS[key]) this.choose(KEYS_OF_TOOLS[key]);
    else return false;
    return true;
  }

  moveCursor(dx, dy, step) {
    const [x, y] = this.cursor ?? [0.5, 0.5], { width, height } = this.stage.view ?? { width: 1, height: 1 };
    const clamp = (value) => Math.min(1, Math.max(0, value));
    this.cursor = [clamp(x + dx * step), clamp(y + dy * step * width / height)];
    this.handlers.onChange();
  }

  applyAtCursor(tool) {
    const place = this.cursor ??= [0.5, 0.5];
    if (tool === "box" && !this.corner) this.corner = place;
    else if (tool === "box") {
      this.sendBox(this.corner, place);
      this.corner = null;
    } else if (tool === "paint" || tool === "erase") this.sendStroke([place], tool === "paint");
    else this.send({ kind: "click", places: [place], on: tool === "add" });
    this.handlers.onChange();
  }

  /** Draws the clicks given in the shown frame, the crosshair, and what is being drawn. */
  draw(context, corrected, pixel) {
    if (!this.isOn || !this.stage.view) return;
    const { width, height } = this.stage.view;
    drawCorrection(context, { ...this, radius: RADII[this.radius] * width, corrected, width, height, pixel });
  }
}
