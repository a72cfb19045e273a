// Which frames go up: one at a time, so that none waits at the other end and is older than it must be when it is done.

const ANSWER_MS = 250; // while the engine is opened, no frame is answered
const AHEAD_MS = 20; // about what a frame takes to be encoded and sent up

export class Pace {
  constructor() {
    this.waitingSince = null; // when a frame went up that has not been answered
    this.frameMs = -Infinity; // of that frame
    this.answerMs = ANSWER_MS; // how long answers take to come, on average
  }

  /** Whether the frame of now goes up: the last one's mask is here, or about to be. */
  due(now) {
    return this.waitingSince === null || now - this.waitingSince > Math.min(ANSWER_MS, this.answerMs - AHEAD_MS);
  }

  sent(ms, now) {
    [this.frameMs, this.waitingSince] = [ms, now];
  }

  /** The mask of the frame at `ms` is here. */
  answered(ms, now) {
    if (ms < this.frameMs - 0.5) return; // one that was given up
    if (this.waitingSince !== null) {
      this.answerMs += 0.1 * (Math.min(now - this.waitingSince, 2 * ANSWER_MS) - this.answerMs);
    }
    this.waitingSince = null;
  }

  /** What went up is lost, or there is another server. */
  again() {
    this.waitingSince = null;
  }
}
