// The mouse or a finger over the picture is the gaze: every place it was at, and the last one again while it rests.

const MOST = 32; // in one message
const TRAIL_MS = 500;

export class Hand {
  /** locate(clientX, clientY) gives [x, y] in 0..1 of the frame, or null; stirs() is called when the hand does. */
  constructor(stage, link, locate, stirs) {
    this.link = link;
    this.locate = locate;
    this.stirs = stirs;
    this.active = false;
    this.place = null;
    this.looks = [];
    this.trail = []; // [x, y, ms] in 0..1
    this.moved = false;
    this.stirredMs = -1e9;
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button, a, input")) return;
      stage.setPointerCapture?.(event.pointerId);
      this.move(event);
    });
    const leave = (event) => {
      if (event.type !== "pointerup" || event.pointerType !== "mouse") this.leave();
    };
    for (const name of ["pointerleave", "pointercancel", "pointerup"]) stage.addEventListener(name, leave);
  }

  move(event) {
    if (!this.active) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) {
      const place = this.locate(one.clientX, one.clientY);
      if (place) this.add(place, Math.min(one.timeStamp, performance.now()));
    }
    this.moved = true;
    this.stirs();
  }

  add(place, ms) {
    if (place[0] !== this.place?.[0] || place[1] !== this.place?.[1]) this.stirredMs = performance.now();
    this.place = place;
    this.looks.push([...place, ms, 1]);
    this.trail.push([...place, ms]);
  }

  leave() {
    if (this.place && this.active) this.link.say({ t: "gaze", samples: [[...this.place, performance.now(), 0]], moved: false });
    if (this.place) this.stirredMs = performance.now();
    this.place = null;
    this.looks = [];
    this.stirs();
  }

  /** Whether there is a place to tell with every frame of the screen. */
  get rests() {
    return this.active && this.place !== null;
  }

  /** Once a frame of the screen. */
  tick(now) {
    if (!this.active) return;
    this.trail = this.trail.filter(([, , ms]) => now - ms < TRAIL_MS);
    if (!this.place) return;
    if (!this.looks.length) this.add(this.place, now); // still looking at the same place
    this.link.say({ t: "gaze", samples: this.looks.slice(-MOST), moved: this.moved });
    this.looks = [];
    this.moved = false;
  }

  /** Whether there is something to redraw: the hand has moved, or its trail is still fading. */
  stirred(now) {
    return now - this.stirredMs < TRAIL_MS + 50;
  }

  /** The trail as `drawGaze` takes it, for a frame of width x height. */
  looksPx(width, height, now) {
    return this.place ? this.trail.map(([x, y, ms]) => [x * width - 0.5, y * height - 0.5, now - ms]) : [];
  }
}
