// Sends the mouse or finger over the picture as gaze: every position, and the last one again while the pointer rests.

const MAX_SAMPLES = 32; // in one message
const TRAIL_MS = 500;

/** The pointer as a gaze source, with the trail of its last positions. */
export class PointerGaze {
  /** locate(clientX, clientY) returns [x, y] in 0..1 of the frame, or null; onChange() is called when the pointer moves. */
  constructor(element, connection, locate, onChange) {
    Object.assign(this, { connection, locate, onChange });
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
  }

  onMove(event) {
    if (!this.isEnabled) return;
    const coalesced = event.getCoalescedEvents?.() ?? [];
    for (const each of coalesced.length ? coalesced : [event]) {
      const position = this.locate(each.clientX, each.clientY);
      if (position) this.addSample(position, Math.min(each.timeStamp, performance.now()));
    }
    this.hasMoved = true;
    this.onChange();
  }

  addSample(position, ms) {
    if (position[0] !== this.position?.[0] || position[1] !== this.position?.[1]) this.changedMs = performance.now();
    this.position = position;
    this.unsent.push([...position, ms, 1]);
    this.trail.push([...position, ms]);
  }

  onLeave() {
    if (this.position && this.isEnabled) this.send([[...this.position, performance.now(), 0]], false);
    if (this.position) this.changedMs = performance.now();
    this.position = null;
    this.unsent = [];
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
