// Which frames go up: one at a time, so that none waits at the other end and is older than it must be when it is done.

const ANSWER_MS = 250; // while the engine is opened, no frame is answered
const AHEAD_MS = 20; // about what a frame takes to be encoded and sent up

export class Pace {
  constructor() {
    this.away = []; // {ms, at}: frames that went up and were not answered, and when; two at most
    this.answerMs = ANSWER_MS; // how long answers take to come, on average
  }

  /** Whether the frame of now goes up: the last one's mask is here, or about to be. */
  due(now) {
    const last = this.away.at(-1);
    if (!last) return true;
    // Ahead of one answer, not of two: what the other end is too slow for would only wait there.
    return now - last.at > (this.away.length > 1 ? ANSWER_MS : Math.min(ANSWER_MS, this.answerMs - AHEAD_MS));
  }

  sent(ms, now) {
    this.away = [...this.away.slice(-1), { ms, at: now }];
  }

  /** The mask of the frame at `ms` is here; what went up before that frame was passed over for it. */
  answered(ms, now) {
    const index = this.away.findIndex((one) => Math.abs(one.ms - ms) < 0.5);
    if (index < 0) return;
    const [{ at }] = this.away.splice(0, index + 1).slice(-1);
    this.answerMs += 0.1 * (Math.min(now - at, 2 * ANSWER_MS) - this.answerMs);
  }

  /** What went up is lost, or there is another server. */
  again() {
    this.away = [];
  }
}

const FRAMES = 300; // by which a stream's clock is known

/** The page's time for a stream that has a clock of its own: the frame that took least to come tells how they differ. */
export class StreamClock {
  constructor() {
    this.behind = [];
    this.last = -Infinity;
  }

  /** When the frame at `streamMs` that is here `now` was captured; null for one that seems no newer than the last. */
  here(streamMs, now) {
    this.behind.push(now - streamMs);
    if (this.behind.length > FRAMES) this.behind.shift();
    const ms = streamMs + Math.min(...this.behind);
    if (ms < this.last + 1) return null; // the first frames took long, and the clock is only now known better
    return (this.last = ms);
  }
}
