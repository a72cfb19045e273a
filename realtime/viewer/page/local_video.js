// The page's own camera or clip: draws from it at once, sends its frames up, and remembers the last of them, so that a
// mask that comes back finds the frame it belongs to.

import { pack } from "./connection.js";

const REMEMBER = 24; // most of a second at 30 fps
const BUSY = 3; // frames that the worker may have; a slow machine skips some

export class LocalVideo {
  /** handlers: {frame(), ended(why)}; a frame is {index, ms, mediaS, picture, levels}, `ms` on the page's clock. */
  constructor(link, handlers) {
    this.link = link;
    this.handlers = handlers;
    this.video = document.createElement("video");
    this.video.muted = this.video.playsInline = this.video.loop = true;
    this.stream = null; // of the camera
    this.worker = null;
    this.frames = [];
    this.busy = 0; // frames that the worker has
    this.running = false;
    this.index = 0;
  }

  async camera() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give no camera to pages over plain http from another machine; serve https (view.tls_cert).");
    }
    const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, facingMode: { ideal: "environment" } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    const [track] = stream.getVideoTracks();
    track.onended = () => {
      if (this.stream === stream) this.stop("The camera has gone: unplugged, or its permission was taken back.");
    };
    this.stop();
    this.stream = stream;
    if (globalThis.MediaStreamTrackProcessor) {
      // Straight to the worker, before this thread has time for them; some browsers cannot.
      this.begin("camera");
      const { readable } = new MediaStreamTrackProcessor({ track });
      this.worker.postMessage({ stream: readable }, [readable]);
    } else await this.play(() => { this.video.srcObject = stream; }, "camera");
  }

  async clip(file) {
    this.stop();
    await this.play(() => { this.video.src = URL.createObjectURL(file); }, file.name);
  }

  async play(attach, label) {
    attach();
    await this.video.play();
    this.begin(label);
    const worker = this.worker;
    const next = (now, meta) => {
      if (this.worker !== worker) return;
      this.take(Math.min(now, meta.captureTime ?? now), meta.mediaTime);
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
  }

  begin(label) {
    const worker = new Worker(new URL("frames.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => {
      if (this.worker === worker) this.made(data);
      else data.picture?.close();
    };
    worker.postMessage({ origin: performance.timeOrigin });
    this.worker = worker;
    this.busy = 0;
    this.running = true;
    this.announce(label);
  }

  /** Tell the server whose frames come; again after the connection was lost. */
  announce(label) {
    if (!this.running) return;
    this.index = 0;
    this.worker.postMessage({ again: true });
    this.link.want("masks");
    this.link.say({ t: "source", on: true, label });
  }

  /** why: what to say of it; nothing when it was wished. */
  stop(why = "") {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    if (this.video.src) URL.revokeObjectURL(this.video.src);
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    if (!this.running) return;
    this.running = false;
    this.worker.terminate();
    this.worker = null;
    this.frames.forEach((frame) => frame.picture.close());
    this.frames = [];
    this.link.say({ t: "source", on: false });
    this.link.want("frames");
    this.handlers.ended(why);
  }

  async take(ms, mediaS) {
    const worker = this.worker;
    if (!this.video.videoWidth || this.busy >= BUSY) return;
    this.busy++;
    const frame = globalThis.VideoFrame
      ? new VideoFrame(this.video, { timestamp: Math.round(ms * 1000) })
      : await createImageBitmap(this.video);
    if (this.worker === worker) worker.postMessage({ frame, ms, mediaS }, [frame]);
    else frame.close();
  }

  /** What the worker has made: a picture with its pyramid, then perhaps the JPEG of the same frame. */
  made({ ms, mediaS, picture, levels, jpeg }) {
    if (jpeg) {
      const frame = this.at(ms);
      if (!frame || !this.link.say(pack({ index: frame.index, ms }, jpeg))) this.worker.postMessage({ again: true });
      return;
    }
    if (this.busy) this.busy--;
    this.worker.postMessage({ took: true });
    this.frames.push({ index: this.index++, ms, mediaS, picture, levels });
    while (this.frames.length > REMEMBER) this.frames.shift().picture.close();
    this.handlers.frame();
  }

  /** The frame that was taken at `ms` is done; the next may go. */
  answered(ms) {
    this.worker.postMessage({ answered: ms });
  }

  /** The frame that was taken at `ms`; null when it is forgotten. */
  at(ms) {
    return this.frames.find((frame) => Math.abs(frame.ms - ms) < 0.5) ?? null;
  }

  get newest() {
    return this.frames[this.frames.length - 1] ?? null;
  }
}
