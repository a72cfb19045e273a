// Sends the mouse or finger over the picture as gaze: every position, and the last one again while the pointer rests.
// Arrow keys move a pointer of their own, for users without a mouse.

const MAX_SAMPLES = 32; // in one message
const TRAIL_MS = 500;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 0.01; // of the frame's width, at the press of an arrow key
const SLOW = 0.1, FAST = 0.7; // of the frame's width per second while it is down; it gains speed for SPEED_UP_MS
const SPEED_UP_MS = 1000;
const clamp = (value) => Math.min(1, Math.max(0, value));

/** The pointer as a gaze source, with the trail of its last positions. */
export class PointerGaze {
  /** stage: of the picture. onChange() is called when the pointer moves. */
  constructor(stage, connection, onChange) {
    const { element } = stage;
    Object.assign(this, { stage, connection, onChange });
    this.keys = new Map(); // arrow keys that are down: since when, ms
    this.isSlow = false;
    this.movedMs = 0; // when the arrow keys last moved the pointer
    this.lastPosition = [0.5, 0.5];
    this.isEnabled = false;
    this.position = null; // [x, y] in 0..1 of the frame; null outside of it
    this.unsent = []; // [x, y, ms, confidence]
    this.trail = []; // [x, y, ms]
    this.hasMoved = false; // since the last message
    this.changedMs = -1e9;
    element.addEventListener("pointermove", (event) => this.onMove(event));
    element.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button, a, input")) return;
      element.setPointerCapture?.(event.pointerId);
      this.onMove(event);
    });
    const onEnd = (event) => {
      if (event.type !== "pointerup" || event.pointerType !== "mouse") this.onLeave();
    };
    for (const name of ["pointerleave", "pointercancel", "pointerup"]) element.addEventListener(name, onEnd);
    addEventListener("keyup", (event) => {
      this.isSlow = event.shiftKey;
      this.keys.delete(event.key);
    });
    addEventListener("blur", () => this.keys.clear());
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.onLeave(); });
  }

  /** Handles an arrow key, or Escape; false where the key does nothing. */
  onKeyDown(event) {
    if (!this.isEnabled || !this.stage.view) return false;
    if (event.key === "Escape" && this.position) this.onLeave();
    else if (!STEPS[event.key]) return false;
    else if (!this.keys.has(event.key)) {
      this.isSlow = event.shiftKey;
      this.movedMs = performance.now();
      this.keys.set(event.key, this.movedMs);
      this.moveBy(STEPS[event.key], this.position ? STEP : 0); // the first press shows where it is
      this.onChange();
    }
    return true;
  }

  /** Moves the pointer in a direction, by a share of the frame's width. */
  moveBy([dx, dy], distance) {
    const [x, y] = this.position ?? this.lastPosition, { width, height } = this.stage.view;
    this.addSample([clamp(x + dx * distance), clamp(y + (dy * distance * width) / height)], performance.now());
    this.hasMoved = true;
  }

  moveByKeys(now) {
    const seconds = Math.max(0, Math.min(100, now - this.movedMs)) / 1000;
    this.movedMs = now;
    for (const [key, sinceMs] of this.keys) {
      const share = this.isSlow ? 0 : Math.min(1, Math.max(0, now - sinceMs) / SPEED_UP_MS);
      this.moveBy(STEPS[key], (SLOW + (FAST - SLOW) * share) * seconds);
    }
  }

  onMove(event) {
    if (!this.isEnabled) return;
    const coalesced = event.getCoalescedEvents?.() ?? [];
    for (const each of coalesced.length ? coalesced : [event]) {
      const position = this.stage.locate(each.clientX, each.clientY);
      if (position) this.addSample(position, Math.min(each.timeStamp, performance.now()));
    }
    this.hasMoved = true;
    this.onChange();
  }

  addSample(position, ms) {
    if (position[0] !== this.position?.[0] || position[1] !== this.position?.[1]) this.changedMs = performance.now();
    this.position = this.lastPosition = position;
    this.unsent.push([...position, ms, 1]);
    this.trail.push([...position, ms]);
  }

  onLeave() {
    if (this.position && this.isEnabled) this.send([[...this.position, performance.now(), 0]], false);
    if (this.position) this.changedMs = performance.now();
    this.position = null;
    this.unsent = [];
    this.keys.clear();
    this.onChange();
  }

  send(samples, moved) {
    this.connection.send({ t: "gaze", samples, moved });
  }

  /** Whether there is a position to send with every frame of the screen. */
  get isSending() {
    return this.isEnabled && this.position !== null;
  }

  /** Sends the samples since the last call; once for each frame of the screen. */
  update(now) {
    if (!this.isEnabled) return;
    if (this.stage.view) this.moveByKeys(now);
    this.trail = this.trail.filter(([, , ms]) => now - ms < TRAIL_MS);
    if (!this.position) return;
    if (!this.unsent.length) this.addSample(this.position, now); // the pointer rests
    this.send(this.unsent.slice(-MAX_SAMPLES), this.hasMoved);
    this.unsent = [];
    this.hasMoved = false;
  }

  /** Whether to redraw: the pointer has moved, or its trail is still fading. */
  isFading(now) {
    return now - this.changedMs < TRAIL_MS + 50;
  }

  /** Returns the trail as `drawGaze` expects it, for a frame of width x height. */
  trailPx(width, height, now) {
    return this.position ? this.trail.map(([x, y, ms]) => [x * width - 0.5, y * height - 0.5, now - ms]) : [];
  }
}
