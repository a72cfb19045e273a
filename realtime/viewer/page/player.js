// Plays a recording: requests its frames from the server, one in flight at a time.

import { createMaskPath } from "./canvas.js";

/** The position, the speed and the shown frame of a recording. */
export class Player {
  /** handlers: {onChange(), onError(text)}. */
  constructor(connection, handlers) {
    this.connection = connection;
    this.handlers = handlers;
    this.isOpen = false; // whether the server is connected
    this.frames = this.lengthMs = 0;
    this.positionMs = 0;
    this.isPlaying = false;
    this.speed = 1;
    this.object = 0; // whose corrected mask to show where a frame has several; 0 for any
    this.started = null; // {now, ms}: page time and position at which it began to play
    this.inFlight = null; // the request that was sent: {n} or {ms}
    this.next = null; // the request that follows it
    this.shown = null; // {header, path, bitmap} of the frame in the picture
    this.isChanged = true; // there is something new to draw
  }

  onOpen() {
    this.isOpen = true;
    this.inFlight = null;
    this.request(this.next ?? { ms: this.positionMs });
  }

  onClose() {
    this.isOpen = false;
    this.pause();
  }

  /** Notes how long the recording is, as far as it was read. */
  setLength(frames, lengthMs) {
    Object.assign(this, { frames, lengthMs });
  }

  /** Shows a frame, acknowledges it and sends the next request. */
  async onFrame(header, contours, jpeg) {
    let bitmap = null;
    if (jpeg.length) {
      try { // oriented as in the run, whatever orientation the camera notes in the file
        bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }), { imageOrientation: "none" });
      } catch {
        header.error = `frame ${header.n + 1} has no picture that this browser can decode`;
      }
    }
    this.inFlight = null;
    if (header.error) {
      this.handlers.onError(header.error);
      this.pause();
      if (this.shown) this.shown.header.n = header.n; // so that the user can step over it
    } else {
      this.shown?.bitmap.close();
      this.shown = { header, path: contours.length ? createMaskPath(contours) : null, bitmap };
      if (!this.isPlaying && !this.next) this.positionMs = header.ms;
    }
    this.isChanged = true;
    this.connection.send({ t: "ack", seq: header.seq });
    if (this.next) this.request(this.next);
    this.handlers.onChange();
  }

  /** Requests a frame, {n} or {ms}; while one is in flight, the newest request waits. */
  request(request) {
    if (this.inFlight || !this.isOpen) this.next = request;
    else if (this.frames) {
      this.next = null;
      this.inFlight = request;
      this.connection.send({ t: "seek", object: this.object, ...request });
    }
  }

  /** Goes to a position in ms. */
  seek(ms) {
    this.positionMs = Math.min(this.lengthMs, Math.max(0, ms));
    if (this.isPlaying) this.started = { now: performance.now(), ms: this.positionMs };
    this.isChanged = true;
    this.request({ ms: this.positionMs });
  }

  /** Requests the shown frame again, because its mask has changed. */
  reload() {
    if (this.shown && !this.isPlaying && !this.next) this.request({ n: this.shown.header.n });
  }

  /** Goes some frames forward, or back with a negative count. */
  step(count) {
    this.pause();
    const from = this.next?.n ?? this.inFlight?.n ?? this.shown?.header.n ?? 0;
    this.request({ n: Math.min(this.frames - 1, Math.max(0, from + count)) });
  }

  play() {
    if (!this.frames || !this.isOpen) return;
    if (this.positionMs >= this.lengthMs - 1) this.positionMs = 0;
    this.isPlaying = true;
    this.started = { now: performance.now(), ms: this.positionMs };
    this.handlers.onChange();
  }

  pause() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.positionMs = this.shown?.header.ms ?? this.positionMs;
    this.handlers.onChange();
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.isPlaying) this.started = { now: performance.now(), ms: this.positionMs };
    this.handlers.onChange();
  }

  /** Moves the position on while it plays; once for each frame of the screen. */
  advance(now) {
    if (!this.isPlaying) return;
    const { started, speed, shown, lengthMs } = this;
    // The time of a screen frame may be earlier than that of the key press handled within it.
    this.positionMs = Math.min(lengthMs, started.ms + Math.max(0, now - started.now) * speed);
    this.isChanged = true;
    const isDue = !shown || this.positionMs >= shown.header.until_ms || this.positionMs < shown.header.ms;
    const isAtEnd = this.positionMs >= lengthMs; // whose frame must be shown, even if an earlier one is in flight
    if (isDue && (isAtEnd || !this.inFlight)) this.request({ ms: this.positionMs });
    if (isAtEnd) {
      this.isPlaying = false;
      this.handlers.onChange();
    }
  }
}
