// Decides which frames are sent: one at a time, so that none waits at the server and adds latency.

const ANSWER_MS = 250; // while the engine is being opened, no frame is answered
const AHEAD_MS = 20; // about the time to encode and send a frame

/** Backpressure for frames to the server, from the times of its answers. */
export class FlowControl {
  constructor() {
    this.inFlight = []; // {ms, sentMs}: frames that were sent and not answered; two at most
    this.answerMs = ANSWER_MS; // average time until the answer
  }

  /** Whether to send the frame of `now`: the last one's mask has arrived, or is about to. */
  isDue(now) {
    const last = this.inFlight.at(-1);
    if (!last) return true;
    // Ahead of one answer, not of two: frames that the server is too slow for would only wait there.
    return now - last.sentMs > (this.inFlight.length > 1 ? ANSWER_MS : Math.min(ANSWER_MS, this.answerMs - AHEAD_MS));
  }

  /** Notes that the frame of `ms` was sent. */
  onSent(ms, now) {
    this.inFlight = [...this.inFlight.slice(-1), { ms, sentMs: now }];
  }

  /** Notes that the mask of the frame of `ms` has arrived; the server skipped the frames sent before it. */
  onAnswer(ms, now) {
    const index = this.inFlight.findIndex((frame) => Math.abs(frame.ms - ms) < 0.5);
    if (index < 0) return;
    const [{ sentMs }] = this.inFlight.splice(0, index + 1).slice(-1);
    this.answerMs += 0.1 * (Math.min(now - sentMs, 2 * ANSWER_MS) - this.answerMs);
  }

  /** Forgets the frames in flight: they were lost, or the server is another one. */
  reset() {
    this.inFlight = [];
  }
}

const MAX_FRAMES = 300; // that a stream's clock is estimated from

/** A mapping from a stream's own clock to the page's; the frame with the least delay gives their offset. */
export class StreamClock {
  constructor() {
    this.offsets = []; // page time of arrival minus stream time, ms
    this.lastMs = -Infinity;
  }

  /** Converts the time of a frame that arrived `now`; null for one that seems no newer than the last. */
  toPageTime(streamMs, now) {
    this.offsets.push(now - streamMs);
    if (this.offsets.length > MAX_FRAMES) this.offsets.shift();
    const ms = streamMs + Math.min(...this.offsets);
    if (ms < this.lastMs + 1) return null; // the first frames were late, and the offset is only now known better
    return (this.lastMs = ms);
  }
}
