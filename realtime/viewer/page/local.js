// The page's own camera or clip: draws from it at once, sends its frames up, and remembers the last of them, so that a
// mask that comes back finds the frame it belongs to.

import { pack } from "./link.js";

const REMEMBER = 24; // most of a second at 30 fps
const BUSY = 3; // frames that the worker may have; a slow machine skips some
const ANSWER_MS = 250; // while the engine is opened, no frame is answered
const AHEAD_MS = 20; // about what a frame takes to be encoded and sent up

export class LocalVideo {
  /** handlers: {frame(), ended()}; a frame is {index, ms, mediaS, picture, levels}, `ms` on the page's clock. */
  constructor(link, handlers) {
    this.link = link;
    this.handlers = handlers;
    this.video = document.createElement("video");
    this.video.muted = this.video.playsInline = this.video.loop = true;
    this.worker = null;
    this.frames = [];
    this.pending = new Map(); // what the worker has, by index
    this.running = false;
    this.index = 0;
    this.waitingSince = null; // when a frame went up that has not been answered
    this.sentMs = 0;
    this.answerMs = ANSWER_MS; // how long masks take to come, on average
    this.skipped = 0;
  }

  async camera() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give no camera to pages over plain http from another machine; serve https (view.tls_cert).");
    }
    const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, facingMode: { ideal: "environment" } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    stream.getVideoTracks()[0].onended = () => this.stop();
    await this.play(() => { this.video.srcObject = stream; }, "camera");
  }

  async clip(file) {
    await this.play(() => { this.video.src = URL.createObjectURL(file); }, file.name);
  }

  async play(attach, label) {
    this.stop();
    attach();
    await this.video.play();
    this.worker = new Worker(new URL("frames.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.made(data);
    this.running = true;
    this.announce(label);
    const worker = this.worker;
    const next = (now, meta) => {
      if (this.worker !== worker) return;
      this.take(Math.min(now, meta.captureTime ?? now), meta.mediaTime);
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
  }

  /** Tell the server whose frames come; again after the connection was lost. */
  announce(label) {
    if (!this.running) return;
    this.index = 0;
    this.waitingSince = null;
    this.link.want("masks");
    this.link.say({ t: "source", on: true, label });
  }

  stop() {
    if (!this.running) return;
    this.running = false;
    this.worker.terminate();
    this.worker = null;
    this.video.srcObject?.getTracks().forEach((track) => track.stop());
    if (this.video.src) URL.revokeObjectURL(this.video.src);
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    this.frames.forEach((frame) => frame.picture.close());
    this.frames = [];
    this.pending.clear();
    this.link.say({ t: "source", on: false });
    this.link.want("frames");
    this.handlers.ended();
  }

  async take(ms, mediaS) {
    const { videoWidth: width, videoHeight: height } = this.video, worker = this.worker;
    if (!width) return;
    if (this.pending.size >= BUSY) {
      this.skipped++;
      return;
    }
    // The next frame goes when the last one's mask is here, or about to be: sooner it would only wait, and be older when
    // it is done.
    const due = Math.min(ANSWER_MS, this.answerMs - AHEAD_MS);
    const encode = this.waitingSince === null || performance.now() - this.waitingSince > due;
    const id = this.index++;
    if (encode) {
      this.waitingSince = performance.now();
      this.sentMs = ms;
    }
    this.pending.set(id, { index: id, ms, mediaS, sentAt: encode ? performance.now() : null });
    const frame = globalThis.VideoFrame
      ? new VideoFrame(this.video, { timestamp: Math.round(ms * 1000) })
      : await createImageBitmap(this.video);
    if (this.worker === worker) worker.postMessage({ frame, id, width, height, encode }, [frame]);
    else frame.close();
  }

  /** What the worker has made: a picture with its pyramid, then perhaps the JPEG of the same frame. */
  made({ id, picture, levels, jpeg }) {
    if (jpeg) {
      const frame = this.frames.find(({ index }) => index === id);
      if (!frame || !this.link.say(pack({ index: id, ms: frame.ms }, jpeg))) this.waitingSince = null;
      return;
    }
    const frame = this.pending.get(id);
    this.pending.delete(id);
    if (!frame) return picture.close();
    this.frames.push({ ...frame, picture, levels });
    while (this.frames.length > REMEMBER) this.frames.shift().picture.close();
    this.handlers.frame();
  }

  /** The frame that was taken at `ms` is done; the next may go. */
  answered(ms) {
    const frame = this.at(ms);
    if (frame?.sentAt) this.answerMs += 0.1 * (Math.min(performance.now() - frame.sentAt, 2 * ANSWER_MS) - this.answerMs);
    if (ms > this.sentMs - 0.5) this.waitingSince = null;
  }

  /** The frame that was taken at `ms`; null when it is forgotten. */
  at(ms) {
    return this.frames.find((frame) => Math.abs(frame.ms - ms) < 0.5) ?? null;
  }

  get newest() {
    return this.frames[this.frames.length - 1] ?? null;
  }
}
